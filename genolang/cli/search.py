"""`genoc search`: run a spec's search and write the answer back as a spec."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from genolang.cli.answers import origin, write_answer
from genolang.cli.options import jobs_option
from genolang.cli.request import Request, run_options


@click.command("search")
@click.option(
    "--method",
    metavar="METHOD",
    help="Instead of the spec's: ean, 'ean(steps=50)', random, ...; all runs several and compares them.",
)
@jobs_option
@run_options
def search(as_json: bool, **asked: Any) -> None:
    """Run a spec's search and write the answer back as a new spec.

    The answer is the spec itself with its choices replaced: found.geno in the run's folder. Beside its
    score stands that of random answers, trained for as long. `--method all` searches by several methods
    from one supernet, prints their table, and writes found-METHOD.geno for each.

    \b
    genoc search first.geno
    genoc search darts/search --data cifar10:data --out runs/darts --seed 2
    genoc search darts/search --resume runs/darts
    genoc search quickstart --threads 1 --jobs 2
    genoc search slots.geno --network searched --method "all(evaluations=60)"
    """
    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError

    try:
        result = _run(Request("search", **asked), as_json)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json({k: v for k, v in result.items() if k != "summary"})
        return
    click.echo("\n".join(result["summary"]))


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that a search needs, read and checked."""

    checked: Any
    given: dict[str, str]
    settings: Any
    program: Any
    device: Any
    data: Any

    def facts(self, request: Request) -> dict[str, str]:
        """What a run of it is made of."""
        from genolang.cli.facts import facts_of

        return facts_of(
            request,
            self.checked.module,
            self.program,
            self.given,
            self.settings,
            self.data,
            self.settings.seed,
            self.device,
        )


def prepare(request: Request) -> Prepared:
    """The spec, its settings, the network and the data. Errors: G505, G508, and those of its parts."""
    from genolang.cli import runs
    from genolang.diagnostics import GenoError, fail
    from genolang.semantics.check import expand_network
    from genolang.semantics.recipes import check_recipes, network_for
    from genolang.semantics.sections import search_settings
    from genolang.semantics.settings import SearchSettings, crop_size

    runs.use_threads(request.threads)
    checked = runs.read_spec(request)
    given, changed = runs.split_values(request.values, SearchSettings)
    sections = checked.module.sections("search")
    if request.method is not None:
        changed["method"] = request.method
    if not sections and request.method is None:
        raise fail(
            "G508", f"{checked.module.source.name} has no `search` section", help="add one: `search { method darts }`"
        )
    if changed:
        sections = [*sections, runs.setting_section("search", changed)]
        problems = check_recipes(checked.module, sections, checked.module.sections("train"))
        if problems:
            raise GenoError(problems)
    settings = search_settings(sections, {}, checked.module.sections("train"))
    if request.seed is not None:
        settings = replace(settings, seed=request.seed)
    network, given = network_for(settings.network, request.network, given)
    program = expand_network(checked, network, given)
    if not program.choices:
        raise fail(
            "G505",
            f"the network `{program.name}` has no choices to search",
            help="write one: `choice operation = skip | sep_conv(3)`",
        )
    runs.require_weights(program)
    device = runs.choose_device(request.device)
    data = runs.read_data(request.data or settings.data, program, size=crop_size(settings.augment))
    return Prepared(checked, given, settings, program, device, data)


def _run(request: Request, quiet: bool) -> dict[str, Any]:
    from genolang.cli import runs
    from genolang.cli.progress import ConsoleReporter
    from genolang.search.comparison import run_comparison
    from genolang.search.reading import verify_space
    from genolang.search.requirements import Requirements
    from genolang.search.search import run_search
    from genolang.train.phase import Phase

    request = runs.begun(request)
    ready = prepare(request)
    checked, program, settings = ready.checked, ready.program, ready.settings
    if request.resume is None:
        Requirements(checked, program, ready.given).check()
        verify_space(checked, program, ready.given)
    with runs.open_run(request, checked, ready.facts(request)) as run, runs.workers_for(request, run) as workers:
        reporter = ConsoleReporter(quiet=quiet)
        reporter.message(
            f"searching `{program.name}` on {ready.data.name}, seed {settings.seed},"
            f" {runs.threads_told()}, in {run.path}"
        )
        for line in run.told:
            reporter.message(line)
        whole = Phase(
            settings.seed,
            ready.device,
            run,
            resume=request.resume is not None,
            reporter=reporter,
            without=request.without,
        )
        asked = (checked, program.name, ready.given, settings, ready.data, whole, workers)
        if settings.method == "all":
            from genolang.cli.compared import write_comparison

            several = run_comparison(*asked)
            return write_comparison(request, checked, program, ready.given, settings, several, run)
        return _write(request, ready, run_search(*asked), run)


def _write(request: Request, ready: Prepared, result: Any, run: Any) -> dict[str, Any]:
    from genolang.search.space import describe_genotype
    from genolang.semantics.methods import Method

    checked, program, settings = ready.checked, ready.program, ready.settings
    found = Path(run.path) / "found.geno"
    method = Method(settings.method, settings.order, settings.sampling)
    trained = f"epoch {settings.epochs}" if settings.sampling is None else (f"supernet of {settings.epochs} epochs")
    header = [f"found by: {method} seed {result.seed}, {trained}, score {result.score:.4f}"]
    header += origin(request, checked, settings)
    if result.baseline_random is not None:
        control = f"control: random genotypes, trained as long, score {result.baseline_random:.4f}"
        header.insert(2, control)
    write_answer(found, checked, program, result.genotype, ready.given, header)
    answer = {
        "found": str(found),
        "score": result.score,
        "baseline_random": result.baseline_random,
        "seconds": result.seconds,
        "run": str(run.path),
    }
    answer |= {
        "spread": result.spread,
        "references": [asdict(one) for one in result.references],
        "verdicts": [one.to_json() for one in result.verdicts],
        "warnings": [asdict(one) for one in result.signs],
        "stopped": result.stopped,
    }
    run.write_metrics(
        {**answer, "seed": result.seed, "baseline": list(result.baseline), "genotype": result.genotype.to_json()}
    )
    summary = [
        f"{cell}\n" + "\n".join(f"  {line}" for line in lines)
        for cell, lines in describe_genotype(program, result.genotype).items()
    ]
    summary.append(f"score {result.score:.4f}")
    if result.baseline:
        listed = ", ".join(f"{score:.4f}" for score in result.baseline)
        better = sum(result.score > score for score in result.baseline)
        summary.append(
            f"random {result.baseline_random:.4f} (mean of {listed});"
            f" the answer beats {better} of {len(result.baseline)}"
        )
    summary += [one.sentence for one in result.verdicts]
    summary += [f"warning: {one.text}" for one in result.signs]
    summary.append(f"wrote {found}; train it: {_training(checked, program, found)}")
    return answer | {"summary": summary}


def _training(checked: Any, program: Any, found: Any) -> str:
    """The command that trains an answer as its file says."""
    import shlex

    from genolang.semantics.check import is_complete
    from genolang.semantics.sections import train_settings

    words = ["genoc", "train", str(found)]
    complete = [r for r in checked.module.definitions.values() if r.kind == "network" and is_complete(r)]
    if train_settings(checked.module.sections("train"), {}).network is None and len(complete) > 1:
        words += ["--network", program.name]
    return shlex.join(words)

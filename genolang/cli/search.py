"""`genoc search`: run a spec's search and write the answer back as a spec."""

from __future__ import annotations

from typing import Any

import click

from genolang.cli.runs import Request, run_options


@click.command("search")
@run_options
def search(as_json: bool, **asked: Any) -> None:
    """Run a spec's search and write the answer back as a new spec.

    The answer is the spec itself with its choices replaced: found.geno in the run's folder. Beside its
    score stands that of random answers, trained for as long.

    \b
    genoc search first.geno
    genoc search darts/search --data cifar10:data --out runs/darts --seed 2
    genoc search darts/search --resume runs/darts
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


def _run(request: Request, quiet: bool) -> dict[str, Any]:
    from genolang.cli import runs
    from genolang.cli.progress import ConsoleReporter
    from genolang.diagnostics import fail
    from genolang.search.search import run_search
    from genolang.semantics.check import expand_network
    from genolang.semantics.sections import search_settings
    from genolang.semantics.settings import SearchSettings

    runs.use_threads(request.threads)
    checked = runs.read_spec(request)
    given, changed = runs.split_values(request.values, SearchSettings)
    sections = checked.module.sections("search")
    if not sections:
        raise fail("G508", f"{checked.module.source.name} has no `search` section",
                   help="add one: `search { method darts }`")  # fmt: skip
    if changed:
        sections = [*sections, runs.setting_section("search", changed)]
    settings = search_settings(sections, {})
    program = expand_network(checked, request.network, given)
    if not program.choices:
        raise fail("G505", f"the network `{program.name}` has no choices to search",
                   help="write one: `choice operation = skip | sep_conv(3)`")  # fmt: skip
    device = runs.choose_device(request.device)
    data = runs.read_data(request.data or settings.data, program)
    seed = settings.seed if request.seed is None else request.seed
    with runs.open_run(request, checked.module.source.text) as run:
        reporter = ConsoleReporter(quiet=quiet)
        reporter.message(f"searching `{program.name}` on {data.name}, seed {seed}, in {run.path}")
        result = run_search(
            checked, request.network, given, settings, data, run, seed=seed, device=device,
            resume=request.resume is not None, reporter=reporter,
        )  # fmt: skip
        return _write(request, checked, program, settings, result, run)


def _write(
    request: Request, checked: Any, program: Any, settings: Any, result: Any, run: Any
) -> dict[str, Any]:  # fmt: skip
    import hashlib
    from pathlib import Path

    from genolang.cli.new import write_text
    from genolang.search.space import describe_genotype
    from genolang.search.writeback import discrete_text, recheck
    from genolang.version import __version__

    source = checked.module.source
    digest = hashlib.sha256(source.text.encode()).hexdigest()
    found = Path(run.path) / "found.geno"
    method = f"{settings.method}(order={settings.order})"
    header = [
        f"found by: {method} seed {result.seed}, epoch {settings.epochs}, score {result.score:.4f}",
        f"from: {Path(source.name).name} (sha256 {digest[:16]}), data {request.data or settings.data}",
    ]
    if result.baseline_random is not None:
        header.append(f"control: random genotypes, trained as long, score {result.baseline_random:.4f}")
    header.append(f"written by genolang {__version__}")
    text = discrete_text(checked, program, result.genotype, header)
    recheck(checked, text)
    write_text(found, text)
    answer = {
        "found": str(found), "score": result.score, "baseline_random": result.baseline_random,
        "seconds": result.seconds, "run": str(run.path),
    }  # fmt: skip
    run.write_metrics({**answer, "seed": result.seed, "baseline": list(result.baseline),
                       "genotype": result.genotype.to_json()})  # fmt: skip
    summary = [f"{cell}\n" + "\n".join(f"  {line}" for line in lines)
               for cell, lines in describe_genotype(program, result.genotype).items()]  # fmt: skip
    summary.append(f"score {result.score:.4f}")
    if result.baseline:
        listed = ", ".join(f"{score:.4f}" for score in result.baseline)
        better = sum(result.score > score for score in result.baseline)
        summary.append(f"random {result.baseline_random:.4f} (mean of {listed});"
                       f" the answer beats {better} of {len(result.baseline)}")  # fmt: skip
    summary.append(f"wrote {found}")
    return answer | {"summary": summary}

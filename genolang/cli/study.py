"""`genoc study`: numbers and a chart about searches: schemes, correlation, convergence, gradcam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from genolang.cli.options import jobs_option, json_option
from genolang.cli.request import Request, run_options

_METHOD = click.option("--method", metavar="METHOD", help="Instead of the spec's: ean, 'ean(steps=50)' ...")
_OUTPUT = click.option("-o", "--output", metavar="FILE", help="Write the chart here.")


@click.group()
def study() -> None:
    """Statistics of searches, each with its numbers, study.json and a chart.

    \b
    genoc study schemes slots.geno --network searched --count 10 --random 10
    genoc study correlation slots.geno --network searched --count 20 --threads 1 --jobs 2
    genoc study convergence runs/ean runs/enas
    genoc study gradcam runs/plain runs/found
    """


@study.command()
@run_options
@jobs_option
@_METHOD
@click.option("--count", type=click.IntRange(2), default=10, show_default=True, help="Searches.")
@click.option("--random", type=click.IntRange(2), default=10, show_default=True, help="Random schemes.")
def schemes(as_json: bool, count: int, random: int, **asked: Any) -> None:
    """Searched schemes against random ones with as many connections, by Welch's t-test.

    All searches sample one supernet; every scheme is trained from scratch as `score` says.
    """
    more = ("--count", str(count), "--random", str(random))
    _answer(lambda: _schemes(Request("study schemes", **asked, more=more), count, random, as_json), as_json)


@study.command()
@run_options
@jobs_option
@_METHOD
@click.option("--count", type=click.IntRange(3), default=20, show_default=True, help="Random schemes.")
def correlation(as_json: bool, count: int, **asked: Any) -> None:
    """Accuracies of random schemes in the supernet against those trained from scratch."""
    request = Request("study correlation", **asked, more=("--count", str(count)))
    _answer(lambda: _correlation(request, count, as_json), as_json)


@study.command()
@click.argument("runs", nargs=-1, required=True)
@_OUTPUT
@json_option
def convergence(runs: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """The mean probability of the sampled scheme by step, of every sampled search in some runs.

    At 1 a controller always gives the same scheme (Efficient Attention Network, figure 5). RUNS are
    folders of `genoc search`.
    """
    _answer(lambda: _convergence(runs, output), as_json)


@study.command()
@click.argument("first")
@click.argument("second")
@click.option("--images", type=click.IntRange(1, 64), default=6, show_default=True, help="Test images.")
@click.option("--data", metavar="NAME", help="Instead of the first run's.")
@_OUTPUT
@json_option
def gradcam(first: str, second: str, images: int, data: str | None, output: str | None, as_json: bool) -> None:
    """Where two trained networks look: Grad-CAM of the first test images' right answers.

    FIRST and SECOND are folders of `genoc train`.
    """
    _answer(lambda: _gradcam((first, second), images, data, output), as_json)


def _answer(work: Callable[[], tuple[dict[str, Any], list[str]]], as_json: bool) -> None:
    from genolang.cli.output import print_json
    from genolang.diagnostics import GenoError

    try:
        found, summary = work()
    except GenoError as error:
        _fail(error, as_json)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(summary))


def _fail(error: Any, as_json: bool) -> NoReturn:
    from genolang.cli.output import fail_with

    fail_with(error, as_json)


def _schemes(request: Request, count: int, random: int, quiet: bool) -> tuple[dict[str, Any], list[str]]:
    from dataclasses import asdict

    from genolang.cli.reporting.charts import score_chart
    from genolang.search.studies import study_schemes

    def work(job: Any) -> tuple[dict[str, Any], list[str], str]:
        found = study_schemes(job, count, random)
        test = found.test
        rows = [
            (f"searched by {job.settings.method}", [one.accuracy for one in found.searched], True),
            ("random", [one.accuracy for one in found.random], False),
        ]
        verdict = "no variance, so no test" if test.p is None else f"Welch t {test.t:.3f}, p {test.p:.3g}"
        lines = [
            f"searched  {test.first_mean:.4f} (std {test.first_std:.4f}, n {test.first})",
            f"random    {test.second_mean:.4f} (std {test.second_std:.4f}, n {test.second}), with as many connections",
            verdict,
        ]
        return asdict(found), lines, score_chart("accuracy from scratch", rows)

    return _in_run(request, quiet, work)


def _correlation(request: Request, count: int, quiet: bool) -> tuple[dict[str, Any], list[str]]:
    from dataclasses import asdict

    from genolang.cli.reporting.studies import scatter_chart
    from genolang.search.studies import study_correlation

    def work(job: Any) -> tuple[dict[str, Any], list[str], str]:
        found = study_correlation(job, count)
        numbers = found.found
        if numbers.pearson is None or numbers.spearman is None:
            lines = [f"n {numbers.n}: one side does not vary, so there is no correlation"]
        else:
            lines = [
                f"Pearson r {numbers.pearson:.3f} (p {numbers.pearson_p:.3g}), Spearman rho"
                f" {numbers.spearman:.3f} (p {numbers.spearman_p:.3g}), n {numbers.n}"
            ]
        pairs = [(inside, alone, scheme) for scheme, inside, alone in found.pairs]
        chart = scatter_chart(f"{numbers.n} random schemes", "accuracy in the supernet", "accuracy from scratch", pairs)
        return asdict(found), lines, chart

    return _in_run(request, quiet, work)


def _in_run(
    request: Request, quiet: bool, work: Callable[[Any], tuple[dict[str, Any], list[str], str]]
) -> tuple[dict[str, Any], list[str]]:
    """The study in a run folder of its own, which gets study.json and a chart."""
    from genolang.cli import runs
    from genolang.cli.progress import ConsoleReporter
    from genolang.cli.search import prepare
    from genolang.diagnostics import fail
    from genolang.files import write_json, write_text
    from genolang.search.job import Job
    from genolang.train.phase import Phase

    request = runs.begun(request)
    ready = prepare(request)
    if ready.settings.method == "all":
        raise fail("G503", "a study is of one method, not of `all`", help="--method ean")
    name = request.verb.split()[1]
    with runs.open_run(request, ready.checked, ready.facts(request)) as run, runs.workers_for(request, run) as workers:
        reporter = ConsoleReporter(quiet=quiet)
        for line in run.told:
            reporter.message(line)
        whole = Phase(
            ready.settings.seed,
            ready.device,
            run,
            resume=request.resume is not None,
            reporter=reporter,
            without=request.without,
        )
        job = Job(ready.checked, ready.program, ready.given, ready.settings, ready.data, whole, workers)
        job.open()
        found, lines, chart = work(job)
        write_text(run.path / f"{name}.svg", chart)
        found |= {"chart": str(run.path / f"{name}.svg"), "run": str(run.path)}
        write_json(run.path / "study.json", found)
    return found, [*lines, f"wrote {found['chart']}"]


def _convergence(runs: tuple[str, ...], output: str | None) -> tuple[dict[str, Any], list[str]]:
    from genolang.cli.reporting.charts import line_chart
    from genolang.cli.reporting.reading import read_run
    from genolang.diagnostics import fail
    from genolang.files import write_text

    curves: dict[str, list[tuple[float, float]]] = {}
    for path in runs:
        for phase in read_run(Path(path)).phases:
            curve = phase.curves().get("p_bar")
            if curve:
                name = phase.name.removeprefix("search-")
                curves[name if len(runs) == 1 else f"{Path(path).name}: {name}"] = curve
    if not curves:
        raise fail(
            "G704",
            f"no journal of {', '.join(runs)} has steps of a controller",
            help="name runs of `genoc search` by ean, enas or genetic",
        )
    target = Path(output) if output else Path(runs[0]) / "convergence.svg"
    chart = line_chart("mean probability of the scheme", "step", curves)
    write_text(target, chart)
    rows = {}
    for name, curve in curves.items():
        sure = next((int(step) for step, value in curve if value >= 0.9), None)
        rows[name] = {
            "steps": len(curve),
            "first": curve[0][1],
            "last": curve[-1][1],
            "first_at_0.9": sure,
            "p_bar": [value for _, value in curve],
        }
    lines = [
        f"{name}: {row['first']:.3f} at first, {row['last']:.3f} after {row['steps']} steps; 0.9 "
        + (f"at step {row['first_at_0.9']}" if row["first_at_0.9"] else "never")
        for name, row in rows.items()
    ]
    return {"curves": rows, "chart": str(target)}, [*lines, f"wrote {target}"]


def _gradcam(
    paths: tuple[str, str], count: int, data_name: str | None, output: str | None
) -> tuple[dict[str, Any], list[str]]:
    from genolang.cli.reporting.explained import explain_runs
    from genolang.files import write_text

    found, chart = explain_runs(paths, count, data_name)
    target = Path(output) if output else Path(paths[1]) / "gradcam.svg"
    write_text(target, chart)
    lines = [
        f"image {row['image']}: class {row['label']}, scores "
        + " and ".join(f"{score:.4f}" for score in row["scores"])
        + f", maps correlate {_shown(row['correlation'])}"
        for row in found["images"]
    ]
    mean = _shown(found["mean_correlation"])
    return found | {"chart": str(target)}, [*lines, f"mean correlation {mean}", f"wrote {target}"]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""`genoc report`: a run as one static HTML page."""

from __future__ import annotations

import click

from genolang.cli.options import json_option


@click.command("report")
@click.argument("run")
@click.option("-o", "--output", metavar="FILE", help="Write this file; else report.html in the run's folder.")
@json_option
def report(run: str, output: str | None, as_json: bool) -> None:
    """Write the page of a run: results, control, the found cells, curves, choices, specs.

    RUN is the folder of a search or training, finished or not. The page needs nothing else and loads
    nothing.

    \b
    genoc report runs/first-search-1
    """
    from pathlib import Path

    from genolang.cli.output import fail_with, print_json
    from genolang.cli.reporting.page import write_page
    from genolang.cli.reporting.reading import read_run
    from genolang.diagnostics import GenoError
    from genolang.files import write_text

    try:
        found = read_run(Path(run))
        target = found.path / "report.html" if output is None else Path(output)
        write_text(target, write_page(found))
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json({"file": str(target), "run": run, "finished": found.metrics is not None})
    else:
        click.echo(f"wrote {target}", err=True)

"""`genoc export`: a spec in other people's notations. Never imports torch."""

from __future__ import annotations

import click

from genolang.cli.options import json_option
from genolang.search.notations import FORMATS


@click.command("export")
@click.argument("format", type=click.Choice(list(FORMATS)))
@click.argument("spec")
@click.option(
    "--name",
    metavar="NAME",
    help="Which cell (nasbench201) or network (ean); for darts, what the genotype is to be called.",
)
@json_option
def export(format: str, spec: str, name: str | None, as_json: bool) -> None:
    """Print a spec in another notation, where that has words for it.

    \b
    darts        the cells `normal` and `reduction` as a Genotype(...)
    nasbench201  a cell with one input, as |op~0|+|op~0|op~1|+|...|
    ean          which blocks share a stage's module, in bits per stage

    \b
    genoc export darts found.geno
    """
    from genolang.api import load
    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError
    from genolang.search.notations import notation

    try:
        text = notation(format).write(load(spec).checked.module, name)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json({"format": format, "text": text.rstrip("\n")})
    else:
        click.echo(text, nl=False)

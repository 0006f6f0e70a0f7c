"""`genoc show`: draws what a spec says, as SVG, HTML, Mermaid or Graphviz text. Never imports torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genolang.cli.options import json_option, set_option

if TYPE_CHECKING:
    from genolang.drawing.picture import Picture

FORMATS = ("svg", "html", "mmd", "dot")
Shape = tuple[int, int, int]


def _shape(context: click.Context, option: click.Parameter, value: str) -> Shape:
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})x([1-9]\d{0,5})", value, re.ASCII)
    if match is None:
        raise click.BadParameter(f"{value!r} is not of the form CxHxW, such as 128x8x8")
    return int(match[1]), int(match[2]), int(match[3])


@click.command("show")
@click.argument("spec")
@click.option("--network", metavar="NAME", help="Draw this network only, beside the cells.")
@set_option("Change a parameter of the network: --set auxiliary=true.")
@click.option("--only", metavar="NAME", help="Draw one cell, network or operation, such as 'se(r=8)'.")
@click.option(
    "--on",
    "shape",
    metavar="CxHxW",
    callback=_shape,
    default="64x16x16",
    show_default=True,
    help="The map on which modules and operations are drawn.",
)
@click.option("-o", "--output", metavar="FILE", help=f"Write this file: .{', .'.join(FORMATS)}.")
@click.option("--format", "wanted", type=click.Choice(FORMATS), help="What to print without -o.")
@json_option
def show(
    spec: str,
    network: str | None,
    values: dict[str, str],
    only: str | None,
    shape: Shape,
    output: str | None,
    wanted: str | None,
    as_json: bool,
) -> None:
    """Draw cells, attention modules and networks.

    Without -o the drawing is printed, as SVG unless --format says otherwise.

    \b
    genoc show darts/v2 -o cells.svg
    genoc show att_darts/found --only 'cbam_code(r=8)' -o cbam.html
    """
    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError
    from genolang.files import write_text

    form = _format(output, wanted)
    try:
        pictures = _pictures(spec, network, values, only, shape)
        text = render(pictures, form, Path(spec).name)
        if output is not None:
            write_text(Path(output), text)
    except GenoError as error:
        fail_with(error, as_json)
    names = [picture.name for picture in pictures]
    if as_json:
        print_json({"file": output, "pictures": names, "format": form})
    elif output is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"{output}: {', '.join(names)}", err=True)


def _format(output: str | None, wanted: str | None) -> str:
    """The format, which a file's suffix says; anything else is a wrong call."""
    if output is None:
        return wanted or FORMATS[0]
    suffix = Path(output).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise click.BadParameter(f"{output!r} ends in none of .{', .'.join(FORMATS)}", param_hint="-o")
    if wanted is not None and wanted != suffix:
        raise click.BadParameter(f"{output!r} is not a .{wanted} file", param_hint="--format")
    return suffix


def _pictures(spec: str, network: str | None, values: dict[str, str], only: str | None, shape: Shape) -> list[Picture]:
    from genolang.api import locate
    from genolang.drawing.gather import gather
    from genolang.semantics.check import check_source
    from genolang.semantics.modules import read_source

    path = locate(spec)
    return gather(check_source(read_source(str(path)), path), network, values, only, shape)


def render(pictures: list[Picture], form: str, title: str) -> str:
    """The pictures in one of FORMATS."""
    from genolang.drawing.svg import write_svg
    from genolang.drawing.texts import write_dot, write_html, write_mermaid

    if form == "html":
        return write_html(pictures, title)
    return {"svg": write_svg, "mmd": write_mermaid, "dot": write_dot}[form](pictures)

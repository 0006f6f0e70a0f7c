"""`genoc show`: draws what a spec says, as SVG, HTML, Mermaid or Graphviz text."""

from __future__ import annotations

import json
from pathlib import Path

import click

from genolang.cli.drawing.picture import Picture
from genolang.diagnostics import fail

FORMATS = ("svg", "html", "mmd", "dot")


def _settings(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    given = {}
    for value in values:
        key, sign, text = value.partition("=")
        if not sign or not key.strip():
            raise click.BadParameter(f"`{value}` is not `name=value`")
        given[key.strip()] = text.strip()
    return given


@click.command()
@click.argument("spec")
@click.option("--network", metavar="NAME", help="Draw this network only, beside the cells.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", callback=_settings,
              help="Give the network a parameter.")  # fmt: skip
@click.option("--only", metavar="NAME", help="Draw one cell, network or operation, such as `se(r=8)`.")
@click.option("-o", "--output", metavar="FILE", help=f"Write a file: .{', .'.join(FORMATS)}.")
@click.option("--format", "wanted", type=click.Choice(FORMATS), help="What to write on stdout.")
@click.option("--json", "as_json", is_flag=True, help="Say what was drawn as one JSON object.")
def show(
    spec: str, network: str | None, given: dict[str, str], only: str | None, output: str | None,
    wanted: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Draw SPEC's cells, attention modules and networks.

    Without -o, the drawing goes to stdout, as SVG unless --format says otherwise.
    """
    from genolang.cli.drawing.gather import gather
    from genolang.semantics.check import check_source
    from genolang.semantics.modules import read_source

    form = _format(output, wanted)
    target = None if output is None else Path(output)
    if target is not None and target.is_dir():
        raise fail("G709", f"cannot write `{output}`: it is a folder", help="name a file in it")
    checked = check_source(read_source(spec), Path(spec))
    pictures = gather(checked, network, given, only)
    text = render(pictures, form, Path(spec).name)
    if target is not None:
        from genolang.train.files import write_atomically

        write_atomically(target, text.encode("utf-8"))
    names = [picture.name for picture in pictures]
    if as_json:
        click.echo(json.dumps({"file": output, "pictures": names, "format": form}))
    elif target is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"{output}: {', '.join(names)}", err=True)


def _format(output: str | None, wanted: str | None) -> str:
    """The format: a file's suffix says it. A wrong call ends with a usage error."""
    if output is None:
        return wanted or "svg"
    suffix = Path(output).suffix.lower().removeprefix(".")
    if suffix not in FORMATS and not Path(output).is_dir():
        raise click.BadParameter(f"`{output}` ends in none of .{', .'.join(FORMATS)}", param_hint="-o")
    if wanted is not None and wanted != suffix:
        raise click.BadParameter(f"`{output}` is not a .{wanted} file", param_hint="--format")
    return suffix


def render(pictures: list[Picture], form: str, title: str) -> str:
    """The pictures in one of FORMATS."""
    from genolang.cli.drawing.svg import write_svg
    from genolang.cli.drawing.texts import write_dot, write_html, write_mermaid

    if form == "html":
        return write_html(pictures, title)
    return {"svg": write_svg, "mmd": write_mermaid, "dot": write_dot}[form](pictures)

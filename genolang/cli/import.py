"""`genoc import`: other people's notations as a spec. Never imports torch."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from genolang.cli.options import json_option
from genolang.search.notations import FORMATS

if TYPE_CHECKING:
    from genolang.diagnostics import Source


@click.command("import")
@click.argument("format", type=click.Choice(list(FORMATS)))
@click.argument("input")
@click.option("--name", metavar="NAME", help="Which of several genotypes; or what the cell or network is to be called.")
@click.option("-o", "--output", metavar="FILE", help="Write this file instead of printing the spec.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@json_option
def import_command(format: str, input: str, name: str | None, output: str | None, force: bool, as_json: bool) -> None:
    """Turn another notation into a spec. INPUT is a file, `-` for stdin, or the text itself.

    \b
    darts        a Genotype(...) of DARTS, PC-DARTS, P-DARTS or Att-DARTS; read, never run
    nasbench201  |nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|...|
    ean          bits per stage: 001100...,000111...,101100...

    \b
    genoc import darts genotypes.py --name PC_DARTS_cifar -o found.geno
    genoc import nasbench201 '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|'
    """
    from pathlib import Path

    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError, fail
    from genolang.files import write_text
    from genolang.search.notations import read_spec

    try:
        text = read_spec(format, _source(input), name)
        if output is not None:
            if os.path.lexists(output) and not force:
                raise fail("G707", f"{output} is there already", help="--force overwrites it")
            write_text(Path(output), text)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json({"format": format, "file": output, "text": text})
    elif output is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"wrote {output}; next: genoc check {output}, genoc plan {output}", err=True)


def _source(given: str) -> Source:
    """A file's text, stdin's, or the words themselves where no file has that name."""
    from genolang.semantics.modules import decode, read_source, read_stream, source_of

    if given == "-":
        return decode("<stdin>", read_stream("<stdin>", sys.stdin.buffer))
    words = any(sign in given for sign in "(|\n") or not set(given) - set("01, ")
    return source_of("<text>", given) if words and not os.path.isfile(given) else read_source(given)

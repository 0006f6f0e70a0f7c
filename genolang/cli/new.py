"""`genoc new`: a spec to begin with."""

from __future__ import annotations

import os

import click


@click.command("new")
@click.argument("file")
@click.option(
    "--from",
    "origin",
    default="quickstart",
    show_default=True,
    metavar="NAME",
    help="The shipped spec to copy, such as darts/v2.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def new(file: str, origin: str, force: bool) -> None:
    """Write a commented starting spec, copied from a shipped one.

    \b
    genoc new first.geno
    genoc new mine.geno --from att_darts/search
    """
    from pathlib import Path

    from genolang.cli.output import fail_with
    from genolang.diagnostics import GenoError, did_you_mean, fail
    from genolang.files import write_text
    from genolang.semantics.modules import LIBRARY, library_names

    try:
        names = ["/".join(parts) for parts in library_names()]
        wanted = origin.removesuffix(".geno").removeprefix("specs/")
        if wanted not in names:
            raise fail(
                "G001",
                f"no shipped spec is called `{origin}`",
                help=did_you_mean(wanted, names) or f"there are {', '.join(names)}",
            )
        target = Path(file)
        if os.path.lexists(target) and not force:
            raise fail("G707", f"{file} is there already", help="--force overwrites it")
        write_text(target, LIBRARY.joinpath(wanted).with_suffix(".geno").read_text("utf-8"))
    except GenoError as error:
        fail_with(error, False)
    click.echo(f"wrote {file}; next: genoc check {file}, genoc plan {file}", err=True)

"""`genoc new`: a spec to begin with."""

from __future__ import annotations

import click


@click.command("new")
@click.argument("file")
@click.option("--from", "origin", default="quickstart", show_default=True, metavar="NAME",
              help="The shipped spec to copy, such as darts/v2.")  # fmt: skip
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
    from genolang.semantics.modules import LIBRARY, library_names

    try:
        names = ["/".join(parts) for parts in library_names()]
        wanted = origin.removesuffix(".geno").removeprefix("specs/")
        if wanted not in names:
            raise fail("G001", f"no shipped spec is called `{origin}`",
                       help=did_you_mean(wanted, names) or f"there are {', '.join(names)}")  # fmt: skip
        target = Path(file)
        if target.exists() and not force:
            raise fail("G707", f"{file} is there already", help="--force overwrites it")
        write_text(target, LIBRARY.joinpath(wanted).with_suffix(".geno").read_text("utf-8"))
    except GenoError as error:
        fail_with(error, False)
    click.echo(f"wrote {file}; next: genoc check {file}, genoc plan {file}", err=True)


def write_text(target: object, text: str) -> None:
    """Write a text file whole or not at all. Error: G709."""
    import os
    import tempfile
    from pathlib import Path

    from genolang.diagnostics import fail

    path = Path(str(target))
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise fail("G709", f"cannot write {path}: {error.strerror}") from None


def _umask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask

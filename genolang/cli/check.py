"""`genoc check`: every diagnostic of one or more specs. Never imports torch."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from genolang.cli.options import json_option


@click.command("check")
@click.argument("files", nargs=-1, required=True)
@json_option
def check(files: tuple[str, ...], as_json: bool) -> None:
    """Say everything that is wrong with specs, before any of it runs.

    \b
    genoc check my.geno
    genoc check --json specs/*.geno
    """
    from genolang.api import locate
    from genolang.cli.output import print_json, show, summary
    from genolang.diagnostics import Diagnostic, GenoError
    from genolang.semantics.check import check_source
    from genolang.semantics.modules import read_source

    # A check is short and makes no cycles worth collecting; the collector would take a fifth of it.
    gc.disable()
    found: list[Diagnostic] = []
    unreadable = False
    for name in files:
        path: Path = locate(name)
        try:
            found += check_source(read_source(str(path)), path).diagnostics
        except GenoError as error:
            found += error.diagnostics
            unreadable = unreadable or any(d.code == "G001" for d in error.diagnostics)
    ok = not any(d.severity == "error" for d in found)
    if as_json:
        print_json({"ok": ok, "diagnostics": [d.to_json() for d in found]})
    else:
        show(found)
        said = summary(found) or "no problems"
        print(f"{said} in {len(files)} file{'s' if len(files) > 1 else ''}", file=sys.stderr)
    sys.exit(0 if ok else 2 if unreadable else 1)

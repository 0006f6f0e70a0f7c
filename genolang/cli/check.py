"""`genoc check`: every diagnostic of one or more specs. Never imports torch."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from genolang.cli.options import json_option


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE|DIR...")
@click.option(
    "--stdin-name", metavar="FILE", help="What `-` is called in messages, and where its imports are looked for."
)
@json_option
def check(files: tuple[str, ...], stdin_name: str | None, as_json: bool) -> None:
    """Say everything that is wrong with specs, before any of it runs; of a folder, with all below it.

    \b
    genoc check my.geno
    genoc check --json specs/
    genoc check - --stdin-name specs/my.geno < my.geno
    """
    from genolang.api import locate
    from genolang.cli.output import print_json, show, summary
    from genolang.cli.specs import STDIN, named_specs
    from genolang.diagnostics import Diagnostic, GenoError
    from genolang.semantics.check import check_source
    from genolang.semantics.modules import decode, read_source, read_stream

    # A check is short and makes no cycles worth collecting; the collector would take a fifth of it.
    gc.disable()
    found: list[Diagnostic] = []
    unreadable = False
    count = 0
    for given in files:
        try:
            for name in named_specs([given]):
                count += 1
                if name == STDIN:
                    path = None if stdin_name is None else Path(stdin_name)
                    source = decode(stdin_name or "<stdin>", read_stream(stdin_name or "<stdin>", sys.stdin.buffer))
                else:
                    path = locate(name)
                    source = read_source(str(path))
                found += check_source(source, path).diagnostics
        except GenoError as error:
            found += error.diagnostics
            unreadable = unreadable or any(d.code == "G001" for d in error.diagnostics)
    ok = not any(d.severity == "error" for d in found)
    if as_json:
        print_json({"ok": ok, "diagnostics": [d.to_json() for d in found]})
    else:
        show(found)
        said = summary(found) or "no problems"
        print(f"{said} in {count} file{'' if count == 1 else 's'}", file=sys.stderr)
    sys.exit(0 if ok else 2 if unreadable else 1)

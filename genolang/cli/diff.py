"""`genoc diff`: what has changed between two specs, by meaning. Never imports torch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from genolang.semantics.compare import Change
    from genolang.semantics.modules import Module


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--exit-code", "as_exit_code", is_flag=True, help="Exit 1 where the two differ.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of changes on stdout.")
def diff(before: str, after: str, as_exit_code: bool, as_json: bool) -> None:
    """What changed from A to B: operations, edges, parameters, settings; not lines.

    Formatting, comments, the order of definitions and written-out defaults are no change.

    \b
    genoc diff darts/v1 darts/v2
    genoc diff first.geno runs/first-search-1/found.geno
    """
    from genolang.cli.output import fail_with, print_json, use_color
    from genolang.diagnostics import GenoError
    from genolang.semantics.compare import compare

    try:
        changes = compare(_load(before), _load(after))
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json([change.to_json() for change in changes])
    elif changes:
        click.echo("\n".join(lines(changes, color=use_color(sys.stdout))), color=True)
    else:
        click.echo("no difference in meaning", err=True)
    sys.exit(1 if as_exit_code and changes else 0)


def _load(name: str) -> Module:
    """A file with its imports. Raises GenoError with what is wrong with their text."""
    from genolang.api import locate
    from genolang.diagnostics import GenoError
    from genolang.semantics.modules import load_module, read_source

    path = locate(name)
    module = load_module(read_source(str(path)), path)
    errors = [d for d in module.all_diagnostics if d.severity == "error"]
    if errors:
        raise GenoError(errors)
    return module


def lines(changes: list[Change], *, color: bool) -> list[str]:
    """The changes for people: where, and what stood and stands there."""
    found: list[str] = []
    for change in changes:
        shown = [(sign, what) for sign, what in (("-", change.before), ("+", change.after)) if what]
        what, _, how = change.kind.rpartition("-")
        if how in ("added", "removed"):
            ((sign, written),) = shown
            # A whole definition or section is named, not repeated.
            line = f"{sign} {change.where}" + ("" if what in ("definition", "section") else f": {written}")
            found.append(_painted(line, sign, color))
            continue
        found.append(f"~ {change.where} ({what} {how})")
        found += [_painted(f"    {sign} {written}", sign, color) for sign, written in shown]
    return found


def _painted(line: str, sign: str, color: bool) -> str:
    return click.style(line, fg={"-": "red", "+": "green"}[sign]) if color else line

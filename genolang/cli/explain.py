"""`genoc explain`: the page of a code, or where a name is defined and what it is. Never imports torch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from genolang.cli.options import json_option

if TYPE_CHECKING:
    from genolang.semantics.lookup import Entry


@click.command("explain")
@click.argument("word", metavar="CODE|NAME")
@json_option
def explain(word: str, as_json: bool) -> None:
    """Explain a diagnostic, or say where a name is defined and show it.

    \b
    genoc explain G301              by number
    genoc explain shapes-differ     by name
    genoc explain cbam              a definition of the library
    genoc explain std.attention     what a file of the library defines
    genoc explain conv              a primitive
    """
    from genolang.cli.output import print_json
    from genolang.diagnostics.codes import CODES
    from genolang.diagnostics.pages import find_code, page

    code = find_code(word)
    if code is not None:
        if as_json:
            print_json({"ok": True, "code": code, "name": CODES[code], "page": page(code)})
        else:
            _show_markdown(page(code))
        return
    from genolang.semantics.lookup import find_entries

    entries = find_entries(word)
    if not entries:
        _unknown(word, as_json)
    if as_json:
        print_json({"ok": True, "found": [entry.to_json() for entry in entries]})
    else:
        print("\n\n".join(map(_show_entry, entries)))


def _unknown(word: str, as_json: bool) -> None:
    from genolang.cli.output import print_json
    from genolang.diagnostics import did_you_mean
    from genolang.diagnostics.codes import CODES
    from genolang.semantics.lookup import known_names

    near = did_you_mean(word, {*CODES, *CODES.values(), *known_names()})
    message = f"no code, definition or primitive is called {word[:60]!r}"
    if as_json:
        print_json({"ok": False, "message": message, "help": near})
    else:
        print(message + (f"; {near}" if near else ""), file=sys.stderr)
    sys.exit(2)


def _show_markdown(text: str) -> None:
    """The page as it is, or typeset where somebody looks at it on a terminal."""
    from genolang.cli.output import use_color

    if not use_color(sys.stdout):
        print(text.rstrip("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    # What follows the word `geno` on a fence is for the tests.
    for info in ("geno bad", "geno good"):
        text = text.replace(f"```{info}\n", "```\n")
    Console().print(Markdown(text))


def _show_entry(entry: Entry) -> str:
    place = entry.file if entry.line == 0 or entry.kind == "file" else f"{entry.file}:{entry.line}"
    lines = [f"{entry.name}: {entry.kind}, {place}", f"  {entry.signature}"]
    if entry.comment:
        lines += ["", entry.comment]
    if entry.text:
        lines += ["", entry.text]
    return "\n".join(lines)

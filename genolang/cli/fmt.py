"""`genoc fmt`: the one canonical form. Never imports torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from genolang.cli.options import json_option

if TYPE_CHECKING:
    from genolang.diagnostics import Diagnostic, Source

_STDIN = "-"


@dataclass(slots=True)
class _Outcome:
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    diffs: dict[str, str] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    text: str | None = None

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "changed": self.changed,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "diagnostics": [d.to_json() for d in self.diagnostics],
        }
        if self.diffs:
            found["diffs"] = self.diffs
        if self.text is not None:
            found["text"] = self.text
        return found


@click.command("fmt")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
@json_option
def fmt(files: tuple[str, ...], check: bool, diff: bool, as_json: bool) -> None:
    """Bring specs into the one canonical form; `-` reads stdin and writes stdout.

    \b
    genoc fmt my.geno
    genoc fmt --check specs/*.geno
    genoc fmt - < my.geno
    """
    from genolang.cli.output import print_json, show, summary
    from genolang.diagnostics import GenoError

    outcome = _Outcome()
    for name in dict.fromkeys(files):
        shown = "<stdin>" if name == _STDIN else name
        try:
            changed = _format(name, shown, outcome, write=not (check or diff), diff=diff)
        except GenoError as error:
            outcome.failed.append(shown)
            outcome.diagnostics += error.diagnostics
        else:
            (outcome.changed if changed else outcome.unchanged).append(shown)
    if as_json:
        print_json(outcome.to_json())
    else:
        show(outcome.diagnostics)
        for text in (*outcome.diffs.values(), outcome.text):
            sys.stdout.write(text or "")
        verb = "would change" if check or diff else "changed"
        for name in outcome.changed:
            print(f"{verb}: {name}", file=sys.stderr)
        if outcome.failed:
            print(f"{summary(outcome.diagnostics)}; not formatted: {', '.join(outcome.failed)}", file=sys.stderr)
    sys.exit(_exit_code(outcome, check))


def _exit_code(outcome: _Outcome, check: bool) -> int:
    if any(d.code == "G001" for d in outcome.diagnostics):
        return 2
    return 1 if outcome.failed or (check and outcome.changed) else 0


def _format(name: str, shown: str, outcome: _Outcome, *, write: bool, diff: bool) -> bool:
    """Format one file; whether it changes. Errors: as of `read_source`, `format_source`, G709."""
    import os
    from pathlib import Path

    from genolang.files import write_text
    from genolang.lang.formatter import format_source
    from genolang.semantics.modules import decode, read_raw, read_stream

    raw = read_stream(shown, sys.stdin.buffer) if name == _STDIN else read_raw(name)
    source = decode(shown, raw)
    text = format_source(source)
    _verify(source, text)
    changed = raw != text.encode()
    if diff and changed:
        outcome.diffs[shown] = _difference(source, raw, text)
    if write and name == _STDIN:
        outcome.text = text
    elif write and changed:
        write_text(Path(os.path.realpath(name)), text)
    return changed


def _verify(source: Source, text: str) -> None:
    """A file is replaced only by a text of the same meaning."""
    from genolang.diagnostics import Source as Text
    from genolang.diagnostics import fail
    from genolang.lang.parser import parse

    before, after = parse(source)[0], parse(Text(source.name, text))[0]
    try:
        same = before.items == after.items and len(before.comments) == len(after.comments)
    except RecursionError:
        raise fail("G007", f"{source.name} nests too deeply to be formatted") from None
    assert same, f"formatting {source.name} would change its meaning"


def _difference(source: Source, raw: bytes, text: str) -> str:
    import difflib

    if source.text == text:
        return f"{source.name}: line ends or byte order mark\n"
    before, after = source.text.split("\n"), text.split("\n")
    lines = difflib.unified_diff(before, after, source.name, f"{source.name} (formatted)", lineterm="")
    return "".join(f"{line}\n" for line in lines)

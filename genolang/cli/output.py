"""How commands speak: results on stdout, talk on stderr, exit 1 for programs, 2 for calls."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from genolang.diagnostics import Diagnostic, GenoError, render

# What is wrong with these is how the command was called, not a program.
_CALL = frozenset(
    (
        "G001",
        "G408",
        "G409",
        "G601",
        "G602",
        "G607",
        "G608",
        "G703",
        "G704",
        "G706",
        "G707",
        "G708",
        "G712",
        "G713",
        "G714",
        "G715",
    )
)


def use_color(stream: Any) -> bool:
    """Colour only on a terminal, and never where NO_COLOR is set."""
    return bool(stream.isatty()) and "NO_COLOR" not in os.environ


def show(diagnostics: Iterable[Diagnostic]) -> None:
    """Diagnostics for people, on stderr."""
    found = list(diagnostics)
    color = use_color(sys.stderr)
    for diagnostic in found:
        print(render(diagnostic, color=color), end="\n\n", file=sys.stderr)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors and 1 warning`, or an empty string."""
    found = list(diagnostics)
    parts = []
    for severity in ("error", "warning"):
        count = sum(d.severity == severity for d in found)
        if count:
            parts.append(f"{count} {severity}{'s' if count > 1 else ''}")
    return " and ".join(parts)


def print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False))


def exit_code(error: GenoError) -> int:
    codes = {d.code for d in error.diagnostics}
    if "G710" in codes:
        return 130
    return 2 if codes <= _CALL else 1


def fail_with(error: GenoError, as_json: bool) -> NoReturn:
    """Say what is wrong and leave with the exit code that fits."""
    if as_json:
        print_json({"ok": False, "diagnostics": [d.to_json() for d in error.diagnostics]})
    else:
        show(error.diagnostics)
        if len(error.diagnostics) > 1:
            print(summary(error.diagnostics), file=sys.stderr)
    sys.exit(exit_code(error))


def number(value: int) -> str:
    """`1,930,618`."""
    return f"{value:,}"


def size(count: int) -> str:
    """Bytes in the unit that reads best."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError

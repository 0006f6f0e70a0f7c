"""The page of every code: what it means, an example that raises it and one that does not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from genolang.diagnostics.codes import CODES

FOLDER = Path(__file__).with_name("pages")


@cache
def page(code: str) -> str:
    """The Markdown page of a code, such as `G301`. KeyError for an unknown code."""
    if code not in CODES:
        raise KeyError(code)
    return (FOLDER / f"{code}.md").read_text("utf-8")


def find_code(word: str) -> str | None:
    """The code that a word names, by number or by name: `g301` and `shapes-differ` are `G301`."""
    upper = word.upper()
    if upper in CODES:
        return upper
    name = word.lower().replace("_", "-").replace(" ", "-")
    return next((code for code, known in CODES.items() if known == name), None)

"""The specs that a command line names: files, folders of them, standard input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from genolang.diagnostics import fail

STDIN = "-"


def named_specs(names: Iterable[str]) -> Iterator[str]:
    """Every name once, a folder's `.geno` files in its place, by name; hidden folders are passed over.

    Error: G001 for a folder without any.
    """
    seen = dict[str, None]()
    for name in names:
        for path in _below(name) if name != STDIN and os.path.isdir(name) else (name,):
            if path not in seen:
                seen[path] = None
                yield path


def _below(folder: str) -> list[str]:
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.normpath(os.path.join(place, name)) for name in sorted(files) if name.endswith(".geno")]
    if not found:
        raise fail("G001", f"there is no spec in the folder {folder}: no file ends in .geno")
    return found

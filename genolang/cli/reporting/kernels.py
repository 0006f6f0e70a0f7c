"""What `genoc compile` says of kernels: as plain data, and to people."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genolang.compiler.driver import ByLibrary, KernelUse, LeftOut, Line

# Characters of a source line that are shown.
SHOWN = 60
# Characters of a line that lists places.
WIDTH = 110


def kernels_json(kernels: Sequence[KernelUse]) -> list[dict[str, Any]]:
    """Every kernel, how often it runs in one forward pass, and the lines whose layers it computes."""
    return [
        {"name": kernel.name, "count": kernel.count, "lines": [line.place for line in kernel.lines]}
        for kernel in kernels
    ]


def plain_json(plain: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """Where a kernel nearly fits, or does and is not used, and why."""
    return [
        {"kernel": row.kernel, "count": row.line.count, "line": row.line.place, "reason": row.reason} for row in plain
    ]


def library_json(library: Sequence[ByLibrary]) -> list[dict[str, Any]]:
    """Every kind of layers that no kernel computes, how many in one forward pass, why, and their lines."""
    return [
        {"kind": row.kind, "count": row.count, "reason": row.reason, "lines": [line.place for line in row.lines]}
        for row in library
    ]


def library_text(library: Sequence[ByLibrary]) -> str:
    """A paragraph for every kind: its number, the reason, and its lines file by file."""
    blocks = ["left to the library: layers that no kernel computes, and why"]
    for row in library:
        blocks.append(f"  {row.kind} x {row.count:,}: {row.reason}")
        files: dict[str, list[str]] = {}
        for line in row.lines:
            files.setdefault(line.file, []).append(str(line.line))
        places = "  ".join(f"{file}:{','.join(lines)}" for file, lines in files.items())
        # A comma may end a line: a file with many numbers would be a long word.
        blocks += textwrap.wrap(
            places.replace(",", ", "), WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4, break_on_hyphens=False
        )
    return "\n".join(blocks)


def kernels_text(kernels: Sequence[KernelUse], plain: Sequence[LeftOut]) -> str:
    """The lines that became kernels, in their order, and those that did not."""
    rows = [(line, kernel.name) for kernel in kernels for line in kernel.lines]
    rows.sort(key=lambda row: (row[0].file, row[0].line, row[1]))
    blocks = ["kernels: what computes the layers of a line, and how often in one forward pass"]
    blocks += _aligned([(*_start(line, name), _text(line)) for line, name in rows] or [("none",)])
    if plain:
        blocks.append("plain operations: why a kernel nearly fits, or is not used")
        blocks += _aligned([(*_start(row.line, row.kernel), row.reason) for row in plain])
    return "\n".join(blocks)


def _start(line: Line, name: str) -> tuple[str, str, str]:
    return line.place, name, f"x {line.count:,}"


def _text(line: Line) -> str:
    return line.text if len(line.text) <= SHOWN else f"{line.text[: SHOWN - 3]}..."


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]

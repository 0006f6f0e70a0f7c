"""The fenced blocks of a Markdown text, with the places where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    info: str
    text: str
    start: int
    line: int


def blocks(markdown: str) -> list[Block]:
    return [
        Block(m.group(1).strip(), m.group(2), m.start(2), markdown.count("\n", 0, m.start()) + 1)
        for m in _FENCE.finditer(markdown)
    ]


def with_block(markdown: str, block: Block, text: str) -> str:
    """The same Markdown with another text in one of its blocks."""
    return markdown[: block.start] + text + markdown[block.start + len(block.text) :]

"""The table of passes holds all of them, with their sentences, in their order."""

import re
from pathlib import Path

from genolang.compiler.passes import TRAINING

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_the_table_is_the_pipeline() -> None:
    table = PAGE.read_text("utf-8").split("| pass | |\n|---|---|\n")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.M)
    assert rows == [(step.name, step.sentence) for step in TRAINING]
    assert len(rows) == len(table.splitlines())

"""The reference holds: its examples, its tables of settings and primitives."""

import re
from pathlib import Path

import pytest

from genolang.api import check
from genolang.primitives import PRIMITIVES
from genolang.semantics.sections import SEARCH, TRAIN

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
TEXT = PAGE.read_text("utf-8")
PRELUDE = "geno 1\nimport std.ops, std.attention\n"
BLOCKS = re.findall(r"```geno([^\n]*)\n(.*?)```", TEXT, re.S)


def whole(block: str) -> str:
    return block if block.startswith("geno 1") else PRELUDE + block


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_example_means_what_the_page_says(number: int) -> None:
    mark, block = BLOCKS[number]
    found = [d.code for d in check(whole(block))]
    expected = [] if not mark.strip() else [mark.split()[-1]]
    assert found == expected


def test_there_are_examples_of_both_kinds() -> None:
    marks = {mark.strip().split(" ")[0] for mark, _ in BLOCKS}
    assert marks == {"", "bad"} and len(BLOCKS) > 12


@pytest.mark.parametrize("section, settings", [("search", SEARCH), ("train", TRAIN)])
def test_every_setting_is_in_its_table(section: str, settings: dict[str, object]) -> None:
    start = TEXT.index(f"| `{section}` | |")
    table = TEXT[start : TEXT.index("\n\n", start)]
    assert set(settings) == set(re.findall(r"`(\w+)`", "\n".join(
        row.split("|")[1] for row in table.splitlines()[2:])))  # fmt: skip


def test_every_primitive_is_in_the_table_with_its_sentence() -> None:
    for primitive in PRIMITIVES.values():
        assert re.search(rf"^\| `{primitive.name}[(`].*\| {re.escape(primitive.doc)} \|$", TEXT, re.M), (
            primitive.name
        )

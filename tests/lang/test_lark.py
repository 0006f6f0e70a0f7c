"""The kept tables and lark itself give one tree of every text, or stop at one token and would take the same there."""

import random
import re
from pathlib import Path

import pytest
from generated.specs import specs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lang.derived import derived, derived_text
from lang.lark_reference import TooLarge, by_lark, by_tables
from markdown import blocks

from genolang.diagnostics import Source
from genolang.diagnostics.pages import FOLDER
from genolang.lang.tables import TABLES, build_tables
from genolang.lang.tokens import tokenize
from genolang.semantics.modules import LIBRARY

CALM = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
ROOT = Path(__file__).parents[2]
PAGES = sorted([*FOLDER.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
SPECS = sorted([*LIBRARY.rglob("*.geno"), *(ROOT / "benches" / "spaces").glob("*.geno")])
WORD = re.compile(r"[\w.]+|[^\w\s]+|\s+")


def held_together(text: str, start: str = "file") -> bool:
    """Whether the text is one of the grammar, which both say alike."""
    source = Source("text.geno", text)
    if tokenize(source).stopped or (start == "expr" and tokenize(source).diagnostics):
        return False
    try:
        mine = by_tables(source, start)
    except TooLarge:
        return False
    theirs = by_lark(source, start)
    assert (mine.at, mine.accepted) == (theirs.at, theirs.accepted), text
    if mine.at is None:
        assert mine.tree == theirs.tree, text
    return mine.at is None


def test_the_kept_tables_are_those_of_the_grammar() -> None:
    assert TABLES.read_text("utf-8") == build_tables()


@pytest.mark.parametrize("path", SPECS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_of_every_shipped_spec(path: Path) -> None:
    assert held_together(path.read_text("utf-8"))


def test_of_every_page() -> None:
    whole = [
        held_together(block.text)
        for page in PAGES
        for block in blocks(page.read_text("utf-8"))
        if block.info.startswith("geno")
    ]
    assert len(whole) > 150 and 0 < whole.count(False) < whole.count(True)


@settings(CALM, max_examples=40)
@given(specs())
def test_of_every_generated_spec(text: str) -> None:
    assert held_together(text)


@settings(CALM, max_examples=80)
@given(st.randoms(use_true_random=False))
def test_of_texts_that_follow_the_grammar_and_of_damaged_ones(drawn: random.Random) -> None:
    text = derived_text(drawn)
    held_together(text)
    held_together(damaged(text, drawn))
    expression = derived(drawn, "expr", 30)
    held_together(expression, "expr")
    held_together(damaged(expression, drawn), "expr")


def damaged(text: str, drawn: random.Random) -> str:
    """A word left out, brought twice, or put in another's place."""
    words = WORD.findall(text) or ["x"]
    for _ in range(drawn.randrange(1, 3)):
        at, other = drawn.randrange(len(words)), drawn.randrange(len(words))
        match drawn.randrange(3):
            case 0:
                words[at] = " "
            case 1:
                words.insert(at, f" {words[other]} ")
            case _:
                words[at] = words[other]
    return "".join(words)


def test_a_text_that_differs_is_told_apart() -> None:
    one, other = Source("a", "geno 1\nop f = relu -> conv(3)\n"), Source("a", "geno 1\nop f = (relu -> conv)(3)\n")
    assert by_tables(one).tree != by_lark(other).tree
    assert by_lark(Source("a", "op f = = 1\n")).at == by_tables(Source("a", "op f = = 1\n")).at == 3

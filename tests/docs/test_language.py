"""The reference holds: its examples, its tables of settings and primitives."""

import re
from pathlib import Path

import pytest

from genolang.api import check, load
from genolang.diagnostics import Source
from genolang.lang import parser, tokens
from genolang.lang.limits import LIMITS
from genolang.lang.parser import parse
from genolang.lang.syntax import Section
from genolang.primitives import INITIALISERS, PRIMITIVES
from genolang.semantics.expansion.definitions import MAX_DEPTH
from genolang.semantics.modules import MAX_IMPORTS
from genolang.semantics.sections import SEARCH, TRAIN, read_section
from genolang.semantics.settings import SearchSettings, TrainSettings
from genolang.semantics.signatures import primitive_signature

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


def rows(header: str) -> list[list[str]]:
    """The cells of a table's rows, by its header."""
    start = TEXT.index(header)
    lines = TEXT[start : TEXT.index("\n\n", start)].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("section, settings", [("search", SEARCH), ("train", TRAIN)])
def test_every_setting_is_in_its_table(section: str, settings: dict[str, object]) -> None:
    assert {row[0].strip("`") for row in rows(f"| `{section}` | default | |")} == set(settings)


@pytest.mark.parametrize("section, record", [("search", SearchSettings()), ("train", TrainSettings())])
def test_every_default_is_the_one_in_the_table(section: str, record: object) -> None:
    for name, default, *_ in rows(f"| `{section}` | default | |"):
        name = name.strip("`")
        if not default:
            assert getattr(record, name) is None
            continue
        file, problems = parse(Source("default", f"geno 1\n{section} {{\n  {name} {default.strip('`')}\n}}\n"))
        (item,) = [i for i in file.items if isinstance(i, Section)]
        values, wrong = read_section(item)
        assert not problems and not wrong
        for key, value in values.items():
            assert getattr(record, key) == value, (name, key)


def test_every_word_for_what_weights_begin_as_is_in_its_table() -> None:
    shown = {word.partition("(")[0] for row in rows("| `init` | |") for word in re.findall(r"`([^`]*)`", row[0])}
    assert shown - {"0.5"} == set(INITIALISERS)


def test_every_limit_is_in_the_table() -> None:
    shown = {row[0].strip("`"): (int(row[1].replace(",", "")), row[2]) for row in rows("| limit | value | of |")}
    assert shown == LIMITS


def test_limits_in_the_text_are_those_of_the_code() -> None:
    text = " ".join(TEXT[TEXT.index("## Limits") :].split())
    assert f"may be {MAX_DEPTH} levels deep" in text
    assert f"expressions {parser.MAX_DEPTH}, brackets {tokens.MAX_NESTING} and imports {MAX_IMPORTS}" in text
    assert f"names have {tokens.MAX_NAME} characters (G010), and numbers {tokens.MAX_NUMBER}" in text


def test_weights_of_the_example_have_the_names_that_the_page_says(tmp_path: Path) -> None:
    start = TEXT.index("### Names of weights")
    example, names = re.findall(r"```(?:geno|text)\n(.*?)```", TEXT[start:], re.S)[:2]
    file = tmp_path / "example.geno"
    file.write_text(PRELUDE + example, "utf-8")
    leaves = load(file).network().program.block.leaves
    assert [".".join(path) for path in leaves] == names.split()


def test_every_primitive_is_in_the_table_with_its_sentence() -> None:
    for primitive in PRIMITIVES.values():
        assert re.search(rf"^\| `{primitive.name}[(`].*\| {re.escape(primitive.doc)} \|$", TEXT, re.M), primitive.name
        assert f"| `{primitive_signature(primitive)}` |" in TEXT

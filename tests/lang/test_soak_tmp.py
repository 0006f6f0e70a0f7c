from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lang.trees import NOWHERE, expressions, files, with_comments

from genolang.diagnostics import GenoError, Source
from genolang.lang import syntax as s
from genolang.lang.formatter import format_file, format_source
from genolang.lang.layout import WIDTH, Doc, bracket
from genolang.lang.parser import parse, parse_expression
from genolang.lang.printer import Printer, print_expression

SPECS = Path(__file__).parents[2] / "genolang" / "specs"
CASES = sorted((Path(__file__).parent / "format_cases").glob("*.geno"))
SEPARATOR = "# output\n"
SLOW = settings(
    max_examples=4000, deadline=None, derandomize=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


def formatted(text: str) -> str:
    return format_source(Source("text", text))


def tree(text: str) -> s.File:
    file, diagnostics = parse(Source("text", text))
    assert not diagnostics, diagnostics
    return file


def words_of_comments(text: str) -> list[str]:
    return [comment.text.lstrip("# ") for comment in tree(text).comments]


def assert_kept(before: str, after: str) -> None:
    assert tree(before).items == tree(after).items
    assert words_of_comments(before) == words_of_comments(after)
    assert formatted(after) == after


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_case_becomes_its_canonical_form(case: Path) -> None:
    given_text, expected = case.read_text("utf-8").split(SEPARATOR)
    assert formatted(given_text) == expected
    assert_kept(given_text, expected)


@pytest.mark.parametrize("spec", sorted(SPECS.rglob("*.geno")), ids=lambda path: path.stem)
def test_a_shipped_spec_is_canonical(spec: Path) -> None:
    text = spec.read_text("utf-8")
    assert formatted(text) == text
    assert all(len(line) <= WIDTH for line in text.split("\n") if "#" not in line)


@SLOW
@given(expressions)
def test_a_printed_expression_parses_to_the_same_tree(expr: s.Expr) -> None:
    assert parse_expression(Source("text", print_expression(expr))) == expr


@SLOW
@given(files)
def test_a_formatted_tree_parses_to_the_same_tree(file: s.File) -> None:
    text = format_file(file)
    assert tree(text).items == file.items
    assert formatted(text) == text


@SLOW
@given(st.data(), files)
def test_comments_anywhere_are_kept_in_order(data: st.DataObject, file: s.File) -> None:
    text = data.draw(with_comments(format_file(file)))
    assert tree(text).items == file.items
    assert_kept(text, formatted(text))


class LoosePrinter(Printer):
    """Puts brackets that nothing asks for around operands."""

    def at_least(self, expr: s.Expr, minimum: int) -> Doc:
        return bracket("(", [self.expression(expr)], ")")


@SLOW
@given(st.data(), expressions)
def test_needless_brackets_go_and_the_comments_in_them_stay(data: st.DataObject, expr: s.Expr) -> None:
    with patch("genolang.lang.formatter.Printer", LoosePrinter):
        loose = format_file(s.File(NOWHERE.source, (_definition(expr),), ()))
    text = data.draw(with_comments(loose))
    after = formatted(text)
    assert tree(after).items == (_definition(expr),)
    assert_kept(text, after)


def _definition(expr: s.Expr) -> s.Definition:
    statement = s.Return(NOWHERE, expr)
    return s.Definition(NOWHERE, "op", s.Name(NOWHERE, "f"), (), (statement,))

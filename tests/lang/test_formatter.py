import itertools
import os
import random
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lang.derived import derived_text
from lang.trees import NOWHERE, expressions, files, with_comments
from wrong_specs import SPECS as SHIPPED
from wrong_specs import relaid

from genolang.diagnostics import GenoError, Source
from genolang.lang import syntax as s
from genolang.lang.documents import WIDTH, Doc, bracket
from genolang.lang.formatter import format_file, format_source
from genolang.lang.parser import parse, parse_expression
from genolang.lang.printer import Printer, print_expression

SPECS = Path(__file__).parents[2] / "genolang" / "specs"
CASES = sorted((Path(__file__).parent / "format_cases").glob("*.geno"))
SEPARATOR = "# output\n"
SLOW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


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


@pytest.mark.parametrize("value", ["(slot)", "x -> (slot)", "-(slot)", "1 + (slot)", "if x then y else (slot)"])
def test_a_name_like_the_word_slot_stays_one_before_another_setting(value: str) -> None:
    before = f"search {{\n  a {value} b (slot) c 1\n}}\n"
    assert_kept(before, formatted(before))


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


def assert_formatted(text: str) -> bool:
    """Whether the text parses; formatted it is then the same tree, its comments are kept, and so it stays."""
    if parse(Source("text", text))[1]:
        return False
    try:
        after = formatted(text)
    except GenoError as error:
        assert [d.code for d in error.diagnostics] == ["G007"]
        return True
    assert_kept(text, after)
    return True


MAKERS = {
    "derived": derived_text,
    "derived and changed": lambda random_: relaid(random_, derived_text(random_)),
    "shipped and changed": lambda random_: relaid(random_, random_.choice(SHIPPED)),
}


def assert_all_formatted(maker: str, seed: int, numbers: Iterable[int]) -> tuple[int, int]:
    """How many texts were made, and how many of them parsed."""
    made, parsed = 0, 0
    for number in numbers:
        text = MAKERS[maker](random.Random(f"{seed}.{number}"))
        try:
            parsed += assert_formatted(text)
        except BaseException as error:
            error.add_note(text)
            raise
        made += 1
    return made, parsed


@pytest.mark.parametrize(("maker", "count"), list(zip(MAKERS, (1200, 1200, 200), strict=True)))
def test_any_text_keeps_its_tree_and_its_comments(maker: str, count: int) -> None:
    assert assert_all_formatted(maker, 1, range(count))[1] > count / 20


@pytest.mark.soak
@pytest.mark.parametrize("maker", MAKERS)
def test_any_text_keeps_its_tree_and_its_comments_for_long(maker: str) -> None:
    end = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "600")) / 10
    numbers = itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())
    made, parsed = assert_all_formatted(maker, random.SystemRandom().randrange(10**9), numbers)
    print(f"{maker}: {made:,} texts, of which {parsed:,} parsed and were formatted")


@pytest.mark.parametrize(
    "where",
    [
        '(if true then ["111"] else ["000"])',
        '("0" | "1")',
        "(all)",
        "(search)",
        "(every + 1)",
        '(search("a"))',
        "every (1 | 2) from (1 -> 2)",
        "(-search)",
        "x + 1",
    ],
)
def test_a_place_for_modules_keeps_the_brackets_that_it_needs(where: str) -> None:
    text = f"network n = x with (a | b) at residual where {where}\n"
    assert formatted(text) == text.replace("(-search)", "-search")
    assert_kept(text, formatted(text))


@pytest.mark.parametrize("kind", ["op", "attention", "network"])
def test_modules_stand_below_any_definition(kind: str) -> None:
    text = f"{kind} a = relu\n  # c\n  with se at residual\n"
    assert formatted(text) == text


def test_a_word_that_begins_an_expression_is_no_operand() -> None:
    _, found = parse(Source("text", "op a = x * not\n"))
    assert [d.code for d in found] == ["G005"]


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


def test_a_comment_between_stages_keeps_its_place() -> None:
    text = "op f =\n  relu  # first\n    # before\n    -> conv(3) -> norm  # last\n"
    assert formatted(text) == text


def test_line_ends_and_blanks_are_normalised() -> None:
    assert formatted("geno 1\r\n\r\n\r\n\top a=x \t\r\n\n\n") == "geno 1\n\nop a = x\n"
    assert formatted("") == ""
    assert formatted("\n\n# only this\n\n") == "# only this\n"
    assert formatted("geno 1") == "geno 1\n"


def test_an_unknown_version_stays_as_written() -> None:
    assert formatted("geno  1.5") == "geno 1.5\n"
    assert formatted("geno.5") == "geno .5\n"


def test_names_after_which_a_line_would_go_on_keep_their_brackets() -> None:
    text = "op a {\n  y = (of)\n  z = (x.then)\n  return y\n}\n"
    assert formatted(text) == text


def test_errors_of_the_text_are_raised() -> None:
    with pytest.raises(GenoError) as caught:
        formatted("op a = )\nop b = 3 4\n")
    assert [d.code for d in caught.value.diagnostics] == ["G006"]


@pytest.mark.parametrize("deep", ["not " * 20_000 + "x", "x" + "()" * 20_000, "x" + ".y" * 20_000])
def test_too_deep_a_tree_is_refused(deep: str) -> None:
    with pytest.raises(GenoError) as caught:
        formatted(f"op a = {deep}\n")
    assert caught.value.diagnostics[0].code == "G007"


def test_a_tree_too_deep_to_print_is_refused() -> None:
    expr: s.Expr = s.Name(NOWHERE, "x")
    for _ in range(5_000):
        expr = s.Prefix(NOWHERE, "-", expr)
    with pytest.raises(GenoError) as caught:
        format_file(s.File(NOWHERE.source, (_definition(expr),), ()))
    assert caught.value.diagnostics[0].code == "G007"


def test_a_long_chain_is_formatted_without_recursion() -> None:
    text = formatted("op a = " + " + ".join(["x"] * 900))
    assert formatted(text) == text


def _edge(text: str, place: s.Node) -> s.Edge:
    file = tree(f"cell c {{ edges {text} }}")
    definition = file.items[0]
    assert isinstance(definition, s.Definition) and isinstance(definition.body, tuple)
    edges = definition.body[0]
    assert isinstance(edges, s.Edges)
    return replace(edges.edges[0], span=place.span)


def _written_back(text: str, edges: list[str], notes: list[str]) -> str:
    file = tree(text)
    cell = file.items[0]
    assert isinstance(cell, s.Definition) and isinstance(cell.body, tuple)
    pattern = next(node for node in cell.body if isinstance(node, s.Edges))
    found = tuple(_edge(edge, pattern) for edge in edges)
    block = s.Edges(pattern.span, found, True)
    body = tuple(block if node is pattern else node for node in cell.body)
    new = replace(file, items=(replace(cell, body=body), *file.items[1:]))
    return format_file(new, {id(edge): note for edge, note in zip(found, notes, strict=True)})


def test_replaced_edges_stand_where_the_pattern_stood() -> None:
    text = """\
# above
cell normal(prev2, prev1) {
  nodes  n1, n2  # two

  # all edges
  edges  earlier -> each : operation -> # chosen
    gate  # by search
  # done
  keep   1 edges per node by operation
  return concat(n1, n2)
}
choice operation = a | b # below
"""
    assert (
        _written_back(text, ["prev2 -> n1 : a", "n1 -> n2 : b(3)"], ["0.31", "# 0.44"])
        == """\
# above
cell normal(prev2, prev1) {
  nodes  n1, n2  # two

  # all edges
  edges {
    prev2 -> n1 : a     # 0.31
    n1    -> n2 : b(3)  # 0.44
    # chosen
  }  # by search
  # done
  keep   1 edges per node by operation
  return concat(n1, n2)
}

choice operation = a | b  # below
"""
    )


def test_a_whole_cell_of_new_statements_keeps_the_old_comments() -> None:
    text = "cell c(a) {\n  # one\n  nodes n1 # two\n  edges a -> n1 : x # three\n  # four\n}\n# five\n"
    after = _written_back(text, ["a -> n1 : y", "a -> n1 : z"], ["", ""])
    assert words_of_comments(after) == ["one", "two", "three", "four", "five"]
    assert formatted(after) == after

"""What numbers, lists and conditions come to, exactly, and which are refused."""

from fractions import Fraction as F
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genolang.diagnostics import GenoError, Source
from genolang.lang.limits import limit
from genolang.semantics.check import check_source, expand_network

NETWORK = """geno 1
network n({}) {{
  input image(1, 8, 8)
  stem conv(3, 4)
  head global_avg_pool -> linear(2)
}}
"""


def values(*texts: str) -> list[Any]:
    """What expressions come to, as defaults of a network's parameters."""
    params = ", ".join(f"p{i}={text}" for i, text in enumerate(texts))
    checked = check_source(Source("text", NETWORK.format(params)))
    if not checked.ok:
        raise GenoError([d for d in checked.diagnostics if d.severity == "error"])
    found = expand_network(checked, "n", {}).arguments
    return [found[f"p{i}"] for i in range(len(texts))]


TABLE: list[tuple[str, Any]] = [
    ("7 / 2", F(7, 2)), ("6 / 2", 3), ("7 // 2", 3), ("-7 // 2", -4), ("7 % 3", 1), ("-7 % 3", 2), ("1 / 3 + 1 / 6", F(1, 2)),
    ("0.1 + 0.2", F(3, 10)), ("2 - 3 - 4", -5), ("2 * 3 + 4", 10), ("2 + 3 * 4", 14), ("24 / 4 / 2", 3), ("-(3)", -3),
    ("1k", 1000), ("2.5M", 2_500_000), ("1.2G", 1_200_000_000), ("3e-4", F(3, 10_000)), ("1e3", 1000),
    ("1 < 2", True), ("2 < 2", False), ("2 <= 2", True), ("3 <= 2", False), ("2 > 2", False), ("2 >= 2", True), ("1 >= 2", False),
    ("1 == 1", True), ("1 == 2", False), ("1 != 1", False), ("1 != 2", True), ("2 / 2 == 1", True), ('"a" == "a"', True),
    ('"a" == "b"', False), ('"a" != "b"', True), ("true == true", True), ("true != false", True), ("[1, 2] == [1, 2]", True),
    ("[1, 2] != [1, 3]", True), ("not true", False), ("not 1 > 2", True), ("true and false", False), ("true and true", True),
    ("false or true", True), ("false or false", False), ("if 1 < 2 then 3 else 4", 3), ("if 1 > 2 then 3 else 4", 4),
    ("min(3, 1, 2)", 1), ("max(3, 1, 4)", 4), ("floor(7 / 2)", 3), ("floor(-7 / 2)", -4), ("ceil(7 / 2)", 4), ("ceil(-7 / 2)", -3),
    ("round(5 / 2)", 3), ("round(-5 / 2)", -2), ("round(12 / 5)", 2), ("log2(8)", 3), ("log2(1)", 0), ("len([1, 2, 3])", 3),
    ("len([])", 0), ("range(3)", (0, 1, 2)), ("range(1, 4)", (1, 2, 3)), ("range(1, 8, 3)", (1, 4, 7)), ("range(0)", ()),
    ("[1, 2] + [3]", (1, 2, 3)), ("[1, [2, 3]][1][0]", 2), ("[4, 5, 6][0]", 4), ("[4, 5, 6][2]", 6), ("(1, 2)", (1, 2)),
    ("1e15", 10**15), ("-1e15", -(10**15)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), TABLE, ids=[text for text, _ in TABLE])
def test_an_expression_comes_to(text: str, value: Any) -> None:
    if type(value) in (int, bool):
        (found,) = values(text)
        assert found == value and type(found) is type(value)
    assert values(f"({text}) == {written(value)}", f"({text}) != {written(value)}") == [True, False]


def written(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, F):
        return f"({value.numerator}) / {value.denominator}"
    return str(value).lower()


def test_a_logarithm_between_whole_ones_is_near() -> None:
    near = [("log2(6)", 2.584962500721156), ("log2(6) / 2", 1.292481250360578), ("log2(6) * 2 - 1", 4.169925001442312),
            ("12 / log2(6)", 4.6422336868144995)]  # fmt: skip
    for text, value in near:
        assert values(f"{text} > {value - 1e-9:.12f}", f"{text} < {value + 1e-9:.12f}", f"{text} == {value:.4f}") == [
            True,
            True,
            False,
        ]


@pytest.mark.parametrize(("text", "code"), [
    ("1 / 0", "G209"), ("1 // 0", "G209"), ("1 % 0", "G209"), ("1 / (2 - 2)", "G209"), ("1e15 + 1", "G207"), ("-1e15 - 1", "G207"),
    ("1e8 * 1e8", "G207"), ("1 < true", "G205"), ('1 == "a"', "G205"), ('"a" < "b"', "G205"), ("[1] < [2]", "G205"), ("true == 1", "G205"),
    ("[1] == 1", "G205"), ("true < false", "G205"), ('1 + "a"', "G205"), ("[1] + 1", "G205"), ("1 + [1]", "G205"), ("[1] - [1]", "G205"),
    ("true + 1", "G205"), ("[1][1]", "G207"), ("[1][-1]", "G207"), ("1[0]", "G205"), ("[1][1 / 2]", "G205"), ("[1][true]", "G205"),
    ("if 1 then 2 else 3", "G211"), ("not 1", "G211"), ("1 and true", "G211"), ("true and 1", "G211"), ('-"a"', "G205"), ("-true", "G205"),
    ("log2(0)", "G205"), ("log2(-1)", "G205"), ("len(1)", "G205"), ("min()", "G205"), ('min(1, "a")', "G205"), ("range(1 / 2)", "G205"),
    ("range(1, 2, 0)", "G205"), ("floor([1])", "G205"), ("min(1, k=2)", "G205"), ("(1).C", "G213"), ("[1].C", "G213"),
])  # fmt: skip
def test_an_expression_is_refused(text: str, code: str) -> None:
    with pytest.raises(GenoError) as caught:
        values(text)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_lists_of_numbers_are_so_long() -> None:
    assert values(f"len(range({limit('repeat')}))") == [limit("repeat")]
    with pytest.raises(GenoError):
        values(f"range({limit('repeat')} + 1)")


Tree = tuple[str, F | bool]


def numbers(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    """Larger expressions, and what they come to by Python's own fractions."""

    def joined(one: Tree, other: Tree, sign: str) -> Tree | None:
        a, b = F(one[1]), F(other[1])
        if sign in ("/", "//", "%") and b == 0:
            return None
        value = {
            "+": lambda: a + b,
            "-": lambda: a - b,
            "*": lambda: a * b,
            "/": lambda: a / b,
            "//": lambda: F(a // b),
            "%": lambda: a % b,
        }
        return f"({one[0]}) {sign} ({other[0]})", value[sign]()

    def chosen(one: Tree, other: Tree, sign: str) -> Tree:
        holds = {"<": one[1] < other[1], "<=": one[1] <= other[1], "==": one[1] == other[1], "!=": one[1] != other[1]}[
            sign
        ]
        return f"if ({one[0]}) {sign} ({other[0]}) then ({one[0]}) else ({other[0]})", one[1] if holds else other[1]

    return st.one_of(
        st.builds(joined, inner, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"])).filter(bool),
        st.builds(chosen, inner, inner, st.sampled_from(["<", "<=", "==", "!="])),
        st.builds(lambda one, other: (f"min({one[0]}, {other[0]})", min(one[1], other[1])), inner, inner),
        inner.map(lambda one: (f"ceil({one[0]})", F(-(-one[1] // 1)))),
    )


LEAVES = st.integers(0, 9).map(lambda n: (str(n), F(n))) | st.integers(0, 99).map(
    lambda n: (f"{n // 10}.{n % 10}", F(n, 10))
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.recursive(LEAVES, numbers, max_leaves=6), min_size=8, max_size=8))
def test_arithmetic_is_exact(trees: list[Tree]) -> None:
    small = [(text, value) for text, value in trees if abs(value) < 10**12]
    assert all(values(*(f"({text}) == {written(value)}" for text, value in small)))

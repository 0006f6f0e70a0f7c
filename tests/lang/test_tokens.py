"""Wrong words and signs: where they are pointed at, what is advised, what is read on with."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genolang.diagnostics import Source
from genolang.lang.tokens import MAX_LEXICAL_ERRORS, MAX_NAME, MAX_NESTING, MAX_NUMBER, tokenize


def read(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The words that were read, and the codes with what they point at."""
    out = tokenize(Source("text", text))
    assert [token.type for token in out.tokens[-2:]] == ["NEWLINE", "$END"]
    words = [token.value if token.type != "NEWLINE" else ";" for token in out.tokens[:-2]]
    return words, [(d.code, text[d.span.start : d.span.end]) for d in out.diagnostics if d.span is not None]


def advice(text: str) -> str:
    (diagnostic,) = tokenize(Source("text", text)).diagnostics
    return diagnostic.help or ""


@pytest.mark.parametrize(
    ("sign", "meant"),
    [pair.split() for pair in "→ ->|⟶ ->|× *|· *|⋅ *|∗ *|⊗ *|⊕ +|− -|– -|÷ /|≤ <=|≥ >=|≠ !=|， ,|： :".split("|")],
)
def test_a_sign_of_another_notation_is_read_as_what_it_means(sign: str, meant: str) -> None:
    assert read(f"a {sign} b") == (["a", meant, "b"], [("G004", sign)])
    assert advice(f"a {sign} b") == f"write `{meant}`"


def test_brackets_of_another_notation_open_and_close() -> None:
    assert read("f（a）") == (["f", "(", "a", ")"], [("G004", "（"), ("G004", "）")])


@pytest.mark.parametrize(
    ("sign", "said"),
    [("“", "a string"), ("”", "a string"), (";", "end with the line"), ("&", "`and`"), ("!", "`not`"), ("@", "matmul"),
     ("^", "no power"), ("\\", "goes on"), ("$", "by their name"), ("?", "if condition"), ("~", "`not`"), ("`", "without quotes")],
)  # fmt: skip
def test_a_sign_without_a_meaning_comes_with_what_to_write(sign: str, said: str) -> None:
    assert read(f"a {sign} b") == (["a", "b"], [("G004", sign)])
    assert said in advice(f"a {sign} b")


def test_a_greek_letter_is_no_name() -> None:
    assert read("a σ b") == (["a", "σ", "b"], [("G004", "σ")])
    assert "sigmoid" in advice("σ") and "letters" in advice("é")


def test_single_quotes_are_read_as_double_ones() -> None:
    assert read("import 'a.geno' as b") == (["import", '"a.geno"', "as", "b"], [("G004", "'a.geno'")])
    assert '"text"' in advice("'a'")


@pytest.mark.parametrize(("text", "ends"), [
    ("a\nb", True), ("a\n\n\nb", True), ("a +\nb", False), ("a\n+ b", False), ("a ->\nb", False), ("a\n-> b", False),
    ("a =\nb", False), ("a,\nb", False), ("not\nb", False), ("a of\nb", False), ("a in\nb", False), ("a:\nb", False),
    ("if a\nthen b", False), ("a\nelse b", False), ("a\nand b", False), ("a\nor b", False), ("a | \nb", False), ("a\n| b", False),
    ("a\n< b", False), ("a == \nb", False), ("a\n// b", False), ("a\nnot b", True), ("a\nof b", True), ("(a\nb)", False),
    ("[a\nb]", False), ("{a\nb}", True), ("({a\nb})", True), ("{(a\nb)}", False), ("a\nwith b", False), ("a\nshared b", False),
    ("a\nwhere b", False), ("{a\nwith b}", True), ("a\n# remark\nb", True),
])  # fmt: skip
def test_a_line_ends_a_statement_unless_it_plainly_goes_on(text: str, ends: bool) -> None:
    words, wrong = read(text)
    kept = [word for word, after in zip(words, [*words[1:], ""], strict=True) if not (word == ";" and after == "}")]
    assert not wrong and (";" in kept) == ends


@given(st.integers(0, 9), st.integers(0, 10**13), st.integers(-40, 25), st.sampled_from(["", "k", "M", "G"]))
def test_numbers_reach_from_1e_30_to_1e15(whole: int, fraction: int, exponent: int, suffix: str) -> None:
    text = f"{whole}.{fraction}e{exponent}{suffix}"
    value = Decimal(text.rstrip("kMG")) * {"": 1, "k": 1000, "M": 10**6, "G": 10**9}[suffix]
    fits = value == 0 or Decimal("1e-30") <= value <= Decimal("1e15")
    words, wrong = read(text)
    if len(text) > MAX_NUMBER:
        assert wrong == [("G011", text)]
    else:
        assert (words, wrong) == (([text], []) if fits else (["1"], [("G011", text)]))


@pytest.mark.parametrize(
    ("text", "said"),
    [("12m", "milliard"), ("1.5b", "milliard"), ("2g", "milliard"), ("3B", "milliard"), ("1_000", "`1000`"), ("2x", "a name begins"),
     ("3.4.5", None), ("1.5_0", "write 12")],
)  # fmt: skip
def test_a_number_of_another_notation_comes_with_advice(text: str, said: str | None) -> None:
    words, wrong = read(text)
    if said is None:
        assert words == ["3.4", ".5"] and not wrong
    else:
        assert (words, wrong) == (["1"], [("G004", text)]) and said in advice(text)


@pytest.mark.parametrize("text", ["1e100", "1.5E-200", "9e+999"])
def test_an_exponent_of_three_digits_is_beyond_all_numbers(text: str) -> None:
    assert read(text) == (["1"], [("G011", text)])


def test_how_long_names_and_numbers_may_be() -> None:
    name, number = "a" * MAX_NAME, "1." + "0" * (MAX_NUMBER - 2)
    assert read(f"{name} {number}") == ([name, number], [])
    assert read(f"{name}a {number}0") == ([f"{name}a", "1"], [("G010", f"{name}a"), ("G011", f"{number}0")])


def test_a_string_ends_on_its_line() -> None:
    assert read('f("a\nb') == ([], [("G012", '"a')])
    assert read('"a" ""') == (['"a"', '""'], [])
    assert read('"') == (['"'], [("G012", '"')])


GOOD = "op last(x) { return x }"
KEPT = ["op", "last", "(", "x", ")", "{", "return", "x", ";", "}"]


@pytest.mark.parametrize(
    ("text", "kept", "wrong"),
    [
        ("op f(x { return x }", [], [("G006", "(")]),
        ("op f(x] { return x }", [], [("G006", "]")]),
        ("op f(x) { return (x }", ["op", "f", "(", "x", ")", "{", "}"], [("G006", "(")]),
        ("op f(x) {\n  y = g(x\n  return y\n", [], [("G006", "(")]),
        ("op f(x) {\n  return x\n", [], [("G006", "{")]),
        ("op f(x) {\n  y = [x)\n}", [], [("G006", ")")]),
        ("op f(x) {\n  y = ([x)\n}", [], [("G006", "[")]),
        ("op f(x) {\n  y = (x\n}", ["op", "f", "(", "x", ")", "{", "}"], [("G006", "(")]),
        ("op f(x) {\n  a = x\n  y = (x\n}", ["op", "f", "(", "x", ")", "{", ";", "a", "=", "x", ";", "}"], [("G006", "(")]),
        (")", [], [("G006", ")")]),
        ("op f(x) { return x } }", [*KEPT[:1], "f", *KEPT[2:]], [("G006", "}")]),
        ("op f(x) { return \"x }", [], [("G012", '"x }')]),
    ],
)  # fmt: skip
def test_a_wrong_bracket_hides_its_item_and_no_other(text: str, kept: list[str], wrong: list[tuple[str, str]]) -> None:
    words, found = read(f"{text}\n{GOOD}")
    assert found == wrong
    assert words[-len(KEPT) :] == KEPT
    assert [word for word in words[: -len(KEPT)] if word != ";"] == [word for word in kept if word != ";"]


def test_what_is_left_out_is_remembered() -> None:
    text = f"op f(x) {{\n  stem = g(y\n}}\n{GOOD}"
    out = tokenize(Source("text", text))
    assert out.lost == {"stem", "g", "y"} and not out.stopped
    assert {text.index("stem"), text.index("(y")} == set(out.damaged)
    out = tokenize(Source("text", f"op f(x] {{\n}}\n{GOOD}"))
    assert out.lost == {"op", "f", "x"} and out.damaged[-1] == 0


def test_brackets_may_be_so_deep() -> None:
    deep = "(" * MAX_NESTING + "a" + ")" * MAX_NESTING
    assert read(deep) == ([*deep], [])
    words, wrong = read(f"op f(x) {{ return ({deep}) }}\n{GOOD}")
    assert words == KEPT and [code for code, _ in wrong] == ["G007"]


def test_so_many_wrong_signs_are_enough() -> None:
    text = "é " * (MAX_LEXICAL_ERRORS + 9)
    out = tokenize(Source("text", text))
    assert len(out.diagnostics) == MAX_LEXICAL_ERRORS and out.stopped


def test_comments_are_kept_apart() -> None:
    text = "a # one \n# two\t\nb"
    out = tokenize(Source("text", text))
    assert [comment.text for comment in out.comments] == ["# one", "# two"]
    assert [text[c.span.start : c.span.end].rstrip() for c in out.comments] == ["# one", "# two"]

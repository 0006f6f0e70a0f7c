"""Where words of the language are plain names, how deep a text may go, and where reading goes on."""

import pytest

from genolang.diagnostics import GenoError, Source
from genolang.lang import syntax as s
from genolang.lang.limits import limit
from genolang.lang.parser import MAX_DEPTH, MAX_SYNTAX_ERRORS, parse, parse_expression
from genolang.lang.tokens import KEYWORDS, MAX_NESTING


def file(text: str) -> s.File:
    found, diagnostics = parse(Source("text", f"geno 1\n{text}"))
    assert not diagnostics, diagnostics
    return found


def problems(text: str) -> list[tuple[str, str]]:
    """Codes, and the words that they point at."""
    source = Source("text", text)
    return [(d.code, text[d.span.start : d.span.end]) for d in parse(source)[1] if d.span is not None]


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_a_word_of_the_language_is_a_name_wherever_it_can_be_nothing_else(word: str) -> None:
    (definition,) = file(f"op {word}(x, {word}=1) {{\n  {word} = g(x.{word}, {word}=2)\n  return x\n}}\n").items[1:]
    assert isinstance(definition, s.Definition) and definition.kind == "op"
    assert definition.name.id == word
    assert [parameter.name for parameter in definition.params] == ["x", word]
    assert isinstance(definition.body, tuple)
    assigned, _ = definition.body
    assert isinstance(assigned, s.Assign) and assigned.name.id == word
    assert isinstance(assigned.value, s.Call)
    attribute, argument = assigned.value.args
    assert isinstance(attribute.value, s.Attribute) and attribute.value.name == word
    assert argument.name == word


@pytest.mark.parametrize("word", sorted(KEYWORDS - {"if", "for", "not", "true", "false"}))
def test_a_word_of_the_language_is_an_operand(word: str) -> None:
    total = parse_expression(Source("text", f"1 + {word} * 2"))
    assert isinstance(total, s.Infix) and isinstance(total.operands[1], s.Infix)
    assert total.operands[1].operands[0] == s.Name(total.span, word)


@pytest.mark.parametrize("word", ["if", "for", "not"])
def test_a_word_that_begins_an_expression_is_no_operand(word: str) -> None:
    with pytest.raises(GenoError):
        parse_expression(Source("text", f"1 + {word} * 2"))


NESTED = {
    "index": lambda n: "a" + "[0]" * n,
    "attribute": lambda n: "a" + ".b" * n,
    "call": lambda n: "a" + "()" * n,
    "list": lambda n: "[" * n + "a" + "]" * n,
    "not": lambda n: "not " * n + "a",
    "sign": lambda n: "-" * n + "a",
    "if": lambda n: "if a then b else " * n + "c",
    "argument": lambda n: "f(" * n + "a" + ")" * n,
    "keyword": lambda n: "f(a=" * n + "b" + ")" * n,
    "brackets around sums": lambda n: "(a + " * n + "b" + ")" * n,
    "difference": lambda n: "a" + " - b" * n,
    "quotient": lambda n: "a" + " / b" * n,
    "index and call": lambda n: "a" + "[0]" * (n // 2) + "()" * (n - n // 2),
}


@pytest.mark.parametrize("form", NESTED)
def test_whatever_goes_deeper_has_the_same_end(form: str) -> None:
    parse_expression(Source("text", NESTED[form](MAX_DEPTH)))
    with pytest.raises(GenoError) as caught:
        parse_expression(Source("text", NESTED[form](MAX_DEPTH + 1)))
    assert [d.code for d in caught.value.diagnostics] == ["G007"]


FLAT = {
    "sum": lambda n: "a" + " + b" * n,
    "product": lambda n: "a" + " * b" * n,
    "pipeline": lambda n: "a" + " -> b" * n,
    "alternatives": lambda n: "a" + " | b" * n,
    "list": lambda n: "[a" + ", b" * n + "]",
    "arguments": lambda n: "f(a" + ", b" * n + ")",
}


@pytest.mark.parametrize("form", FLAT)
def test_what_only_gets_longer_goes_no_deeper(form: str) -> None:
    parse_expression(Source("text", FLAT[form](MAX_DEPTH * 3)))


def test_brackets_have_an_end_of_their_own() -> None:
    parse_expression(Source("text", "(" * MAX_NESTING + "a" + ")" * MAX_NESTING))
    assert problems("op f(x) {\n  return " + "(" * MAX_NESTING + "a") == [("G007", "(")]


def test_after_an_error_reading_goes_on_with_the_next_statement() -> None:
    text = "geno 1\nop f(x) {\n  y = = x\n  z = x +* 1\n  return y z\n}\nop g(x) {\n  return x x\n}\nop h(x) { return x }\n"
    assert problems(text) == [("G005", "="), ("G005", "*"), ("G005", "z"), ("G005", "x")]
    tree, _ = parse(Source("text", text))
    assert [item.name.id for item in tree.items if isinstance(item, s.Definition)] == ["f", "g", "h"]
    assert {"y", "z", "x"} <= tree.lost


def test_so_many_errors_are_enough() -> None:
    text = "geno 1\n" + "op f(x) { return x x }\n" * (MAX_SYNTAX_ERRORS + 9)
    assert len(problems(text)) == MAX_SYNTAX_ERRORS


def test_a_text_of_too_many_words_is_read_no_further() -> None:
    most = limit("words")
    assert problems("a " * most) == problems("a " * most)[:1]
    assert problems("a " * (most - 1) + "# one\n" + "b") == [("G507", "b")]

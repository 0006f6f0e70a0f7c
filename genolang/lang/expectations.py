"""What to say when the next word or sign cannot stand where it stands."""

from __future__ import annotations

from collections.abc import Iterable

from genolang.diagnostics import Diagnostic, Source, Span, did_you_mean
from genolang.lang.tokens import KEYWORDS, Token

_SIGNS = {
    "COMMA": "`,`",
    "DOT": "`.`",
    "COLON": "`:`",
    "ASSIGN": "`=`",
    "ARROW": "`->`",
    "BAR": "`|`",
    "PLUS": "`+`",
    "MINUS": "`-`",
    "STAR": "`*`",
    "SLASH": "`/`",
    "COMPARE": "a comparison",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LBRACKET": "`[`",
    "RBRACKET": "`]`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "NEWLINE": "the end of the line",
    "$END": "the end of the file",
}
_EXPRESSION = {"NUMBER", "LPAR", "LBRACKET", "MINUS", "NAME"}
_OPERATORS = {"ARROW", "BAR", "PLUS", "STAR", "SLASH", "MINUS", "COMPARE", "OR", "AND", "DOT", "LPAR", "LBRACKET"}
_ITEMS = {"OP", "ATTENTION", "CELL", "CHOICE", "NETWORK", "IMPORT", "GENO", "SEARCH", "TRAIN"}
_STATEMENTS = (
    "return",
    "require",
    "nodes",
    "edges",
    "inputs",
    "keep",
    "cells",
    "input",
    "init",
    "stem",
    "body",
    "stages",
    "head",
    "auxiliary",
)
# How a line reads that begins with a word.
_FORMS = {
    "GENO": "geno 1",
    "IMPORT": "import std.ops, std.attention as att",
    "OP": "op name(k, stride=1) = relu -> conv(k, stride=stride)",
    "ATTENTION": "attention name(r=16) = x * (x -> global_avg_pool -> conv(1) -> sigmoid)",
    "CELL": "cell name(prev2, prev1, channels=16) { ... }",
    "CHOICE": "choice operation = skip | sep_conv(3) | max_pool(3)",
    "NETWORK": "network name(channels=16, classes=10) { ... }",
    "STAGES": "stages for out, stride in [(16, 1), (32, 2)] : unit(out, stride)",
    "SEARCH": "search { ... }",
    "TRAIN": "train { ... }",
    "INPUTS": "inputs s0 = prev2 -> fit(16, like=prev1), s1 = prev1 -> relu_conv_bn(16)",
    "NODES": "nodes n1, n2, n3",
    "EDGES": "edges earlier -> each : operation",
    "KEEP": "keep 2 edges per node by operation",
    "CELLS": "cells 8 of normal, reduction at 1/3, 2/3",
    "AUXILIARY": "auxiliary tower at 2/3 weight 0.4 when flag",
    "REQUIRE": 'require params < 3.5M, "what to say otherwise"',
}
# Words that belong to the form of a line.
_LINE_WORDS = {"OF", "AT", "PER", "NODE", "BY", "EDGES", "WEIGHT", "AS"}
_LOOPS = {"for", "while", "def", "let", "var", "const", "class", "if"}


def explain_unexpected(source: Source, tokens: list[Token], at: int, accepted: Iterable[str], start: int) -> Diagnostic:
    """The diagnostic for token `at` of the statement that begins at token `start`, given the token
    types that the grammar accepts there."""
    token = tokens[at]
    expected = set(accepted)
    found = _SIGNS.get(token.type, f"`{token.value[:40]}`")
    if token.type in ("NAME", "NUMBER"):
        found = f"`{token.value[:40]}`"
    span = Span(source, token.start, max(token.end, token.start + 1))
    before = tokens[at - 1] if at else None
    first = tokens[start] if start < at else None
    return Diagnostic(
        "G005",
        f"{_wanted(expected)}, but found {found}",
        span,
        help=_help(token, before, first, expected, tokens, at, start),
    )


def _wanted(expected: set[str]) -> str:
    if expected >= _ITEMS:
        return "expected a definition, an import or a section"
    if "RETURN" in expected and "REQUIRE" in expected:
        return "expected a statement"
    if expected >= _EXPRESSION:
        return "expected an operation or a value"
    simple = expected - _OPERATORS if expected & {"ARROW", "OR", "AND"} else expected
    words = [_SIGNS.get(kind, f"`{kind.lower()}`") for kind in sorted(simple)]
    if not words:
        return "expected an operator"
    if len(words) > 4:
        return "the line should end here or go on with an operator"
    return "expected " + " or ".join(words)


def _help(
    token: Token,
    before: Token | None,
    first: Token | None,
    expected: set[str],
    tokens: list[Token],
    at: int,
    start: int,
) -> str | None:
    if token.type == "ASSIGN" and tokens[at + 1].value == ">" and tokens[at + 1].start == token.end:
        return "write `->`"
    if token.type in ("PLUS", "MINUS", "STAR", "SLASH") and tokens[at + 1].type == "ASSIGN":
        return "a name keeps its value: give the new value a name of its own"
    found = _sign_help(token, before, expected)
    if found is not None:
        return found
    if expected >= _ITEMS:
        return _item_help(token)
    if first is None:
        near = did_you_mean(token.value, _STATEMENTS) if "RETURN" in expected else None
        return near or (
            "a statement begins with a word: `return`, `nodes`, ..., or names a value: `y = x`"
            if "RETURN" in expected
            else None
        )
    if first.type == "NAME" and at and tokens[at - 1] is first:
        return _first_word_help(first, token, expected)
    form = _FORMS.get(first.type)
    if first.type == "NETWORK" and any(word.type == "WITH" for word in tokens[start:at]):
        form = "network a = b(depth=20) with se(r=16) at residual shared per stage where all"
    if first.type in ("FOR", "IF") and "ASSIGN" in expected:
        return "an expression is handed back (`return for n in [1, 2] : conv(n)`) or named (`y = ...`)"
    if "NAME" in expected and len(expected) <= 2 and token.value in KEYWORDS:
        return f"`{token.value}` is a word of the language: choose another name"
    if {"THEN", "ELSE"} & expected:
        return "a condition reads `if levels == 0 then relu else conv(3)`"
    simple = "ARROW" not in expected or expected == {"ARROW"}
    if form is not None and not expected >= _EXPRESSION and (simple or expected & _LINE_WORDS):
        return f"it reads `{form}`"
    if _value_before(before) and token.type in {"NAME", "NUMBER", "STRING"}:
        if first.type == "NODES":
            return f"it reads `{form}`"
        return _juxtaposed(token, expected)
    return None


def _value_before(before: Token | None) -> bool:
    return before is not None and before.type in {"NAME", "NUMBER", "STRING", "RPAR", "RBRACKET"}


def _sign_help(token: Token, before: Token | None, expected: set[str]) -> str | None:
    """What is said of a sign wherever it stands."""
    kind = token.type
    twice = before is not None and before.type == kind and before.end == token.start
    if kind == "BAR" and twice:
        return "write `or`"
    if kind == "STAR" and twice:
        return "there is no power; write the product"
    if kind == "ASSIGN":
        if before is not None and before.type == "COLON":
            return "a value is named with `=` alone"
        if "COMPARE" in expected:
            return "to compare, write `==`; to name a value, write `name = value` on a line of its own"
    if kind == "COMPARE":
        if before is not None and before.type == "MINUS":
            return "write `->`"
        if _value_before(before) and "AND" in expected:
            return "a comparison has two sides: join two of them with `and`"
    if kind == "MINUS" and before is not None and before.type == "COMPARE" and before.value == "<":
        return "pipelines run to the right: write `->`"
    if kind in ("ARROW", "BAR", "STAR", "PLUS", "SLASH") and expected >= _EXPRESSION:
        if before is not None and before.type == kind:
            return "something is missing between the two, or one of them is too many"
        return "an operation or a map stands before it: `x -> relu`" if kind == "ARROW" else None
    if kind in ("NEWLINE", "RBRACE") and expected >= _EXPRESSION:
        return "the line ends before the expression does"
    if kind == "RPAR" and expected >= _EXPRESSION and before is not None and before.type == "ARROW":
        return "the pipeline ends in an arrow: remove it, or add the operation"
    if kind == "COLON" and _value_before(before) and {"COMMA", "RPAR"} & expected:
        return "arguments are written `name=value`"
    if kind == "LBRACE" and "ASSIGN" not in expected and "LBRACE" not in expected:
        return "braces hold the statements of a definition; lists are written `[a, b]`"
    return None


def _item_help(token: Token) -> str:
    if token.type == "NAME":
        near = did_you_mean(token.value, (kind.lower() for kind in _ITEMS))
        if near:
            return near
        if token.value in _LOOPS:
            return "a file holds definitions: `op`, `attention`, `cell`, `choice`, `network`"
    if token.value in _STATEMENTS:
        return f"`{token.value}` stands in the braces of a definition; is one closed too early?"
    return f"a definition reads `{_FORMS['OP']}`"


def _first_word_help(first: Token, token: Token, expected: set[str]) -> str | None:
    """A statement whose first word is no word of the language, so that only `=` can follow."""
    if "ASSIGN" not in expected:
        return None
    near = did_you_mean(first.value, _STATEMENTS)
    if near and token.type not in ("ARROW", "PLUS", "STAR", "BAR", "DOT"):
        return near
    if token.type in ("ARROW", "LPAR", "NEWLINE", "PLUS", "STAR", "BAR", "DOT"):
        return "name the result (`y = ...`), or hand it back (`return ...`)"
    if first.value in _LOOPS:
        return "an expression may be `if c then a else b` or `for n in [1, 2] : conv(n)`"
    return "a value is named by `name = value`"


def _juxtaposed(token: Token, expected: set[str]) -> str | None:
    words = [kind.lower() for kind in expected if kind.isalpha() and kind not in _SIGNS]
    near = did_you_mean(token.value, words)
    if near:
        return near
    if {"COMMA", "RPAR"} <= expected or {"COMMA", "RBRACKET"} <= expected:
        return "is a comma missing? Operations one after the other are joined by `->`"
    if "ARROW" in expected:
        return "two operations side by side are joined by `->`"
    return None

"""What to say when the next word or sign cannot stand where it stands."""

from __future__ import annotations

from collections.abc import Iterable

from genolang.diagnostics import Diagnostic, Source, Span, did_you_mean
from genolang.lang.tokens import Token

_SIGNS = {
    "COMMA": "`,`", "DOT": "`.`", "COLON": "`:`", "ASSIGN": "`=`", "ARROW": "`->`", "BAR": "`|`",
    "PLUS": "`+`", "MINUS": "`-`", "STAR": "`*`", "SLASH": "`/`", "COMPARE": "a comparison",
    "LPAR": "`(`", "RPAR": "`)`", "LBRACKET": "`[`", "RBRACKET": "`]`", "LBRACE": "`{`",
    "RBRACE": "`}`", "NAME": "a name", "NUMBER": "a number", "STRING": "a string",
    "NEWLINE": "the end of the line", "$END": "the end of the file",
}  # fmt: skip
_EXPRESSION = {"NUMBER", "LPAR", "LBRACKET", "MINUS", "NAME"}
_OPERATORS = {"ARROW", "BAR", "PLUS", "STAR", "SLASH", "MINUS", "COMPARE", "OR", "AND", "DOT", "LPAR",
              "LBRACKET"}  # fmt: skip
_ITEMS = {"OP", "ATTENTION", "CELL", "CHOICE", "NETWORK", "IMPORT", "GENO", "SEARCH", "TRAIN"}


def explain_unexpected(
    source: Source, tokens: list[Token], at: int, accepted: Iterable[str]
) -> Diagnostic:
    """The diagnostic for token `at`, given the token types that the grammar accepts there."""
    token = tokens[at]
    expected = set(accepted)
    found = _SIGNS.get(token.type, f"`{token.value[:40]}`")
    if token.type == "NAME":
        found = f"`{token.value[:40]}`"
    span = Span(source, token.start, max(token.end, token.start + 1))
    before = tokens[at - 1] if at else None
    return Diagnostic(
        "G005", f"{_wanted(expected)}, but found {found}", span,
        help=_help(source, token, before, expected),
    )  # fmt: skip


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
        words = ["an operator"]
    if len(words) > 4:
        return "the line should end here or go on with an operator"
    return "expected " + " or ".join(words)


def _help(source: Source, token: Token, before: Token | None, expected: set[str]) -> str | None:
    value_before = before is not None and before.type in {"NAME", "NUMBER", "RPAR", "RBRACKET"}
    if token.type == "ASSIGN" and "COMPARE" in expected:
        return "to compare, write `==`; to name a value, write `name = value` on a line of its own"
    if token.type == "ARROW" and expected >= _EXPRESSION:
        return "a pipeline begins with an operation or a map: `x -> relu`"
    if token.type == "NEWLINE" and expected >= _EXPRESSION:
        return "the line ends before the expression does"
    if expected >= _ITEMS and token.type == "NAME":
        near = did_you_mean(token.value, (kind.lower() for kind in _ITEMS))
        return near or "a definition reads `op name(k, stride=1) = relu -> conv(k, stride=stride)`"
    if "RETURN" in expected and before is not None and before.type == "NEWLINE":
        words = ("return", "require", "nodes", "edges", "inputs", "keep", "cells", "head", "stem")
        return did_you_mean(token.value, words)
    if value_before and "ARROW" in expected and token.type in {"NAME", "NUMBER", "STRING"}:
        return _juxtaposed(source, before, token)
    if "AT" in expected and "COMMA" in expected and token.type == "NAME":
        return "positions are written `reduction at 1/3, 2/3`"
    return None


def _juxtaposed(source: Source, before: Token | None, token: Token) -> str:
    near = did_you_mean(token.value, ("when", "weight", "then", "else", "at", "and", "or", "of"))
    if near:
        return near
    return "two operations side by side are joined by `->`"

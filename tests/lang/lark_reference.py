"""lark itself, run beside the kept tables: the same tokens, put to the parser that it builds of the grammar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import Lark, UnexpectedInput

from genolang.diagnostics import Diagnostic, Source
from genolang.lang import parser
from genolang.lang.tables import GRAMMAR, STARTS
from genolang.lang.tokens import KEYWORDS, Token, tokenize
from genolang.lang.tree import TreeBuilder

# Rules that Python has words for.
SUFFIXED = ("import", "return", "if", "for")
BEGINNING = ("IF", "FOR", "NOT")


@dataclass
class Outcome:
    """A whole tree, or the token at which a parser gives up first and what it would have taken there."""

    tree: Any = None
    at: int | None = None
    accepted: frozenset[str] = frozenset()


class Callbacks:
    """The methods of the builder of the text at hand, under the names that lark asks for."""

    builder: TreeBuilder

    def __getattr__(self, name: str) -> Callable[[list[Any]], Any]:
        method = f"{name}_" if name in SUFFIXED else name
        if not hasattr(TreeBuilder, method):
            raise AttributeError(name)
        return lambda children: getattr(self.builder, method)(children)


CALLBACKS = Callbacks()


@cache
def reference() -> Lark:
    return Lark(
        GRAMMAR.read_text("utf-8"),
        parser="lalr",
        lexer="basic",
        start=list(STARTS),
        maybe_placeholders=False,
        transformer=CALLBACKS,
    )


def by_lark(source: Source, start: str = "file") -> Outcome:
    """What lark makes of the tokens of a text.

    A word of the language is a name where lark would take nothing else, in front of `=`, and `slot` before
    anything but a name; what begins an expression is none where an operand could stand.
    """
    CALLBACKS.builder = TreeBuilder(source)
    run = reference().parse_interactive(start=start)
    tokens, fed, found = tokens_of(source, start), [], None
    for at, token in enumerate(tokens):
        taken = run.choices()
        if token.value in KEYWORDS and token.type != "STRING":
            following = tokens[at + 1].type if at + 1 < len(tokens) else ""
            alone = token.type not in taken and not (token.type in BEGINNING and "NUMBER" in taken)
            plain = following == "ASSIGN" or (token.type == "SLOT" and following != "NAME")
            if alone or (plain and "NAME" in taken):
                token = Token("NAME", token.value, token.start, token.end)
        try:
            # Of a token lark asks for its type alone.
            found = run.feed_token(token)
        except UnexpectedInput:
            again = reference().parse_interactive(start=start)
            for earlier in fed:
                again.feed_token(earlier)
            return Outcome(at=at, accepted=frozenset(again.accepts()))
        fed.append(token)
    return Outcome(tree=found)


def tokens_of(source: Source, start: str) -> list[Token]:
    return [token for token in tokenize(source).tokens if start == "file" or token.type != "NEWLINE"]


class Watched(parser._Run):
    """A parse that remembers where it gave up first."""

    at: int | None = None
    taken: frozenset[str] = frozenset()

    def unexpected(self, at: int) -> Diagnostic:
        if self.at is None:
            self.at = at
            self.taken = frozenset(kind for kind in self.tables.states[self.before[-1]] if self.accepts(kind))
        return super().unexpected(at)

    def too_deep(self, token: Token) -> Diagnostic:
        raise TooLarge


class TooLarge(Exception):
    """A text that lark would take and genolang does not: it is nested too deep."""


def by_tables(source: Source, start: str = "file") -> Outcome:
    """What the kept tables make of it."""
    run = Watched(source, start)
    if start == "expr":
        run.tokens.tokens = tokens_of(source, start)
    found = run.parse()
    return Outcome(found) if run.at is None else Outcome(at=run.at, accepted=run.taken)

"""Text to syntax tree, by the LALR(1) tables that lark makes of `geno.lark`.

After an error the parser goes back to the start of the statement, skips to its end and goes on, so
that every wrong statement is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError, Source
from genolang.lang import syntax
from genolang.lang.tables import load_tables
from genolang.lang.tokens import KEYWORDS, Token, Tokens, tokenize
from genolang.lang.tree import TreeBuilder

_SOFT = frozenset(word.upper() for word in KEYWORDS)
MAX_SYNTAX_ERRORS = 50


class _Unexpected(Exception):
    """The next token cannot stand where it stands."""


def _only_child(children: list[Any]) -> Any:
    return children[0]


def parse(source: Source) -> tuple[syntax.File, list[Diagnostic]]:
    """The tree of a source and what is wrong with its text; statements in error are left out."""
    run = _Run(source, "file")
    items = run.parse()
    file = syntax.File(source, tuple(items or ()), tuple(run.tokens.comments))
    return file, run.diagnostics


def parse_expression(source: Source) -> syntax.Expr:
    """One expression, as in `--set channels=16`. Errors: G004 to G012."""
    run = _Run(source, "expr")
    run.tokens.tokens = [token for token in run.tokens.tokens if token.type != "NEWLINE"]
    found = run.parse()
    if run.diagnostics:
        raise GenoError(run.diagnostics)
    expression: syntax.Expr = found
    return expression


class _Run:
    def __init__(self, source: Source, start: str) -> None:
        self.source = source
        self.start = start
        self.tokens: Tokens = tokenize(source)
        self.diagnostics: list[Diagnostic] = list(self.tokens.diagnostics)

    def parse(self) -> Any:
        if any(d.code in ("G006", "G007", "G507") for d in self.diagnostics):
            return None
        tables = load_tables()
        builder = TreeBuilder(self.source)
        self.tables = tables
        self.callbacks: list[Callable[[list[Any]], Any]] = [
            _only_child if rule.method is None else getattr(builder, rule.method) for rule in tables.rules
        ]
        self.states = [tables.starts[self.start]]
        self.values: list[Any] = []
        self.depth = 0
        self.boundaries: list[int] = [1]
        self.fresh = True
        found = None
        tokens = self.tokens.tokens
        at = 0
        while at < len(tokens):
            token = tokens[at]
            following = tokens[at + 1].type if at + 1 < len(tokens) else ""
            accepted = tables.states[self.states[-1]].keys()
            try:
                found = self.feed(token, following)
                at += 1
            except _Unexpected:
                at = self.recover(accepted, tokens, at)
                if len(self.diagnostics) >= MAX_SYNTAX_ERRORS or self.start == "expr":
                    return None
            if builder.problems:
                self.diagnostics += builder.problems
                return None
        return found

    def feed(self, token: Token, following: str) -> Any:
        if token.type in _SOFT:
            actions = self.tables.states[self.states[-1]]
            # A word of the language is a plain name wherever it could not be anything else.
            if token.type not in actions or (following == "ASSIGN" and "NAME" in actions):
                token = Token("NAME", token.value, token.start, token.end)
        found = self.shift(token)
        if token.type == "NEWLINE":
            self.fresh = True
        elif token.type == "LBRACE":
            self.depth += 1
            self.boundaries.append(len(self.states))
            self.fresh = True
        elif token.type == "RBRACE":
            self.depth -= 1
            self.boundaries.pop()
            self.fresh = False
        elif self.fresh:
            # Feeding a statement's first token reduces the list before it and pushes one state.
            self.boundaries[self.depth] = len(self.states) - 1
            self.fresh = False
        return found

    def shift(self, token: Token) -> Any:
        """Reduce what the token ends, then push it; returns the tree at the end of the text."""
        states, values, tables = self.states, self.values, self.tables
        while True:
            action = tables.states[states[-1]].get(token.type)
            if action is None:
                raise _Unexpected
            if action >= 0:
                states.append(action)
                values.append(token)
                return values[-2] if token.type == "$END" else None
            rule = tables.rules[-1 - action]
            children = values[len(values) - rule.size :]
            del values[len(values) - rule.size :]
            del states[len(states) - rule.size :]
            values.append(self.callbacks[-1 - action](children))
            states.append(tables.states[states[-1]][rule.origin])
            if token.type == "$END" and states[-1] == tables.ends[self.start]:
                return values[-1]

    def recover(self, accepted: Iterable[str], tokens: list[Token], at: int) -> int:
        """Report, drop the statement that was under way, and return where to go on."""
        token = tokens[at]
        from genolang.lang.expectations import explain_unexpected

        self.diagnostics.append(explain_unexpected(self.source, tokens, at, accepted))
        depth = 0
        while token.type != "$END":
            if token.type == "LBRACE":
                depth += 1
            elif token.type == "RBRACE":
                if depth == 0:
                    break
                depth -= 1
            elif token.type == "NEWLINE" and depth == 0:
                at += 1
                break
            at += 1
            token = tokens[at]
        keep = len(self.states) if self.fresh else self.boundaries[self.depth]
        self.fresh = True
        del self.states[keep:]
        del self.values[keep - 1 :]
        return at

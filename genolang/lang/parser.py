"""Text to syntax tree. The only file that imports lark, whose LALR(1) tables drive the parse.

The tables are made from `geno.lark` once and kept in `geno.tables.json` (a test compares them), since
building them costs more than parsing a usual file. After an error the parser goes back to the start
of the statement, skips to its end and goes on, so that every wrong statement is reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from lark.exceptions import UnexpectedToken
from lark.grammar import Rule
from lark.parsers.lalr_analysis import IntParseTable, Shift
from lark.parsers.lalr_parser_state import ParseConf, ParserState
from lark.utils import SerializeMemoizer

from genolang.diagnostics import Diagnostic, GenoError, Source
from genolang.lang import syntax
from genolang.lang.expectations import explain_unexpected
from genolang.lang.tokens import KEYWORDS, Token, Tokens, tokenize
from genolang.lang.tree import TreeBuilder

_GRAMMAR = Path(__file__).with_name("geno.lark")
_TABLES = Path(__file__).with_name("geno.tables.json")
_SOFT = frozenset(word.upper() for word in KEYWORDS)
_STARTS = {"file": "file", "expr": "expr"}
MAX_SYNTAX_ERRORS = 50


def build_tables() -> str:
    """The parse tables as JSON text, made anew from the grammar."""
    from lark import Lark

    lark = Lark(
        _GRAMMAR.read_text(), parser="lalr", lexer="basic", start=list(_STARTS), maybe_placeholders=False
    )
    memo = SerializeMemoizer([Rule])
    table = lark.parser.parser.parser.parse_table  # type: ignore[attr-defined]
    data = table.serialize(memo)
    return json.dumps({"table": data, "rules": memo.serialize()}, separators=(",", ":"))


@cache
def _table() -> tuple[IntParseTable, dict[Rule, str | None]]:
    raw = json.loads(_TABLES.read_text())
    memo = SerializeMemoizer.deserialize(
        {int(key): value for key, value in raw["rules"].items()}, {"Rule": Rule}, {}
    )
    data = raw["table"]
    data["states"] = {
        int(state): {token: tuple(action) for token, action in actions.items()}
        for state, actions in data["states"].items()
    }
    data["tokens"] = {int(key): value for key, value in data["tokens"].items()}
    data["states"] = {
        state: {int(token): action for token, action in actions.items()}
        for state, actions in data["states"].items()
    }
    table = IntParseTable.deserialize(data, memo)
    rules: dict[Rule, str | None] = {}
    for actions in table.states.values():
        for action, argument in actions.values():
            if action is not Shift and isinstance(argument, Rule):
                rules[argument] = _method(argument)
    return table, rules


def _method(rule: Rule) -> str | None:
    """The TreeBuilder method of a rule; None where the rule only passes its one child on."""
    name = rule.alias or rule.origin.name
    if not rule.alias and rule.options.expand1 and len(rule.expansion) == 1:
        return None
    return f"{name}_" if name in ("import", "return", "if", "for") else str(name)


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
        table, rules = _table()
        builder = TreeBuilder(self.source)
        callbacks: dict[Any, Callable[[list[Any]], Any]] = {
            rule: _only_child if method is None else getattr(builder, method)
            for rule, method in rules.items()
        }
        self.state = ParserState(ParseConf(table, callbacks, self.start), None)  # type: ignore[arg-type]
        self.depth = 0
        self.boundaries: list[int] = [1]
        self.fresh = True
        found = None
        tokens = self.tokens.tokens
        at = 0
        while at < len(tokens):
            token = tokens[at]
            following = tokens[at + 1].type if at + 1 < len(tokens) else ""
            accepted = self.state.parse_conf.states[self.state.state_stack[-1]].keys()
            try:
                found = self.feed(token, following)
                at += 1
            except UnexpectedToken:
                at = self.recover(accepted, tokens, at)
                if len(self.diagnostics) >= MAX_SYNTAX_ERRORS or self.start == "expr":
                    return None
            if builder.problems:
                self.diagnostics += builder.problems
                return None
        return found

    def feed(self, token: Token, following: str) -> Any:
        state = self.state
        if token.type in _SOFT:
            actions = state.parse_conf.states[state.state_stack[-1]]
            # A word of the language is a plain name wherever it could not be anything else.
            if token.type not in actions or (following == "ASSIGN" and "NAME" in actions):
                token = Token("NAME", token.value, token.start, token.end)
        found = state.feed_token(token, token.type == "$END")  # type: ignore[arg-type]
        if token.type == "NEWLINE":
            self.fresh = True
        elif token.type == "LBRACE":
            self.depth += 1
            self.boundaries.append(len(state.state_stack))
            self.fresh = True
        elif token.type == "RBRACE":
            self.depth -= 1
            self.boundaries.pop()
            self.fresh = False
        elif self.fresh:
            # Feeding a statement's first token reduces the list before it and pushes one state.
            self.boundaries[self.depth] = len(state.state_stack) - 1
            self.fresh = False
        return found

    def recover(self, accepted: Iterable[str], tokens: list[Token], at: int) -> int:
        """Report, drop the statement that was under way, and return where to go on."""
        token = tokens[at]
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
        keep = len(self.state.state_stack) if self.fresh else self.boundaries[self.depth]
        self.fresh = True
        del self.state.state_stack[keep:]
        del self.state.value_stack[keep - 1 :]
        return at

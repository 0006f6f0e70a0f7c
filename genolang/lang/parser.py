"""Text to syntax tree, by the LALR(1) tables that lark makes of `geno.lark`.

After an error the parser goes back to the start of the statement, skips to its end and goes on, so
that every wrong statement is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError, Source, Span
from genolang.lang import syntax
from genolang.lang.tables import load_tables
from genolang.lang.tokens import KEYWORDS, Token, Tokens, tokenize
from genolang.lang.tree import TreeBuilder

_SOFT = frozenset(word.upper() for word in KEYWORDS)
_BEGINNING = frozenset(("IF", "FOR", "NOT"))
MAX_SYNTAX_ERRORS = 50
MAX_DEPTH = 60
MAX_OPEN_STATES = 1000
# The grammar rules whose value is a level deeper than what is in it; lists and chains are not.
_DEEPER = frozenset(("if_", "for_", "prefix", "call", "attribute", "index", "tuple", "list", "infix"))


class _Unexpected(Exception):
    """The next token cannot stand where it stands."""


class _TooDeep(Exception):
    """The tree under way is deeper than what can be worked on."""


def _grows(value: Any) -> bool:
    """Whether a flat chain took in one more operand, which makes it no deeper."""
    return isinstance(value, syntax.Infix) and len(value.operands) > 2


def parse(source: Source) -> tuple[syntax.File, list[Diagnostic]]:
    """The tree of a source and what is wrong with its text; statements in error are left out."""
    run = _Run(source, "file")
    items = run.parse()
    tokens = run.tokens
    file = syntax.File(
        source, tuple(items or ()), tuple(tokens.comments), frozenset(tokens.lost), tuple(tokens.damaged)
    )
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
        if self.tokens.stopped or (self.start == "expr" and self.diagnostics):
            return None
        tables = load_tables()
        builder = TreeBuilder(self.source)
        self.tables = tables
        # Every rule with the method that builds its value, and whether that adds a level.
        self.actions: list[tuple[str, int, Callable[[list[Any]], Any] | None, bool]] = [
            (rule.origin, rule.size, getattr(builder, rule.method) if rule.method else None, rule.method in _DEEPER)
            for rule in tables.rules
        ]
        self.states = [tables.starts[self.start]]
        self.values: list[Any] = []
        # How deep the tree under every value is.
        self.depths: list[int] = []
        self.depth = 0
        self.boundaries: list[int] = [1]
        self.statement = 0
        self.fresh = True
        found = None
        tokens = self.tokens.tokens
        at = 0
        while at < len(tokens):
            token = tokens[at]
            following = tokens[at + 1].type if at + 1 < len(tokens) else ""
            if self.fresh:
                self.statement = at
            before = self.states[:]
            try:
                found = self.feed(token, following)
                at += 1
            except (_Unexpected, _TooDeep) as error:
                # What could stand here is asked of the parse before it gave way to the wrong token.
                self.before = before
                deep = isinstance(error, _TooDeep)
                at = self.recover(self.too_deep(at) if deep else self.unexpected(at), at)
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
            # `slot` is one only in front of a name.
            plain = following == "ASSIGN" or (token.type == "SLOT" and following != "NAME")
            # One that begins an expression is no operand: `x * not` could be neither bracketed nor go on.
            other = token.type not in actions and not (token.type in _BEGINNING and "NUMBER" in actions)
            if other or (plain and "NAME" in actions):
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
        states, values, depths = self.states, self.values, self.depths
        table, actions = self.tables.states, self.actions
        kind = token.type
        while True:
            action = table[states[-1]].get(kind)
            if action is None:
                raise _Unexpected
            if action >= 0:
                states.append(action)
                values.append(token)
                depths.append(0)
                if len(states) > MAX_OPEN_STATES:
                    raise _TooDeep
                return values[-2] if kind == "$END" else None
            origin, size, callback, deeper = actions[-1 - action]
            if callback is None:
                # The rule's one part is its value.
                states[-1] = table[states[-2]][origin]
            else:
                first = len(values) - size
                value = callback(values[first:])
                depth = depths[-1] if size == 1 else max(depths[first:], default=0)
                if deeper and not _grows(value):
                    depth += 1
                    if depth > MAX_DEPTH:
                        raise _TooDeep
                if size == 1:
                    values[-1], depths[-1], states[-1] = value, depth, table[states[-2]][origin]
                else:
                    values[first:], depths[first:] = (value,), (depth,)
                    states[len(states) - size :] = (table[states[-1 - size]][origin],)
            if kind == "$END" and states[-1] == self.tables.ends[self.start]:
                return values[-1]

    def unexpected(self, at: int) -> Diagnostic:
        from genolang.lang.expectations import explain_unexpected

        accepted = [kind for kind in self.tables.states[self.before[-1]] if self.accepts(kind)]
        return explain_unexpected(self.source, self.tokens.tokens, at, accepted, self.statement)

    def accepts(self, kind: str) -> bool:
        """Whether a token of this type could stand next: a state also lists what others may take."""
        if not kind.isupper() and kind != "$END":
            return False
        states, tables = self.before[:], self.tables
        while True:
            action = tables.states[states[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                return True
            rule = tables.rules[-1 - action]
            del states[len(states) - rule.size :]
            states.append(tables.states[states[-1]][rule.origin])
            if kind == "$END" and states[-1] == tables.ends[self.start]:
                return True

    def too_deep(self, at: int) -> Diagnostic:
        token = self.tokens.tokens[min(at, len(self.tokens.tokens) - 2)]
        return Diagnostic(
            "G007",
            f"this is nested more than {MAX_DEPTH} deep",
            Span(self.source, token.start, max(token.end, token.start + 1)),
            help="name the inner parts and refer to them",
        )

    def recover(self, diagnostic: Diagnostic, at: int) -> int:
        """Report, drop the statement that was under way, and return where to go on."""
        tokens = self.tokens.tokens
        outside = self.depth == 0
        depth = 0
        while tokens[at].type != "$END":
            kind = tokens[at].type
            if kind == "LBRACE":
                depth += 1
            elif kind == "RBRACE":
                if depth == 0 and not outside:
                    break
                depth -= depth > 0
            at += 1
            # Outside of definitions, an indented line belongs to the one above it.
            if kind == "NEWLINE" and depth == 0 and not (outside and self.continues(tokens[at])):
                break
        self.drop(diagnostic, at)
        keep = len(self.states) if self.fresh else self.boundaries[self.depth]
        self.fresh = True
        del self.states[keep:]
        del self.values[keep - 1 :], self.depths[keep - 1 :]
        return at

    def continues(self, token: Token) -> bool:
        text = self.source.text
        return token.type == "RBRACE" or (token.start > 0 and text[token.start - 1] in " \t")

    def drop(self, diagnostic: Diagnostic, until: int) -> None:
        """Leave out a statement; what was said of its words and signs says enough."""
        tokens = self.tokens
        dropped = tokens.tokens[self.statement : until]
        start = min(tokens.tokens[self.statement].start, tokens.tokens[until].start)
        end = dropped[-1].end if dropped else start
        tokens.lose(dropped)
        tokens.damaged.append(start)
        lexical = tokens.diagnostics
        known = [d for d in lexical if d.span is not None and start <= d.span.start <= end]
        if known and all(d.code == "G006" and d.message.startswith("`}` closes") for d in known):
            # The brace is stray because of what is wrong before it.
            self.diagnostics = [d for d in self.diagnostics if d not in known]
            known = []
        if not known:
            self.diagnostics.append(diagnostic)

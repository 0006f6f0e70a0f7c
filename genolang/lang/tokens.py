"""Text to tokens: words, numbers, signs and those line ends that end a statement.

A wrong bracket ends the definition that it stands in, and reading goes on at the next line that
starts a definition at column 1, so that one bracket does not hide the rest of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from genolang.diagnostics import Diagnostic, Label, Source, Span
from genolang.lang.limits import limit, limit_note
from genolang.lang.syntax import Comment
from genolang.records import record

MAX_NESTING = 64
MAX_NAME = 100
MAX_NUMBER = 24
MAX_LEXICAL_ERRORS = 40

KEYWORDS = frozenset(
    "geno import as op attention cell choice network search train combine return require inputs nodes"
    " edges keep per node by input init stem body head cells of at auxiliary weight when if then else for"
    " in or and not true false with shared where all every from slot state stages".split()
)
_TYPES = {
    ",": "COMMA", ".": "DOT", ":": "COLON", "=": "ASSIGN", "->": "ARROW", "|": "BAR", "+": "PLUS",
    "-": "MINUS", "*": "STAR", "/": "SLASH", "//": "SLASH", "%": "SLASH", "(": "LPAR", ")": "RPAR",
    "[": "LBRACKET", "]": "RBRACKET", "{": "LBRACE", "}": "RBRACE",
    **dict.fromkeys(("==", "!=", "<=", ">=", "<", ">"), "COMPARE"),
}  # fmt: skip
_CONTINUES_BEFORE = frozenset("ARROW BAR PLUS MINUS STAR SLASH COMPARE THEN ELSE AND OR".split())
# Behind `network a = b`, outside of brackets, a line may begin with one of these and go on.
_PLUGS = frozenset(("WITH", "SHARED", "WHERE"))
_CONTINUES_AFTER = _CONTINUES_BEFORE | {"ASSIGN", "COMMA", "COLON", "NOT", "OF", "IN"}
_OPEN = {"(": ")", "[": "]", "{": "}"}
# Signs of other notations, and what they are read as after they have been reported.
_MEANT = {
    "→": "->", "⟶": "->", "×": "*", "·": "*", "⋅": "*", "∗": "*", "⊗": "*", "⊕": "+", "−": "-", "–": "-",
    "÷": "/", "≤": "<=", "≥": ">=", "≠": "!=", "，": ",", "：": ":", "（": "(", "）": ")",
}  # fmt: skip
_INSTEAD = {
    "'": 'a string is written `"text"`', "“": 'a string is written `"text"`',
    "”": 'a string is written `"text"`', ";": "statements end with the line",
    "&": "write `and`", "!": "write `not`", "@": "matrices are multiplied by `matmul(a, b)`",
    "^": "there is no power; write the product", "\\": "a line that ends in an operator goes on",
    "$": "values are referred to by their name alone", "?": "write `if condition then a else b`",
    "~": "write `not`", "`": "names are written without quotes", "σ": "write `sigmoid`",
}  # fmt: skip
_EXACT_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?[kMG]?")

_PATTERN = re.compile(
    r"(?P<space>[ \t\r\f]+)"
    r"|(?P<newline>\n[ \t\r\f\n]*)"
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\w*)"
    r"|(?P<string>\"[^\"\n]*\"?)"
    r"|(?P<sign>->|//|==|!=|<=|>=|[-+*/%=<>|,.:()\[\]{}])"
    r"|(?P<quoted>'[^'\n]*')"
    r"|(?P<other>.)"
)
_ITEM_WORDS = frozenset("op attention cell choice network search train import geno".split())


class Token:
    """A lark-shaped token: `type`, `value` and the characters it stands on."""

    __slots__ = ("end", "start", "type", "value")

    def __init__(self, type: str, value: str, start: int, end: int) -> None:
        self.type = type
        self.value = value
        self.start = start
        self.end = end


@record
class Tokens:
    """`lost` are the names in text that was left out, `damaged` where such text stood; `stopped` is
    set when reading ended before the text did."""

    tokens: list[Token]
    comments: list[Comment]
    diagnostics: list[Diagnostic]
    lost: set[str]
    damaged: list[int]
    stopped: bool = False

    def lose(self, dropped: Iterable[Token]) -> None:
        """Remember the names of tokens that the tree will not have."""
        self.lost.update(t.value for t in dropped if t.type == "NAME" or t.value in KEYWORDS)


def tokenize(source: Source) -> Tokens:
    """All tokens, comments and lexical diagnostics of a source; never raises."""
    return _Tokenizer(source).run()


class _Tokenizer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.out = Tokens([], [], [], set(), [])
        self.open: list[Token] = []
        # The position of each of them in `tokens`.
        self.opened: list[int] = []
        self.line_end: Token | None = None
        # The position, in `tokens`, of the first token of the item under way.
        self.item = 0

    def run(self) -> Tokens:
        at: int | None = 0
        while at is not None:
            at = self.read_from(at)
        return self.finish()

    def read_from(self, at: int) -> int | None:
        """Read on from a place; returns where to resume after a wrong bracket, None at the end."""
        text, tokens, comments = self.source.text, self.out.tokens, self.out.comments
        most = limit("words")
        for match in _PATTERN.finditer(text, at):
            kind, value = match.lastgroup, match.group()
            start, end = match.start(), match.end()
            if kind == "space":
                continue
            if kind == "newline":
                if self.line_end is None:
                    self.line_end = Token("NEWLINE", "\n", start, start + 1)
                continue
            if kind == "comment":
                comments.append(Comment(Span(self.source, start, end), value.rstrip()))
            elif kind == "name":
                if len(value) > MAX_NAME or not value.isascii():
                    self.wrong_name(value, start, end)
                if self.open and self.line_end is not None and self.starts_item(value, start):
                    self.unclosed()
                self.add(Token(value.upper() if value in KEYWORDS else "NAME", value, start, end))
            elif kind == "sign":
                if not self.add_sign(Token(_TYPES[value], value, start, end)):
                    return self.resume(end)
            elif kind == "number":
                self.add(Token("NUMBER", self.number(value, start, end), start, end))
            elif kind == "string":
                if len(value) < 2 or value[-1] != '"':
                    self.report("G012", "this string has no closing quote", start, end)
                self.add(Token("STRING", value, start, end))
            elif not self.unexpected(value, start, end):
                return self.resume(end)
            if len(tokens) + len(comments) > most:
                self.report("G507", f"the file has more than {most:,} words and signs", start, end,
                            help="split it into several files and import them",
                            notes=(limit_note("words"),))  # fmt: skip
                self.out.stopped = True
                return None
            if len(self.out.diagnostics) >= MAX_LEXICAL_ERRORS:
                self.out.stopped = True
                return None
        return None

    def starts_item(self, word: str, at: int) -> bool:
        """Whether a line starts a definition, wherever the brackets before it stand."""
        first_column = at == 0 or self.source.text[at - 1] == "\n"
        return word in _ITEM_WORDS and first_column and bool(_item_line().match(self.source.text, at))

    def finish(self) -> Tokens:
        end = len(self.source.text)
        if self.open and not self.out.stopped:
            self.unclosed()
        self.out.tokens.append(Token("NEWLINE", "\n", end, end))
        self.out.tokens.append(Token("$END", "", end, end))
        return self.out

    def add(self, token: Token) -> None:
        tokens = self.out.tokens
        line_end, self.line_end = self.line_end, None
        if line_end is not None and tokens and self.ends_statement(tokens[-1], token):
            tokens.append(line_end)
        if not self.open and (not tokens or tokens[-1].type == "NEWLINE"):
            self.item = len(tokens)
        tokens.append(token)

    def ends_statement(self, before: Token, after: Token) -> bool:
        if self.open and self.open[-1].value != "{":
            return False
        if after.type in _PLUGS and not self.open:
            return False
        return after.type not in _CONTINUES_BEFORE and before.type not in _CONTINUES_AFTER

    # Brackets

    def add_sign(self, token: Token) -> bool:
        """Add a sign and keep track of brackets; false when the item under way was given up."""
        value = token.value
        if value in _OPEN:
            self.add(token)
            self.open.append(token)
            self.opened.append(len(self.out.tokens) - 1)
            if len(self.open) > MAX_NESTING:
                self.report(
                    "G007", f"brackets are nested more than {MAX_NESTING} deep", token.start,
                    token.end, help="name the inner parts and refer to them",
                )  # fmt: skip
                self.give_up()
                return False
            return True
        if value not in ")]}":
            self.add(token)
            return True
        if not self.open:
            self.report("G006", f"`{value}` closes nothing", token.start, token.end,
                        help="remove it, or add what it should close")  # fmt: skip
            return True
        bracket = self.open[-1]
        if _OPEN[bracket.value] != value:
            self.mismatched(token, bracket)
            if value != "}" or not any(b.value == "{" for b in self.open):
                self.give_up()
                return False
            self.leave_out_statement()
        if value == "}" and self.out.tokens[-1].type != "NEWLINE":
            self.line_end = None
            self.out.tokens.append(Token("NEWLINE", "", token.start, token.start))
        self.add(token)
        self.open.pop()
        self.opened.pop()
        return True

    def mismatched(self, token: Token, bracket: Token) -> None:
        closing = _OPEN[bracket.value]
        span = Span(self.source, token.start, token.end)
        if self.in_string(bracket):
            return
        outer = any(_OPEN[b.value] == token.value for b in self.open)
        if outer:
            self.report(
                "G006", f"`{bracket.value}` is never closed", bracket.start, bracket.end,
                help=f"add the matching `{closing}`",
                labels=(Label(span, f"this closes what stands around the `{bracket.value}`"),),
            )  # fmt: skip
            return
        self.report(
            "G006", f"`{token.value}` does not close the `{bracket.value}` that is open here", token.start,
            token.end, help=f"write `{closing}`",
            labels=(Label(Span(self.source, bracket.start, bracket.end), "opened here"),),
        )  # fmt: skip

    def in_string(self, bracket: Token) -> bool:
        """Whether an unclosed string after a bracket took in what closes it."""
        return any(d.code == "G012" and d.span is not None and d.span.start > bracket.start
                   for d in self.out.diagnostics)  # fmt: skip

    def unclosed(self) -> None:
        """Report the bracket that the next definition, or the end of the file, finds open."""
        # A round or square bracket is what was forgotten; the brace around it is open because of it.
        bracket = next((b for b in self.open if b.value != "{"), self.open[-1])
        if not self.in_string(bracket):
            self.report(
                "G006", f"`{bracket.value}` is never closed", bracket.start, bracket.end,
                help=f"add the matching `{_OPEN[bracket.value]}`",
            )  # fmt: skip
        self.give_up()

    def leave_out_statement(self) -> None:
        """Leave out the statement whose bracket the closing brace of its block finds open."""
        tokens = self.out.tokens
        while self.open[-1].value != "{":
            self.open.pop()
            first = self.opened.pop()
        brace = self.opened[-1]
        while first > brace + 1 and tokens[first - 1].type != "NEWLINE":
            first -= 1
        if first < len(tokens):
            self.out.damaged.append(tokens[first].start)
        self.out.lose(tokens[first:])
        del tokens[first:]

    def give_up(self) -> None:
        """Leave out the item under way."""
        tokens = self.out.tokens
        if self.item < len(tokens):
            self.out.damaged.append(tokens[self.item].start)
        self.out.lose(tokens[self.item :])
        del tokens[self.item :]
        self.open.clear()
        self.opened.clear()
        self.line_end = None

    def resume(self, at: int) -> int | None:
        """Where the next item starts, at column 1."""
        found = _item_line().search(self.source.text, at)
        return None if found is None else found.start()

    # Wrong words

    def wrong_name(self, value: str, start: int, end: int) -> None:
        if len(value) > MAX_NAME:
            self.report("G010", f"a name of {len(value)} characters; at most {MAX_NAME} are allowed",
                        start, end, help="choose a shorter name")  # fmt: skip
            return
        help = _INSTEAD.get(value, "names are made of the letters a to z, A to Z, digits and `_`")
        self.report("G004", f"`{value}` is not a name", start, end, help=help)

    def number(self, value: str, start: int, end: int) -> str:
        """A number as it is written, or `1` in place of one that was reported."""
        if len(value) > MAX_NUMBER:
            self.report("G011", f"a number of {len(value)} characters; at most {MAX_NUMBER} are allowed",
                        start, end, help="write `1e6`, `2.5M` or `3/7`")  # fmt: skip
            return "1"
        if not _EXACT_NUMBER.fullmatch(value):
            exponent = re.fullmatch(r"[0-9.]+[eE][+-]?[0-9]{3,}", value)
            if exponent:
                self.report("G011", f"`{value}` is beyond the numbers that can be written", start, end,
                            help="numbers reach from 1e-30 to 1e15")  # fmt: skip
                return "1"
            self.report("G004", f"`{value}` is not a number", start, end,
                        help=_number_help(value))  # fmt: skip
            return "1"
        if (len(value) > 12 or "e" in value or "E" in value) and not _reasonable(value):
            self.report("G011", f"`{value}` is beyond the numbers that can be written", start, end,
                        help="numbers reach from 1e-30 to 1e15")  # fmt: skip
            return "1"
        return value

    def unexpected(self, value: str, start: int, end: int) -> bool:
        """Report a sign that is none; read on with what it was meant to be. False as in `add_sign`."""
        meant = _MEANT.get(value)
        if value.startswith("'") and len(value) > 1:
            self.report("G004", "single quotes mean nothing here", start, end, help=_INSTEAD["'"])
            self.add(Token("STRING", f'"{value[1:-1]}"', start, end))
            return True
        shown = value[:40] if value.isprintable() else ascii(value[:8])[1:-1]
        self.report("G004", f"`{shown}` means nothing here", start, end,
                    help=f"write `{meant}`" if meant else _INSTEAD.get(value))  # fmt: skip
        return meant is None or self.add_sign(Token(_TYPES[meant], meant, start, end))

    def report(
        self, code: str, message: str, start: int, end: int, help: str | None = None,
        labels: tuple[Label, ...] = (), notes: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.out.damaged.append(start)
        self.out.diagnostics.append(Diagnostic(code, message, Span(self.source, start, end), labels, help, notes))


@cache
def _item_line() -> re.Pattern[str]:
    return re.compile(
        r"^(?:(?:op|attention|cell|choice|network)[ \t]+[A-Za-z_]|(?:search|train)[ \t]*\{"
        r"|import[ \t]+[A-Za-z_]|geno[ \t]+[0-9])",
        re.MULTILINE,
    )


def _reasonable(value: str) -> bool:
    from decimal import Decimal

    scale = {"k": 3, "M": 6, "G": 9}.get(value[-1], 0)
    number = Decimal(value[:-1] if scale else value)
    return number.is_zero() or -30 <= number.adjusted() + scale < 15 or number.scaleb(scale) == 10**15


def _number_help(value: str) -> str:
    if value[-1] in "KmgbB" and value[:-1].replace(".", "").isdigit():
        return "the suffixes are `k` (thousand), `M` (million) and `G` (milliard)"
    if re.fullmatch(r"[0-9]+_[0-9_]+", value):
        return f"write `{value.replace('_', '')}`, or use `k` and `M`"
    if re.match(r"[0-9]+[A-Za-z]", value):
        return "a name begins with a letter; a number reads 12, 0.5, 3e-4, 20k, 3.5M or 1.2G"
    return "write 12, 0.5, 3e-4, 20k, 3.5M or 1.2G"

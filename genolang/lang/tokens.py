"""Text to tokens: words, numbers, signs and those line ends that end a statement."""

from __future__ import annotations

import re
from dataclasses import dataclass

from genolang.diagnostics import Diagnostic, Source, Span, did_you_mean
from genolang.lang.syntax import Comment

MAX_TOKENS = 200_000
MAX_NESTING = 64
MAX_NAME = 100
MAX_NUMBER = 24

KEYWORDS = frozenset(
    "geno import as op attention cell choice network search train combine return require inputs nodes"
    " edges keep per node by input stem body head cells of at auxiliary weight when if then else for"
    " in or and not true false".split()
)
_TYPES = {
    ",": "COMMA", ".": "DOT", ":": "COLON", "=": "ASSIGN", "->": "ARROW", "|": "BAR", "+": "PLUS",
    "-": "MINUS", "*": "STAR", "/": "SLASH", "//": "SLASH", "%": "SLASH", "(": "LPAR", ")": "RPAR",
    "[": "LBRACKET", "]": "RBRACKET", "{": "LBRACE", "}": "RBRACE",
    **dict.fromkeys(("==", "!=", "<=", ">=", "<", ">"), "COMPARE"),
}  # fmt: skip
_CONTINUES_BEFORE = frozenset("ARROW BAR PLUS MINUS STAR SLASH COMPARE THEN ELSE AND OR".split())
_CONTINUES_AFTER = _CONTINUES_BEFORE | {"ASSIGN", "COMMA", "COLON", "NOT", "OF", "IN"}
_OPEN = {"(": ")", "[": "]", "{": "}"}

_PATTERN = re.compile(
    r"(?P<space>[ \t\r\f]+)"
    r"|(?P<newline>\n)"
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[A-Za-z_0-9]*)"
    r"|(?P<string>\"[^\"\n]*\"?)"
    r"|(?P<sign>->|//|==|!=|<=|>=|[-+*/%=<>|,.:()\[\]{}])"
    r"|(?P<other>.)"
)


class Token:
    """A lark-shaped token: `type`, `value` and the characters it stands on."""

    __slots__ = ("end", "start", "type", "value")

    def __init__(self, type: str, value: str, start: int, end: int) -> None:
        self.type = type
        self.value = value
        self.start = start
        self.end = end


@dataclass(slots=True)
class Tokens:
    tokens: list[Token]
    comments: list[Comment]
    diagnostics: list[Diagnostic]


def tokenize(source: Source) -> Tokens:
    """All tokens, comments and lexical diagnostics of a source; never raises."""
    return _Tokenizer(source).run()


class _Tokenizer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.out = Tokens([], [], [])
        self.open: list[Token] = []
        self.line_end: Token | None = None

    def run(self) -> Tokens:
        tokens = self.out.tokens
        for match in _PATTERN.finditer(self.source.text):
            kind, value = match.lastgroup, match.group()
            start, end = match.start(), match.end()
            if kind == "space":
                continue
            if kind == "newline":
                if self.line_end is None:
                    self.line_end = Token("NEWLINE", "\n", start, end)
                continue
            if kind == "comment":
                self.out.comments.append(Comment(Span(self.source, start, end), value.rstrip()))
                continue
            if kind == "name":
                self.check_name(value, start, end)
                self.add(Token(value.upper() if value in KEYWORDS else "NAME", value, start, end))
            elif kind == "sign":
                if not self.add_sign(Token(_TYPES[value], value, start, end)):
                    break
            elif kind == "number":
                self.check_number(value, start, end)
                self.add(Token("NUMBER", value, start, end))
            elif kind == "string":
                if len(value) < 2 or value[-1] != '"':
                    self.report("G012", "this string has no closing quote", start, end)
                self.add(Token("STRING", value, start, end))
            else:
                self.unexpected(value, start, end)
            if len(tokens) > MAX_TOKENS:
                self.report(
                    "G507", f"the file has more than {MAX_TOKENS} words and signs", start, end,
                    help="split it into several files and import them",
                )  # fmt: skip
                break
        return self.finish()

    def finish(self) -> Tokens:
        end = len(self.source.text)
        if self.open and not self.out.diagnostics:
            bracket = self.open[-1]
            self.report(
                "G006", f"`{bracket.value}` is never closed", bracket.start, bracket.end,
                help=f"add the matching `{_OPEN[bracket.value]}`",
            )  # fmt: skip
        self.out.tokens.append(Token("NEWLINE", "\n", end, end))
        self.out.tokens.append(Token("$END", "", end, end))
        return self.out

    def add(self, token: Token) -> None:
        tokens = self.out.tokens
        line_end, self.line_end = self.line_end, None
        if line_end is not None and tokens and self.ends_statement(tokens[-1], token):
            tokens.append(line_end)
        tokens.append(token)

    def ends_statement(self, before: Token, after: Token) -> bool:
        if self.open and self.open[-1].value != "{":
            return False
        return after.type not in _CONTINUES_BEFORE and before.type not in _CONTINUES_AFTER

    def add_sign(self, token: Token) -> bool:
        """Add a sign and keep track of brackets; false when reading on makes no sense."""
        value = token.value
        if value in _OPEN:
            self.add(token)
            self.open.append(token)
            if len(self.open) > MAX_NESTING:
                self.report(
                    "G007", f"brackets are nested more than {MAX_NESTING} deep", token.start,
                    token.end, help="name the inner parts and refer to them",
                )  # fmt: skip
                return False
            return True
        if value in ")]}":
            if self.open and _OPEN[self.open[-1].value] == value:
                if value == "}" and self.out.tokens[-1].type != "NEWLINE":
                    self.line_end = None
                    self.out.tokens.append(Token("NEWLINE", "", token.start, token.start))
                self.add(token)
                self.open.pop()
                return True
            self.mismatched(token)
            return False
        self.add(token)
        return True

    def mismatched(self, token: Token) -> None:
        if not self.open:
            self.report("G006", f"`{token.value}` closes nothing", token.start, token.end,
                        help="remove it, or add what it should close")  # fmt: skip
            return
        bracket = self.open[-1]
        line = self.source.position(bracket.start)[0]
        self.report(
            "G006",
            f"`{token.value}` does not close the `{bracket.value}` of line {line}",
            token.start, token.end, help=f"close it with `{_OPEN[bracket.value]}` first",
        )  # fmt: skip

    def check_name(self, value: str, start: int, end: int) -> None:
        if len(value) > MAX_NAME:
            self.report("G010", f"a name of {len(value)} characters; at most {MAX_NAME} are allowed",
                        start, end, help="choose a shorter name")  # fmt: skip

    def check_number(self, value: str, start: int, end: int) -> None:
        if not re.fullmatch(r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?[kMG]?", value):
            self.report("G004", f"`{value[:40]}` is not a number", start, end,
                        help="write 12, 0.5, 3e-4, 20k, 3.5M or 1.2G")  # fmt: skip
        elif len(value) > MAX_NUMBER:
            self.report("G011", f"a number of {len(value)} characters; at most {MAX_NUMBER} are allowed",
                        start, end)  # fmt: skip

    def unexpected(self, value: str, start: int, end: int) -> None:
        words = {"→": "->", "×": "*", "·": "*", "=>": "->", "–": "-", "'": '"', ";": "a new line",
                 "&": "and", "!": "not", "@": "*", "“": '"', "”": '"'}  # fmt: skip
        shown = value if value.isprintable() else repr(value)[1:-1]
        if len(self.out.diagnostics) < 20:
            self.report(
                "G004", f"`{shown}` means nothing here", start, end,
                help=f"write {words[value]} instead" if value in words else None,
            )  # fmt: skip

    def report(self, code: str, message: str, start: int, end: int, help: str | None = None) -> None:
        self.out.diagnostics.append(
            Diagnostic(code, message, Span(self.source, start, end), help=help)
        )


def keyword_like(word: str) -> str | None:
    """`did you mean` over the language's own words."""
    return did_you_mean(word, KEYWORDS)

"""Random texts that follow the grammar, with every word of the language as a name too, and with any layout."""

from __future__ import annotations

import math
import random
import re
from functools import cache

from genolang.lang.tables import GRAMMAR
from genolang.lang.tokens import KEYWORDS

NAMES = ("x", "n1", "relu", "conv", "stage", "a_long_name_of_an_operation", *sorted(KEYWORDS))
WORDS = {
    "NUMBER": ("0", "1", "16", "0.5", ".5", "3E-4", "20k", "3.5M"),
    "STRING": ('"0"', '"a # b"', '""'),
    "COMPARE": ("==", "!=", "<", "<=", ">", ">="),
    "SLASH": ("/", "//", "%"),
    "COMMA": (",",),
    "DOT": (".",),
    "COLON": (":",),
    "ASSIGN": ("=",),
    "ARROW": ("->",),
    "BAR": ("|",),
    "PLUS": ("+",),
    "MINUS": ("-",),
    "STAR": ("*",),
    "LPAR": ("(",),
    "RPAR": (")",),
    "LBRACKET": ("[",),
    "RBRACKET": ("]",),
    "LBRACE": ("{",),
    "RBRACE": ("}",),
    "NEWLINE": ("\n",),
}
BREAKS = (" # c{}\n", "\n  #c{}\n", "\n\n", "\n", "\n\n# c{}\n\n")
Rules = dict[str, list[list[str]]]


@cache
def rules() -> Rules:
    """Every rule of the grammar with its alternatives."""
    found: Rules = {}
    for line in GRAMMAR.read_text("utf-8").split("\n"):
        match = re.match(r"[?!]?(\w+): ?(.*)|\s+\| ?(.*)", line)
        if match is None:
            continue
        if match[1]:
            name, found[match[1]] = match[1], []
        alternatives = (match[2] if match[1] else match[3]).split("|")
        found[name] += [alternative.partition("->")[0].split() for alternative in alternatives]
    return found


@cache
def heights() -> dict[str, float]:
    """How deep the least tree of every rule is."""
    known = dict.fromkeys(rules(), math.inf)
    while True:
        least = {name: min(_height(known, a) for a in alternatives) for name, alternatives in rules().items()}
        if least == known:
            return known
        known = least


def _height(known: dict[str, float], alternative: list[str]) -> float:
    return 1 + max((known.get(part, 0) for part in alternative), default=0)


def derived(random_: random.Random, start: str = "file", size: int = 150) -> str:
    """A text of the rule `start`, of about so many words at most."""
    words: list[str] = []
    stack = [start]
    while stack:
        part = stack.pop()
        if part not in rules():
            named = NAMES[:6] if random_.random() < 0.7 else NAMES
            words.append(random_.choice(named if part == "NAME" else WORDS.get(part, (part.lower(),))))
            continue
        alternatives = rules()[part]
        if len(words) + len(stack) > size or (part != start and random_.random() < 0.05):
            alternatives = sorted(alternatives, key=lambda a: _height(heights(), a))[:1]
        longer = [alternative for alternative in alternatives if part in alternative and part != "sum"]
        stack += reversed(random_.choice(longer if longer and random_.random() < 0.3 else alternatives))
    return _laid_out(random_, words)


def derived_text(random_: random.Random) -> str:
    """A whole text of the grammar: some items, often with modules plugged into a network."""
    size = random_.choice((10, 30, 80, 200))
    if random_.random() < 0.4:
        return "network n = x " + derived(random_, "plugs", size)
    return derived(random_, random_.choice(("file", "definition", "definition", "section")), size)


def _laid_out(random_: random.Random, words: list[str]) -> str:
    """The words with blanks, and now and then a line end or a comment, between them."""
    parts: list[str] = []
    for number, word in enumerate(words):
        parts.append(word)
        chance = random_.random()
        if chance < 0.02:
            parts.append(random_.choice(BREAKS).format(number))
        elif chance < 0.9 or re.match(r"\w", word):
            parts.append(" ")
    return "".join(parts)

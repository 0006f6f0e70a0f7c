"""Wrong specs by the thousand: token soup, and the shipped specs with words moved about."""

from __future__ import annotations

import random
import re
import time

import genolang
from genolang.diagnostics import render, render_all
from genolang.semantics.modules import LIBRARY, library_names

SPECS = [LIBRARY.joinpath(*name).with_suffix(".geno").read_text("utf-8") for name in library_names()]
_WORD = re.compile(r"->|//|[<>=!]=|\w+|[^\w\s]|\n[ \t]*|[ \t]+")
WORDS = sorted(
    {word for text in SPECS for word in _WORD.findall(text)}
    | set(
        "0 1 -1 2 7 1e15 1e-30 0.5 1/3 99999 while \" ' → × é [ ] { } ( ) | % < == or and not for in repeat range"
        " len log2 map searching core x C H W earlier each later inputs nodes".split()
    )
)


def soup(random_: random.Random) -> str:
    """Words of the language in any order, on a few lines."""
    count = random_.randint(1, 120)
    return "geno 1\n" + " ".join(random_.choice(WORDS) for _ in range(count))


def mutant(random_: random.Random) -> str:
    """A shipped spec with a few words dropped, doubled, swapped or replaced."""
    words = _WORD.findall(random_.choice(SPECS))
    for _ in range(random_.randint(1, 6)):
        at = random_.randrange(len(words))
        match random_.randrange(6):
            case 0:
                del words[at]
            case 1:
                words.insert(at, words[at])
            case 2:
                other = random_.randrange(len(words))
                words[at], words[other] = words[other], words[at]
            case 3:
                words[at] = random_.choice(WORDS)
            case 4:
                words.insert(at, f" {random_.choice(WORDS)} ")
            case _:
                end = min(len(words), at + random_.randint(1, 40))
                to = random_.randrange(len(words))
                words[to:to] = words[at:end]
        if not words:
            words = ["\n"]
    return "".join(words)


NAMES = [word for word in WORDS if word.isidentifier()]
VALUES = [
    "0",
    "1",
    "2",
    "3",
    "16",
    "-1",
    "1/3",
    "0.5",
    "1e15",
    "1e-30",
    "99999",
    "C",
    "x",
    "x.H",
    "relu",
    "conv(3)",
    "sep_conv(3)",
    "se",
    "[1, 2]",
    "(1, 2)",
    "(relu | tanh)",
    "true",
    '"text"',
    "map",
    "core",
    "repeat(3, relu)",
    "(x -> relu)",
    "log2(8)",
    "range(4)",
    "(for k in [3, 5] : conv(k))",
    "(if C > 3 then relu else tanh)",
    "image(3, 8, 8)",
    "concat(x, x)",
    "operation",
    "y",
]


def twisted(random_: random.Random) -> str:
    """A shipped spec with a few names and values put where others stood, which mostly still parses."""
    words = _WORD.findall(random_.choice(SPECS))
    places = [i for i, word in enumerate(words) if word.isidentifier() or word[0].isdigit()]
    for _ in range(random_.randint(1, 3)):
        at = random_.choice(places)
        named = words[at].isidentifier() and random_.random() < 0.6
        words[at] = random_.choice(NAMES if named else VALUES)
    return "".join(words)


PIECES = re.compile(r"#[^\n]*|\"[^\"\n]*\"|->|//|[<>=!]=|\w+|[^\w\s]|\n[ \t]*|[ \t]+")
BREAKS = (" # c\n", "\n", "\n\n", " #c\n  #d\n", "\n\n#e\n\n")


def relaid(random_: random.Random, text: str) -> str:
    """The text with brackets, line ends and comments where they may be needless, and a few words changed."""
    words = PIECES.findall(text) or [""]
    for _ in range(random_.randint(1, 5)):
        at = random_.randrange(len(words))
        match random_.randrange(6):
            case 0 if words[at].strip() and words[at][0] != "#":
                words[at] = f"({words[at]})"
            case 1:
                words[at] += random_.choice(BREAKS)
            case 2:
                other = random_.randrange(len(words))
                words[at], words[other] = words[other], words[at]
            case 3:
                words[at] = random_.choice(WORDS)
            case 4:
                words[at] = random_.choice(VALUES)
            case _:
                words[at] = ""
    return "".join(words)


def assert_answered(text: str, *, grace_s: float = 2.0) -> None:
    """The text ends in diagnostics that can be shown, at two seconds a megabyte, and no exception."""
    began = time.process_time()
    found = genolang.check(text, "fuzz.geno")
    render_all(found)
    seconds = time.process_time() - began
    allowed = grace_s * max(1.0, len(text) / 1e6)
    assert seconds < allowed, f"{seconds:.1f} s for {len(text)} characters"
    for diagnostic in found:
        assert diagnostic.to_json()["message"]
        shown = render(diagnostic)
        assert all(c == "\n" or c.isprintable() for c in shown), shown

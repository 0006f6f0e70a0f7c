"""What a user would do without a search, and whether an answer beats it.

In a space of slots: none connected, all connected, every second. In others the answers of the fewest and
the most multiply-accumulates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from genolang.search.schemes import Scheme, SchemeSpace
from genolang.search.space import Genotype
from genolang.semantics.settings import RivalKind

_SLOTS = {
    "cheapest": "no slot connected",
    "dearest": "every slot connected",
    "every_second": "every second slot connected",
}
_OTHERS = {"cheapest": "the cheapest answer", "dearest": "the dearest answer"}


@dataclass(frozen=True, slots=True)
class Reference:
    """An answer that took no search, trained and measured as the found one was; `text` says what it is."""

    name: str
    text: str
    score: float
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Rival:
    """A reference before it is scored."""

    name: str
    text: str
    genotype: Genotype
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer is better than something else by more than chance makes of either.

    `ahead` is how much better it is, `beaten` whether that is more than the `spread`.
    """

    name: str
    ahead: float
    beaten: bool
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "ahead": self.ahead, "beaten": self.beaten, "sentence": self.sentence}


def describe(name: str, space: SchemeSpace) -> str:
    """What a reference is, in words."""
    return (_SLOTS if space.plugs else _OTHERS)[name]


def references(space: SchemeSpace, wanted: Iterable[RivalKind]) -> dict[str, Genotype]:
    """Those of the wanted references that the space has, no two of them the same."""
    found: dict[str, Genotype] = {}
    for name in wanted:
        if name == "every_second" and not space.plugs:
            continue
        genotype = space.genotype(_scheme(space, name))
        if genotype not in found.values():
            found[name] = genotype
    return found


def _scheme(space: SchemeSpace, name: RivalKind) -> Scheme:
    if name == "cheapest":
        return space.plain
    if name == "dearest":
        return space.full
    scheme = list(space.plain)
    for number in space.plugs[::2]:
        scheme[number] = 1
    return tuple(scheme)


def spread(score: float, random: Sequence[float], images: int) -> float:
    """How far apart scores are that differ by nothing but chance.

    The larger of two deviations: that of random answers' scores, where there are two or more, and that of a
    share of right answers among so many images.
    """
    sampled = math.sqrt(score * (1 - score) / images)
    return max(sampled, stdev(random)) if len(random) > 1 else sampled


def verdict(score: float, name: str, text: str, other: float, spread: float) -> Verdict:
    """The sentence for a person, and what it stands on."""
    ahead = score - other
    beaten = ahead > spread
    pair = f"{score:.4f} against {other:.4f}"
    if beaten:
        said = f"The answer beats {text} by more than the spread of {spread:.4f}: {pair}."
    elif ahead > 0:
        said = f"The answer does not beat {text} by more than the spread of {spread:.4f}: {pair}."
    elif ahead == 0:
        said = f"The answer does not beat {text}: both have {score:.4f}."
    else:
        said = f"The answer does not beat {text}, which is better: {pair}, the spread {spread:.4f}."
    return Verdict(name, ahead, beaten, said)


def verdicts(
    score: float, found: Sequence[Reference], random: Sequence[float], images: int
) -> tuple[float, tuple[Verdict, ...]]:
    """The spread, and a verdict for each reference and for the mean of the random answers."""
    apart = spread(score, random, images)
    several = [verdict(score, one.name, one.text, one.score, apart) for one in found]
    if random:
        text = "the mean of the random answers" if len(random) > 1 else "the random answer"
        several.append(verdict(score, "random", text, sum(random) / len(random), apart))
    return apart, tuple(several)

"""Did you mean: the nearest names among those that could stand here."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

# As characters of the word times those of all candidates: comparing all of them takes milliseconds.
MAX_COMPARED = 100_000
_LONGEST = 60
_NEIGHBOURS = 5


def did_you_mean(word: str, candidates: Iterable[str], *, limit: int = 1) -> str | None:
    """A question naming the nearest candidates, or None when nothing is near.

    Long words are compared by their first 60 characters, and with many candidates only those that begin or
    end most alike: many or long names must cost nothing.
    """
    from difflib import get_close_matches

    pool = sorted(set(candidates))
    lowered = {name.lower(): name for name in pool}
    if word.lower() in lowered and lowered[word.lower()] != word:
        return f"did you mean `{lowered[word.lower()]}`?"
    compared = word[:_LONGEST]
    if len(compared) * sum(map(len, pool)) > MAX_COMPARED:
        backwards = sorted(name[::-1] for name in pool)
        ends = _around(backwards, word[::-1])
        pool = sorted({*_around(pool, word), *(name[::-1] for name in ends)})
    near = get_close_matches(compared, pool, n=limit, cutoff=0.6)
    if not near:
        return None
    return "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"


def _around(pool: list[str], word: str) -> list[str]:
    """Those that stand next to where a word would stand in a sorted list."""
    at = bisect_left(pool, word)
    return pool[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS]

"""Did you mean: the nearest names among those that could stand here."""

from __future__ import annotations

from collections.abc import Iterable

MAX_POOL = 400


def did_you_mean(word: str, candidates: Iterable[str], *, limit: int = 1) -> str | None:
    """A question naming the nearest candidates, or None when nothing is near.

    Long words are compared by their first 60 characters: a name of a megabyte must cost nothing.
    """
    from difflib import get_close_matches

    pool = sorted(set(candidates))
    lowered = {name.lower(): name for name in pool}
    if word.lower() in lowered and lowered[word.lower()] != word:
        return f"did you mean `{lowered[word.lower()]}`?"
    if len(pool) > MAX_POOL:
        pool = [name for name in pool if name[:1] == word[:1] and abs(len(name) - len(word)) < 3][:MAX_POOL]
    near = get_close_matches(word[:60], pool, n=limit, cutoff=0.6)
    if not near:
        return None
    return "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"

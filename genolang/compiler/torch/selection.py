"""Steps of a supernet's graph under a selection: what is not selected is not computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genolang.diagnostics import did_you_mean, fail
from genolang.semantics.program import ChoiceSet, Mix

Step = tuple[int, tuple[int, ...], int, tuple[int, ...]]
"""An operation's number, the slots of its arguments and of its result, the slots dead after it."""

Selection = Mapping[str, tuple[int, ...]]
"""The selected alternative of every row, by choice set; -1 leaves the row's edge out."""

ABSENT = -1
"""The slot of a value that a selection leaves out."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One operation of a graph in its order, before anything is left out.

    Of a mix, `places` holds the weights' slot and then those of the alternatives in `kept`. `spare`
    is the operation that makes zeros in the place of an alternative that is not kept, since its map was
    zeros already: of a `vector`, as the state of a plug-in before its first use is, from any map of the
    batch, else of the size of another alternative.
    """

    operation: int
    places: tuple[int, ...]
    result: int
    mix: Mix | None = None
    kept: tuple[int, ...] = ()
    sums: bool = False
    spare: int | None = None
    vector: bool = False


@dataclass(slots=True)
class Instructions:
    """A graph's operations, their order, the number of slots and those of the outputs."""

    operations: list[Callable[..., Any]] = field(default_factory=list)
    plan: tuple[Planned, ...] = ()
    size: int = 0
    outputs: tuple[int, ...] = ()
    # The operations as a network that only answers runs them.
    quick: list[Callable[..., Any]] = field(default_factory=list)


def checked_selection(sets: Mapping[str, ChoiceSet], options: Mapping[str, Sequence[int]]) -> Selection:
    """The selection as tuples, -1 for alternatives that compute zeros. Errors: KeyError, G415."""
    found = {}
    for key, given in options.items():
        if key not in sets:
            raise KeyError(f"no choice set {key!r}; {did_you_mean(key, sets) or ''}".strip())
        rows, known = [int(option) for option in given], sets[key].options
        if len(rows) != len(sets[key].rows) or not all(0 <= option < len(known) for option in rows):
            raise fail(
                "G415",
                f"a selection of `{key}` is {len(sets[key].rows)} numbers from 0 to {len(known) - 1}, not {rows}",
            )
        found[key] = tuple(ABSENT if known[option].zero else option for option in rows)
    return found


def pruned(
    plan: Sequence[Planned], chosen: Mapping[tuple[str, int], int], absent: Mapping[int, bool], outputs: tuple[int, ...]
) -> tuple[tuple[Step, ...], tuple[int, ...]]:
    """The steps that some outputs need and the outputs' slots, with mixes replaced by what is chosen.

    `chosen` tells the alternative of every decided row, `absent` the operations (calls) whose result
    is left out. What is left out takes everything with it up to the sum that it would enter, as an
    edge that an answer does not have.
    """
    moved: dict[int, int] = {}
    steps: list[Planned] = []
    for item in plan:
        places = tuple(moved.get(place, place) for place in item.places)
        option = chosen.get((item.mix.key, item.mix.row)) if item.mix is not None else None
        if option is not None:
            if option in item.kept:
                moved[item.result] = places[1 + item.kept.index(option)]
            elif option == ABSENT:
                moved[item.result] = ABSENT
            else:
                assert item.spare is not None, f"alternative {option} of {item.mix} is nowhere"
                like = 0 if item.vector else next((p for p in places[1:] if p != ABSENT), ABSENT)
                if like == ABSENT:
                    moved[item.result] = ABSENT
                else:
                    steps.append(Planned(item.spare, (like,), item.result))
            continue
        if item.sums and ABSENT in places:
            places = tuple(place for place in places if place != ABSENT)
            if len(places) < 2:
                moved[item.result] = places[0] if places else ABSENT
                continue
        if ABSENT in places or absent.get(item.operation, False):
            moved[item.result] = ABSENT
            continue
        steps.append(Planned(item.operation, places, item.result))
    ends = tuple(moved.get(output, output) for output in outputs)
    return _alive(steps, ends), ends


def _alive(steps: Sequence[Planned], outputs: tuple[int, ...]) -> tuple[Step, ...]:
    """The steps that the outputs depend on, each with the values that nothing reads after it."""
    read, found = set(outputs), []
    for item in reversed(steps):
        if item.result not in read:
            continue
        dead = tuple(sorted({*item.places} - read))
        read.update(item.places)
        found.append((item.operation, item.places, item.result, dead))
    return tuple(reversed(found))

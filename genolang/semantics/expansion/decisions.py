"""What a network leaves to a search: its decisions, gathered while it is expanded."""

from __future__ import annotations

from dataclasses import field

from genolang.diagnostics import Span
from genolang.lang.syntax import Expr, Name
from genolang.records import record
from genolang.semantics.expansion.values import ChoiceOp
from genolang.semantics.program import ChoiceSet, Decision, Option, Place, Spot


@record
class _OpenSet:
    name: str
    syntax: tuple[Expr, ...]
    zeros: tuple[bool, ...]
    plug: bool = False
    rows: dict[object, int] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)


class Decisions:
    """The choice sets of one network, by their keys."""

    def __init__(self) -> None:
        self.sets: dict[str, _OpenSet] = {}

    def of_choice(self, op: ChoiceOp, zeros: tuple[bool, ...]) -> Decision:
        """The decision that a choice is: one for each way to its words, and on each edge.

        `zeros` says which alternatives compute zeros here.
        """
        identity = (op.edge, op.way)
        key = f"{op.definition}.{op.name}"
        number = 1
        # Two choices written in place with different alternatives are two sets.
        while key in self.sets and self.sets[key].syntax != op.syntax:
            number += 1
            key = f"{op.definition}.{op.name}_{number}"
        if key not in self.sets:
            self.sets[key] = _OpenSet(op.name, op.syntax, zeros)
        found = self.sets[key]
        # What is zeros in one place alone, since its map or its size is another one there, is no `none`.
        if found.zeros != zeros:
            found.zeros = tuple([a and b for a, b in zip(found.zeros, zeros, strict=True)])
        row = found.rows.setdefault(identity, len(found.rows))
        if row == len(found.places):
            found.places.append(Place(op.definition, op.span, op.edge, op.way, op.written, op.added))
        return Decision(key, row)

    def of_slot(self, key: str, slot: str, index: int, network: str, span: Span) -> Decision:
        """The decision whether the module in a slot stays."""
        if key not in self.sets:
            words = Name(span, "off"), Name(span, "on")
            self.sets[key] = _OpenSet(slot, words, (False, False), plug=True)
        found = self.sets[key]
        way = (Spot(id(span.source), span.start, span.end, index),)
        found.places.append(Place(network, span, None, way, found.syntax, ()))
        return Decision(key, index)

    def place(self, decision: Decision) -> Place:
        return self.sets[decision.key].places[decision.row]

    def choices(self) -> dict[str, ChoiceSet]:
        return {
            key: ChoiceSet(key, s.name, tuple(map(Option, s.syntax, s.zeros)), tuple(s.places), s.plug)
            for key, s in self.sets.items()
        }

"""What one network plugs into slots: which module, shared by whom, at which of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Any

from genolang.lang import syntax as s
from genolang.records import record
from genolang.semantics.expansion.errors import Site
from genolang.semantics.expansion.values import DefinedOp, Op, SlotOp, parts
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import Path, Plugged
from genolang.semantics.reach import slots

SHARING = ("block", "stage", "network")
OFF, ON, OPEN = "0", "1", "?"


@record
class Plug:
    """A module for one slot. `scheme` has a sign per place of the slot so far, by stage, 0 for none."""

    syntax: s.Plug
    op: Op
    site: Site
    shared: str
    kind: str
    every: tuple[int, int] = (1, 0)
    bits: tuple[str, ...] = ()
    scheme: dict[int, str] = field(default_factory=dict)
    homes: dict[int, Path] = field(default_factory=dict)
    # The choice set of every place that is left to a search.
    open: list[str] = field(default_factory=list)

    def next(self, stage: int) -> str:
        """The sign of the next place in a stage: ON, OFF or OPEN."""
        index = len(self.scheme.get(stage, ""))
        sign = self._sign(stage, index, sum(map(len, self.scheme.values())))
        self.scheme[stage] = self.scheme.get(stage, "") + sign
        return sign

    def _sign(self, stage: int, index: int, before: int) -> str:
        if self.kind == "every":
            period, start = self.every
            return ON if before >= start and (before - start) % period == 0 else OFF
        if self.kind == "bits":
            if len(self.bits) == 1:
                return self.bits[0][before : before + 1] or OFF
            own = self.bits[stage - 1] if 1 <= stage <= len(self.bits) else ""
            return own[index : index + 1] or OFF
        return OPEN if self.kind == "search" else ON


@record
class Plugs:
    """All that one network plugs in, and the stage under construction (0 outside of stages)."""

    by_slot: dict[str, Plug] = field(default_factory=dict)
    stage: int = 0
    inside: bool = False
    reached: dict[DefinitionRef, frozenset[str]] = field(default_factory=dict)

    def concerns(self, op: Op) -> bool:
        """Whether an operation leads to a slot that something is plugged into."""
        if not self.by_slot or self.inside:
            return False
        return any(name in self.by_slot for part in parts(op) for name in self.slots_of(part))

    def used(self) -> tuple[Plugged, ...]:
        return tuple(
            Plugged(slot, plug.syntax.module, plug.shared, dict(plug.scheme), tuple(plug.open))
            for slot, plug in self.by_slot.items()
        )

    def slots_of(self, part: Any) -> Iterable[str]:
        if isinstance(part, SlotOp):
            return (part.name,)
        if not isinstance(part, DefinedOp):
            return ()
        if part.ref not in self.reached:
            self.reached[part.ref] = slots(part.ref)
        return self.reached[part.ref]

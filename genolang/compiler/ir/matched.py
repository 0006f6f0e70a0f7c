"""The node of a kernel that was found by its pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from genolang.compiler.ir.made import Fused, Leaves
from genolang.primitives import PRIMITIVES, MapType


class Step(NamedTuple):
    """A layer without weights over values by number: the maps first, then what the steps before give."""

    layer: str
    attrs: Mapping[str, Any]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Matched(Fused):
    """A kernel's pattern at some `arguments`; the last of `steps` gives what the kernel does."""

    name: ClassVar[str] = "kernel"
    kernel: str
    arguments: tuple[tuple[str, bool | float], ...]
    steps: tuple[Step, ...]

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        found = [*types]
        for step in self.steps:
            found.append(PRIMITIVES[step.layer].shape(step.attrs, [found[p] for p in step.places]))
        return found[-1]

    def text(self) -> str:
        return ", ".join([self.kernel, *(f"{name}={value}" for name, value in self.arguments)])

"""What stands behind every generated text: the draws, the definitions so far, and the shapes of maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st

from genolang.primitives import PRIMITIVES, MapType, ShapeProblem

T = TypeVar("T")
Drawn = tuple[str, MapType]

# Maps stay small: what goes wrong on large ones for their size alone is for the kernels' own tests.
MOST_CHANNELS = 12
LARGEST = 11


@dataclass
class Writing:
    """A spec that is being written. Everything comes of one source of draws, so that a spec can be shrunk."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    definitions: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    # Definitions by the shape that they were written for, with what they give; without choices and with.
    known: dict[tuple[MapType, bool], list[Drawn]] = field(default_factory=dict)
    slots: dict[str, bool] = field(default_factory=dict)
    # Alternatives may hold no choice.
    choices: bool = True
    chosen: bool = False
    room: int = 24
    named: int = 0

    def number(self, low: int, high: int) -> int:
        found: int = self.draw(st.integers(low, high))
        return found

    def one(self, options: Sequence[T]) -> T:
        found: T = self.draw(st.sampled_from(options))
        return found

    def whether(self) -> bool:
        found: bool = self.draw(st.booleans())
        return found

    def rarely(self) -> bool:
        return self.number(0, 5) == 5

    def pair(self, low: int, high: int) -> int | tuple[int, int]:
        """A size as the language has it: one number or (rows, columns)."""
        rows = self.number(low, high)
        return (rows, self.number(low, high)) if self.rarely() else rows

    def name(self, kind: str) -> str:
        self.named += 1
        return f"{kind}{self.named}"

    def define(self, text: str) -> None:
        self.definitions.append(text)

    def spend(self) -> bool:
        """Whether there is room for another part; texts end where there is none."""
        self.room -= 1
        return self.room > 0

    def use(self, module: str, text: str) -> str:
        self.imports.add(f"std.{module}")
        return text

    def without_choices(self, write: Callable[[], T]) -> T:
        before, self.choices = self.choices, False
        try:
            return write()
        finally:
            self.choices = before


def shape(name: str, attrs: dict[str, Any], *types: MapType) -> MapType | None:
    """What a primitive makes of maps, None where it does not take them or the result is too large."""
    try:
        found = PRIMITIVES[name].shape({f.name: f.default for f in PRIMITIVES[name].fields} | attrs, types)
    except ShapeProblem:
        return None
    fits = found.C <= MOST_CHANNELS and max(found.H, found.W) <= LARGEST
    return found if fits and min(found) > 0 else None


def written(name: str, attrs: dict[str, Any]) -> str:
    """A primitive with arguments, as text; `core` reaches it where a library has the name too."""
    defaults = {f.name: f.default for f in PRIMITIVES[name].fields}
    given = [f"{key}={_value(value)}" for key, value in attrs.items() if value != defaults.get(key)]
    full = f"core.{name}" if name in ("max_pool", "avg_pool") else name
    return f"{full}({', '.join(given)})" if given else full


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def fitted(x: MapType, out: MapType) -> str:
    """What brings a map of one shape to another one."""
    stages = [f"conv(1, {out.C})"] if x.C != out.C else []
    if x[1:] != out[1:]:
        stages.append(f"resize(size=({out.H}, {out.W}))")
    return " -> ".join(stages)

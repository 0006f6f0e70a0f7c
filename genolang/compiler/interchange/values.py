"""What stands in a graph from outside, looked at before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeGuard

from genolang.diagnostics import GenoError, Source, Span, fail
from genolang.lang.tokens import MAX_NAME
from genolang.primitives import NUMBERS, Field, MapType, Primitive, initialiser, out_of_range
from genolang.semantics.expansion.arithmetic import MAX_DENOMINATOR, MAX_MAGNITUDE
from genolang.semantics.program import Path

WORD = re.compile(r"\w+(@\d+)?", re.ASCII)
FRACTION = re.compile(r"-?\d{1,60}/\d{1,60}", re.ASCII)


def wrong(where: str, message: str, help: str | None = None) -> GenoError:
    return fail("G611", f"{where}: {message}", help=help)


# Of a path: two for each level of definitions, and more.
MAX_PARTS = 100


class Values:
    """The attributes of a node, an edge, the graph or a choice. Error of every reading: G611."""

    def __init__(self, where: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise wrong(where, f"attributes by their names are needed, not {shown(values)}")
        self.where, self.values = where, values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def get(self, name: str) -> Any:
        if name not in self:
            raise wrong(self.where, f"`{name}` is missing")
        return self.values[name]

    def wrong(self, name: str, wanted: str) -> GenoError:
        return wrong(self.where, f"`{name}` is {wanted}, not {shown(self.values.get(name))}")

    def word(self, name: str) -> str:
        """A name as definitions and choices have them."""
        return self.checked_word(name, self.get(name))

    def checked_word(self, name: str, value: object) -> str:
        # Keys of choices have the names of their definitions before them.
        parts = value.split(".") if isinstance(value, str) and len(value) < 10 * MAX_NAME else [""]
        if not all(WORD.fullmatch(part) for part in parts):
            raise self.wrong(name, "a name")
        assert isinstance(value, str)
        return value

    def one_of(self, name: str, words: Sequence[str]) -> str:
        value = self.get(name)
        if not isinstance(value, str) or value not in words:
            raise self.wrong(name, " or ".join(f"`{word}`" for word in words))
        return value

    def whole(self, name: str, least: int = 0) -> int:
        value = self.get(name)
        if not is_whole(value, least):
            raise self.wrong(name, f"a whole number of at least {least}")
        return value

    def listed(self, name: str) -> list[Any]:
        value = self.get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def shape(self) -> MapType:
        value = self.listed("shape")
        if len(value) != 3 or not all(is_whole(size, 1) for size in value):
            raise self.wrong("shape", "three whole numbers: channels, height, width")
        return MapType(*value)

    def path(self) -> Path:
        """Where weights are; nothing for what has none."""
        if "path" not in self:
            return ()
        parts = tuple(self.word("path").split("."))
        if len(parts) > MAX_PARTS:
            raise self.wrong("path", f"at most {MAX_PARTS} names")
        return parts

    def attributes(self, rule: Primitive) -> dict[str, Any]:
        """The arguments of a layer, as expansion would leave them."""
        inner = Values(f"{self.where}, `{rule.name}`", self.get("attributes"))
        unknown = set(inner.values) - {f.name for f in rule.fields}
        if unknown:
            raise wrong(inner.where, f"it has no argument {shown(min(unknown, key=str))}")
        return {f.name: inner.argument(f) for f in rule.fields}

    def argument(self, field: Field) -> Any:
        value, kind = self.values.get(field.name), field.kind
        if value is None and field.default is None:
            return None
        if isinstance(kind, tuple):
            return self.one_of(field.name, kind)
        if kind in ("bool", "map"):
            if isinstance(value, bool) and (value or kind == "bool"):
                return value
            wanted = "true or false" if kind == "bool" else "true, for a map that it reads"
            raise self.wrong(field.name, wanted)
        if kind in NUMBERS:
            return self.number(field.name, kind)
        if kind == "init":
            if isinstance(value, str) and initialiser(value) is not None:
                return value
            return self.number(field.name)
        if kind == "shape":
            return tuple(self.shape())
        if kind in ("size", "size0") and isinstance(value, list) and len(value) == 2:
            return tuple([Values(self.where, {field.name: v}).argument(field) for v in value])
        return self.whole(field.name, 0 if kind in ("size0", "int0") else 1)

    def number(self, name: str, kind: str = "number") -> int | float | Fraction:
        value = self.get(name)
        if isinstance(value, str) and FRACTION.fullmatch(value) and int(value.partition("/")[2]):
            value = Fraction(value)
        if not isinstance(value, (int, float, Fraction)) or isinstance(value, bool) or not sound(value):
            raise self.wrong(name, "a number")
        if wanted := out_of_range(kind, value):
            raise self.wrong(name, wanted)
        return value


class Unread(Source):
    """A file that is known by its name alone: an offset in it is that of a line."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")

    def position(self, offset: int) -> tuple[int, int]:
        return offset + 1, 1

    def line(self, number: int) -> str:
        return ""


class Places:
    """The places in files that nodes and choices come from."""

    def __init__(self) -> None:
        self.files: dict[str, Unread] = {}

    def span(self, values: Values) -> Span:
        place = values.listed("place")
        if len(place) == 2 and isinstance(place[0], str) and is_whole(place[1], 1):
            return Span(self.files.setdefault(place[0], Unread(place[0])), place[1] - 1, place[1] - 1)
        raise values.wrong("place", "the name of a file and a line")


def is_whole(value: object, least: int) -> TypeGuard[int]:
    return type(value) is int and least <= value <= MAX_MAGNITUDE


def sound(value: int | float | Fraction) -> bool:
    """Whether it is a number that a text could give; no `nan` is."""
    if isinstance(value, Fraction) and value.denominator > MAX_DENOMINATOR:
        return False
    return -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    if isinstance(value, int) and abs(value) > MAX_MAGNITUDE:
        return "a number beyond 1e15"
    text = ascii(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:40]}..."

"""Dataclasses that cost little to declare.

`dataclasses` compiles up to six functions for every class, about 1.2 ms; the ninety classes that a cold
`genoc check` declares would take most of the time that it has. A record is the same slotted dataclass
(`fields`, `replace` and `asdict` work), with methods that all records share and nothing to compile. With the
constructors of `dataclasses`, and `==`, hash and text shared as here, a check of a file executes 18 % more
instructions: 1.095e9 against 0.926e9 for `quickstart`, the start of Python among them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(cls: type | None = None, *, frozen: bool = False, eq: bool = True) -> Any:
        """A slotted dataclass; fields with `compare=False` are neither in `==` nor in its text."""
        return _made(cls, frozen, eq) if cls is not None else lambda cls: _made(cls, frozen, eq)


def _made(cls: type, frozen: bool, eq: bool) -> type:
    cls.__doc__ = cls.__doc__ or cls.__name__
    cls = dataclasses.dataclass(slots=True, init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(cls)
    methods: dict[str, Any] = {"__init__": _init(cls, fields), "__repr__": _shown}
    if eq:
        methods |= _comparison(fields)
        methods["__hash__"] = methods["__hash__"] if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse, "__getstate__": _state, "__setstate__": _restore}
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(cls, name, method)
    return cls


def _init(cls: type, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    given = [f for f in fields if f.init]
    # Those that no caller gives come last, with their defaults.
    rest = [f for f in fields if not f.init and f.default is not dataclasses.MISSING]
    setters = [getattr(cls, f.name).__set__ for f in (*given, *rest)]
    count, tail = len(given), tuple(f.default for f in rest)
    finish = getattr(cls, "__post_init__", None)

    def two(self: object, *values: Any, **named: Any) -> None:
        if named or len(values) != 2:
            values = _arranged(cls, given, values, named)
        first, second = values
        set_first(self, first)
        set_second(self, second)

    def three(self: object, *values: Any, **named: Any) -> None:
        if named or len(values) != 3:
            values = _arranged(cls, given, values, named)
        first, second, third = values
        set_first(self, first)
        set_second(self, second)
        set_third(self, third)

    def any_number(self: object, *values: Any, **named: Any) -> None:
        if named or len(values) != count:
            values = _arranged(cls, given, values, named)
        for place, value in zip(setters, values + tail, strict=True):
            place(self, value)
        if finish is not None:
            finish(self)

    if finish is not None or rest or count not in (2, 3):
        return any_number
    # Most objects have two or three fields, and no loop makes theirs in half the time.
    set_first, set_second, set_third = (*setters, setters[0])[:3]
    return two if count == 2 else three


def _arranged(
    cls: type, given: list[dataclasses.Field[Any]], values: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    if len(values) > len(given):
        raise TypeError(f"{cls.__name__} takes {len(given)} values, not {len(values)}")
    found = list(values)
    for field in given[len(values) :]:
        if field.name in named:
            found.append(named.pop(field.name))
        elif field.default is not dataclasses.MISSING:
            found.append(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            found.append(field.default_factory())
        else:
            raise TypeError(f"{cls.__name__} is given no {field.name!r}")
    if named:
        raise TypeError(f"{cls.__name__} does not take {', '.join(map(repr, named))} here")
    return tuple(found)


def _comparison(fields: tuple[dataclasses.Field[Any], ...]) -> dict[str, Any]:
    names = [f.name for f in fields if f.compare]
    key: Callable[[object], Any] = attrgetter(*names) if names else lambda self: ()

    def __eq__(self: object, other: object) -> bool:
        return key(self) == key(other) if type(self) is type(other) else NotImplemented

    def __hash__(self: object) -> int:
        return hash((type(self), key(self)))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _shown(self: Any) -> str:
    values = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.compare)
    return f"{type(self).__name__}({values})"


def _refuse(self: object, name: str, *value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")


def _state(self: Any) -> dict[str, Any]:
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def _restore(self: object, state: dict[str, Any]) -> None:
    for name, value in state.items():
        object.__setattr__(self, name, value)

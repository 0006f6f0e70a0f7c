"""The functions of the language over numbers and lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from genolang.lang.limits import limit


def _log2(value: Any) -> Any:
    exact = math.log2(value)
    return int(exact) if exact == int(exact) else exact


def _range(*bounds: Any) -> tuple[int, ...]:
    found = range(*bounds)
    if len(found) > limit("repeat"):
        raise ValueError("too long")
    return tuple(found)


NUMERIC_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": lambda v: math.floor(v + Fraction(1, 2)),
    "log2": _log2,
    "len": len,
    "range": _range,
}

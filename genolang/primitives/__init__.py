"""The primitive layers, in which everything else is written: `shapes`, and the `table` of them. No torch."""

from genolang.primitives.initialisers import INITIALISERS, initialiser
from genolang.primitives.shapes import REDUCED, MapType, ShapeProblem, broadcast, padding, pair, transposed_padding
from genolang.primitives.table import (
    ACTIVATIONS,
    NUMBERS,
    PRIMITIVES,
    REQUIRED,
    Field,
    Primitive,
    Weights,
    out_of_range,
)

__all__ = [
    "ACTIVATIONS",
    "INITIALISERS",
    "NUMBERS",
    "PRIMITIVES",
    "REDUCED",
    "REQUIRED",
    "Field",
    "MapType",
    "Primitive",
    "ShapeProblem",
    "Weights",
    "broadcast",
    "initialiser",
    "out_of_range",
    "padding",
    "pair",
    "transposed_padding",
]

"""The primitive layers, in which everything else is written: `shapes`, and the `table` of them. No torch."""

from genolang.primitives.shapes import REDUCED, MapType, ShapeProblem, broadcast, padding, pair
from genolang.primitives.table import PRIMITIVES, REQUIRED, Field, Primitive, Weights

__all__ = [
    "PRIMITIVES",
    "REDUCED",
    "REQUIRED",
    "Field",
    "MapType",
    "Primitive",
    "ShapeProblem",
    "Weights",
    "broadcast",
    "padding",
    "pair",
]

"""Random legal inputs for primitives: shapes and attributes as the checker would hand them on."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from genolang.compiler.torch.functions import make_function
from genolang.compiler.torch.layers import make_leaf
from genolang.primitives import PRIMITIVES, MapType
from genolang.semantics.program import Leaf

SIZES = st.integers(1, 13)
MAPS = st.builds(MapType, st.integers(1, 6), SIZES, SIZES)


def sizes(low: int, high: int) -> st.SearchStrategy[int | tuple[int, int]]:
    """A size as the language has it: one number or (rows, columns)."""
    one = st.integers(low, high)
    return st.one_of(one, st.tuples(one, one))


PADS = st.one_of(st.none(), sizes(0, 3))


def attributes(name: str, **given: Any) -> dict[str, Any]:
    """All attributes of a primitive: those given, the others at their defaults."""
    return {field.name: field.default for field in PRIMITIVES[name].fields} | given


def shape(name: str, attrs: dict[str, Any], *types: MapType) -> MapType:
    return PRIMITIVES[name].shape(attrs, types)


def map_of(x: MapType, batch: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, *x, generator=generator)


def layer(name: str, attrs: dict[str, Any], *types: MapType) -> Any:
    """What the torch backend makes of a primitive."""
    rule = PRIMITIVES[name]
    if rule.has_weights:
        return make_leaf(Leaf(name, attrs, types, rule.weights(attrs, types))).eval()
    return make_function(name, attrs, list(types))


def run(name: str, attrs: dict[str, Any], *types: MapType) -> Tensor:
    """The backend's result on random maps; its shape must be the rule's."""
    expected = shape(name, attrs, *types)
    maps = [map_of(x, seed=number) for number, x in enumerate(types)]
    result: Tensor = layer(name, attrs, *types)(*maps)
    assert tuple(result.shape) == (2, *expected), name
    return result

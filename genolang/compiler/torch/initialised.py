"""What a layer's weights begin as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import init

Layer = TypeVar("Layer", bound=nn.Module)


def _lecun(draw: Callable[..., Tensor]) -> Callable[[Tensor, float], Any]:
    return lambda weight, gain: draw(weight, nonlinearity="linear").mul_(gain)


def _he(draw: Callable[..., Tensor]) -> Callable[[Tensor, float], Any]:
    return lambda weight, gain: draw(weight, nonlinearity="relu").mul_(gain)


# Words as `primitives.initialisers` has them; `trunc_normal` is cut off at two deviations, as Keras does.
_DRAW: dict[str, Callable[[Tensor, float], Any]] = {
    "constant": init.constant_,
    "normal": lambda weight, std: init.normal_(weight, std=std),
    "uniform": lambda weight, bound: init.uniform_(weight, -bound, bound),
    "trunc_normal": lambda weight, std: init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std),
    "glorot_uniform": init.xavier_uniform_,
    "glorot_normal": init.xavier_normal_,
    "he_uniform": _he(init.kaiming_uniform_),
    "he_normal": _he(init.kaiming_normal_),
    "lecun_uniform": _lecun(init.kaiming_uniform_),
    "lecun_normal": _lecun(init.kaiming_normal_),
    "orthogonal": init.orthogonal_,
}


def initialised(layer: Layer, word: str, number: float) -> Layer:
    """The layer, whose weight begins as a word says, and whose bias, if it has one, at 0."""
    weight, bias = getattr(layer, "weight"), getattr(layer, "bias", None)  # noqa: B009
    if not weight.is_meta:
        with torch.no_grad():
            _DRAW[word](weight, number)
            if bias is not None:
                bias.zero_()
    return layer

"""What each activation is in torch and in generated Python: a row says both, and what its backward reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.compiler.torch.planned import planned, planned_result

Attrs = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Keyword:
    """What torch calls an argument, its default there, and torch's words for true and false."""

    name: str
    default: Any = None
    words: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of single values: of torch, as Python writes it, and torch's keywords for the fields.

    `saves` is what its gradient is computed from: the map that it takes, or its result.
    """

    function: Callable[..., Tensor]
    source: str
    saves: Literal["map", "result"] = "map"
    keywords: Mapping[str, Keyword] = field(default_factory=dict)

    def arguments(self, attrs: Attrs) -> dict[str, Any]:
        """torch's keywords and values; what has no value, or the default, is left out."""
        found: dict[str, Any] = {}
        for name, keyword in self.keywords.items():
            value = attrs[name]
            if value is not None and value != keyword.default:
                found[keyword.name] = keyword.words[not value] if keyword.words else float(value)
        return found


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": Activation(torch.relu, "F.relu", "result"),
    "sigmoid": Activation(torch.sigmoid, "torch.sigmoid", "result"),
    "tanh": Activation(torch.tanh, "torch.tanh", "result"),
    "silu": Activation(F.silu, "F.silu"),
    "gelu": Activation(F.gelu, "F.gelu", keywords={"approximate": Keyword("approximate", False, ("tanh", "none"))}),
    "hard_swish": Activation(F.hardswish, "F.hardswish"),
    "hard_sigmoid": Activation(F.hardsigmoid, "F.hardsigmoid"),
    "leaky_relu": Activation(F.leaky_relu, "F.leaky_relu", keywords={"slope": Keyword("negative_slope", 0.01)}),
    "elu": Activation(F.elu, "F.elu", keywords={"alpha": Keyword("alpha", 1)}),
    "mish": Activation(F.mish, "F.mish"),
    "softplus": Activation(F.softplus, "F.softplus", keywords={"beta": Keyword("beta", 1)}),
    "sin": Activation(torch.sin, "torch.sin"),
    "cos": Activation(torch.cos, "torch.cos"),
    "exp": Activation(torch.exp, "torch.exp", "result"),
    "log": Activation(torch.log, "torch.log"),
    "sqrt": Activation(torch.sqrt, "torch.sqrt", "result"),
    "abs": Activation(torch.abs, "torch.abs"),
    "clamp": Activation(torch.clamp, "torch.clamp", keywords={"min": Keyword("min"), "max": Keyword("max")}),
    "power": Activation(torch.pow, "torch.pow", keywords={"exponent": Keyword("exponent")}),
}


def make_activation(layer: str, attrs: Attrs) -> Callable[[Tensor], Tensor]:
    """An activation as a function of its map."""
    rule = ACTIVATIONS[layer]
    arguments = rule.arguments(attrs)
    function = partial(rule.function, **arguments) if arguments else rule.function
    if rule.saves == "result":
        return planned_result(function)
    return lambda x: planned(x.shape, x, saved=(x,)) if x.is_meta else function(x)

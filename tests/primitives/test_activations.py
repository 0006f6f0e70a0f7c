"""Activations against torch: values, gradients of the map and of slopes, and what a graph may not say of them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives.drawn import MAPS, attributes, layer, map_of, shape
from torch import Tensor, nn

from genolang.api import check
from genolang.compiler.torch import activations
from genolang.primitives import ACTIVATIONS, PRIMITIVES, MapType, ShapeProblem

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
NUMBERS = st.floats(-3, 3)

Reference = Callable[[Tensor], Tensor]
# Attributes, torch's module, and whether it is for numbers above 0.
ROWS: dict[str, tuple[dict[str, Any], Reference, bool]] = {
    "relu": ({}, nn.ReLU(), False),
    "sigmoid": ({}, nn.Sigmoid(), False),
    "tanh": ({}, nn.Tanh(), False),
    "silu": ({}, nn.SiLU(), False),
    "gelu": ({}, nn.GELU(), False),
    "gelu by tanh": ({"approximate": True}, nn.GELU(approximate="tanh"), False),
    "hard_swish": ({}, nn.Hardswish(), False),
    "hard_sigmoid": ({}, nn.Hardsigmoid(), False),
    "leaky_relu": ({}, nn.LeakyReLU(), False),
    "leaky_relu of a slope": ({"slope": 0.3}, nn.LeakyReLU(0.3), False),
    "elu": ({}, nn.ELU(), False),
    "elu of an alpha": ({"alpha": 0.3}, nn.ELU(0.3), False),
    "mish": ({}, nn.Mish(), False),
    "softplus": ({}, nn.Softplus(), False),
    "softplus of a beta": ({"beta": 7.0}, nn.Softplus(7.0), False),
    "sin": ({}, torch.sin, False),
    "cos": ({}, torch.cos, False),
    "exp": ({}, torch.exp, False),
    "log": ({}, torch.log, True),
    "sqrt": ({}, torch.sqrt, True),
    "abs": ({}, torch.abs, False),
    "clamp": ({"min": -0.5, "max": 1.0}, lambda x: x.clamp(-0.5, 1.0), False),
    "clamp from above": ({"max": 0.5}, lambda x: x.clamp_max(0.5), False),
    "power": ({"exponent": 3}, lambda x: x * x * x, False),
    "power of a fraction": ({"exponent": 0.7}, lambda x: (0.7 * x.log()).exp(), True),
}


def test_every_activation_is_compared_with_torch() -> None:
    assert {name.split()[0] for name in ROWS} == set(ACTIVATIONS) == set(activations.ACTIVATIONS)


@QUICK
@given(st.sampled_from(sorted(ROWS)), MAPS, st.sampled_from([0.1, 1.0, 20.0]))
def test_activations_and_their_gradients_are_torch_s(row: str, x: MapType, width: float) -> None:
    attrs, reference, above = ROWS[row]
    name = row.split()[0]
    made, types = layer(name, attributes(name, **attrs), x), [x]
    image = width * map_of(x).double()
    image = image.abs() + 1e-3 if above else image
    if name == "exp":
        image = image.clamp(max=10)
    found, expected = [
        (
            y := function(leaf := image.clone().requires_grad_()),
            *torch.autograd.grad(y, leaf, map_of(x, seed=9).double()),
        )
        for function in (made, reference)
    ]
    assert tuple(found[0].shape[1:]) == PRIMITIVES[name].shape(attributes(name, **attrs), types)
    for here, there in zip(found, expected, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-9, atol=1e-9)


@QUICK
@given(MAPS, st.booleans(), NUMBERS)
def test_prelu_is_torch_s_with_a_slope_per_channel_or_one(x: MapType, shared: bool, slope: float) -> None:
    attrs = attributes("prelu", shared=shared, slope=slope)
    plain = nn.PReLU(1 if shared else x.C, slope).double()
    made = layer("prelu", attrs, x).double()
    weights = PRIMITIVES["prelu"].weights(attrs, [x])
    assert (weights.params, weights.buffers) == (plain.weight.numel(), 0)
    assert [(n, p.tolist()) for n, p in made.named_parameters()] == [("weight", plain.weight.tolist())]
    image, g = map_of(x).double().requires_grad_(), map_of(x, seed=9).double()
    here, there = (torch.autograd.grad(m(image), (image, m.weight), g) for m in (made, plain))
    for a, b in zip((made(image), *here), (plain(image), *there), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("given", "code"), [({}, "G201"), ({"min": 1.0, "max": 0.5}, "G207"), ({"min": 0.5, "max": 0.5}, "")]
)
def test_clamp_needs_a_bound_and_bounds_in_order(given: dict[str, Any], code: str) -> None:
    attrs, x = attributes("clamp", **given), MapType(3, 4, 5)
    if not code:
        assert shape("clamp", attrs, x) == x
        return
    with pytest.raises(ShapeProblem) as caught:
        shape("clamp", attrs, x)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "words",
    ["softplus(beta=0)", "softplus(-1)", "elu(alpha=-1)", "clamp(2, 1)", "gelu(approximate=1)", "power", "clamp"],
)
def test_what_no_activation_takes_is_refused_by_check(words: str) -> None:
    text = f"geno 1\nnetwork n {{\n  input image(3, 8, 8)\n  stem {words}\n  head global_avg_pool -> linear(2)\n}}\n"
    (problem,) = check(text)
    assert problem.code in ("G201", "G205", "G207")

"""Layers that standardise, scale, cut, repeat and pad channels, against formulas written out."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives.drawn import MAPS, SIZES, attributes, layer, map_of, run, shape
from torch import Tensor

from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, Weights

QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def refused(name: str, attrs: dict[str, Any], *types: MapType) -> str:
    with pytest.raises(ShapeProblem) as caught:
        shape(name, attrs, *types)
    return caught.value.code


@QUICK
@given(st.integers(1, 4), st.integers(1, 4), SIZES, SIZES)
def test_grouped_means_are_those_of_neighbouring_channels(groups: int, width: int, H: int, W: int) -> None:
    x = MapType(groups * width, H, W)
    result = run("mean", attributes("mean", over="channels", groups=groups), x)
    image = map_of(x)
    for group in range(groups):
        expected = sum(image[:, group * width + c] for c in range(width)) / width
        torch.testing.assert_close(result[:, group], expected)


def test_groups_must_divide_the_channels_and_are_no_groups_of_positions() -> None:
    assert refused("mean", attributes("mean", over="channels", groups=2), MapType(3, 2, 2)) == "G303"
    assert refused("mean", attributes("mean", over="space", groups=2), MapType(4, 2, 2)) == "G205"


@QUICK
@given(MAPS, st.sampled_from(["channels", "space"]), st.sampled_from([1e-5, 0.1]))
def test_standardize_subtracts_the_mean_and_divides_by_the_unbiased_deviation(
    x: MapType, over: str, eps: float
) -> None:
    image = map_of(x).double()
    result = layer("standardize", attributes("standardize", over=over, eps=eps), x)(image)
    values = image.flatten(2) if over == "space" else image.transpose(1, -1)
    axis = 2 if over == "space" else 3
    count = values.shape[axis]
    centred = values - values.sum(axis, keepdim=True) / count
    squares = centred.square().sum(axis, keepdim=True) / max(1, count - 1)
    expected = centred / (squares.sqrt() + eps)
    expected = expected.view_as(image) if over == "space" else expected.transpose(1, -1)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("over, x", [("space", MapType(3, 1, 1)), ("channels", MapType(1, 4, 5))])
def test_standardize_gives_zero_and_no_gradient_where_there_is_a_single_value(over: str, x: MapType) -> None:
    image = map_of(x).requires_grad_()
    result = layer("standardize", attributes("standardize", over=over), x)(image)
    result.square().sum().backward()
    assert image.grad is not None
    assert torch.equal(result, torch.zeros_like(image)) and torch.equal(image.grad, torch.zeros_like(image))


def test_standardize_keeps_to_half_precision_outside_and_to_more_inside() -> None:
    x = MapType(2, 6, 5)
    image = 6e4 * map_of(x).tanh()
    made = layer("standardize", attributes("standardize", over="space"), x)
    for kind, near in ((torch.float16, 2e-3), (torch.bfloat16, 2e-2)):
        result: Tensor = made(image.to(kind))
        assert result.dtype == kind
        torch.testing.assert_close(result.float(), made(image.to(kind).float()), rtol=near, atol=near)


@QUICK
@given(MAPS, st.sampled_from([(1.0, 0.0), (0.0, 1.0), (2.0, -0.5)]))
def test_scale_begins_at_its_gain_and_shift(x: MapType, values: tuple[float, float]) -> None:
    gain, shift = values
    attrs = attributes("scale", gain=gain, shift=shift)
    assert PRIMITIVES["scale"].weights(attrs, [x]) == Weights(2 * x.C)
    torch.testing.assert_close(run("scale", attrs, x), gain * map_of(x) + shift)
    made = layer("scale", attrs, x)
    assert [tuple(p.shape) for p in made.parameters()] == [(x.C,), (x.C,)]
    with torch.no_grad():
        made.weight.copy_(torch.arange(x.C))
    image = map_of(x)
    for channel in range(x.C):
        torch.testing.assert_close(made(image)[:, channel], channel * image[:, channel] + shift)
    # In mixed precision the map's own precision goes on, as behind a batch norm.
    assert made(image.to(torch.bfloat16)).dtype == torch.bfloat16


@QUICK
@given(MAPS, st.data())
def test_slice_repeat_and_pad_give_the_channels_that_they_name(x: MapType, data: st.DataObject) -> None:
    image = map_of(x)
    stop = data.draw(st.integers(1, x.C))
    start = data.draw(st.integers(0, stop - 1))
    assert torch.equal(run("slice", {"start": start, "stop": stop}, x), image[:, start:stop])
    times = data.draw(st.integers(1, 4))
    repeated = run("repeat_channels", {"times": times}, x)
    assert all(torch.equal(repeated[:, c], image[:, c // times]) for c in range(times * x.C))
    out = data.draw(st.integers(x.C, x.C + 5))
    padded = run("pad_channels", {"out": out}, x)
    front = (out - x.C) // 2
    assert torch.equal(padded[:, front : front + x.C], image)
    assert not padded[:, :front].any() and not padded[:, front + x.C :].any()


def test_channels_that_are_not_there_are_out_of_range() -> None:
    x = MapType(4, 3, 5)
    assert refused("slice", {"start": 1, "stop": 5}, x) == "G207"
    assert refused("slice", {"start": 2, "stop": 2}, x) == "G207"
    assert refused("pad_channels", {"out": 3}, x) == "G207"

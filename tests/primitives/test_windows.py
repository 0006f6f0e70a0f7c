"""Convolutions and pools: the rules against torch called directly."""

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from primitives.drawn import MAPS, PADS, attributes, layer, map_of, run, shape, sizes
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from genolang.primitives import PRIMITIVES, MapType, ShapeProblem

QUICK = settings(max_examples=150, deadline=None, derandomize=True)


def padding(k: Any, pad: Any, dilation: int = 1) -> tuple[int, int]:
    """As documented: what is given, else half of the window's reach."""
    rows, columns = k if isinstance(k, tuple) else (k, k)
    if pad is None:
        return dilation * (rows - 1) // 2, dilation * (columns - 1) // 2
    return pad if isinstance(pad, tuple) else (pad, pad)


@QUICK
@given(MAPS, sizes(1, 5), sizes(1, 3), PADS, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.booleans())
@example(MapType(3, 9, 7), (1, 7), (1, 2), None, 1, 1, 3, False)
def test_conv_has_torch_s_shape_weights_and_cost(
    x: MapType, k: Any, stride: Any, pad: Any, dilation: int, groups: int, width: int, bias: bool
) -> None:
    x = x._replace(C=x.C * groups)
    out = width * groups
    attrs = attributes("conv", k=k, out=out, stride=stride, pad=pad, dilation=dilation, groups=groups, bias=bias)
    plain = nn.Conv2d(x.C, out, k, stride, padding(k, pad, dilation), dilation, groups, bias)
    try:
        expected = shape("conv", attrs, x)
    except ShapeProblem as problem:
        assert problem.code == "G302"
        with pytest.raises(RuntimeError):
            plain(map_of(x))
        return
    with FlopCounterMode(display=False) as counter:
        result = plain(map_of(x, batch=1))
    assert tuple(result.shape[1:]) == expected
    rule = PRIMITIVES["conv"]
    assert rule.weights(attrs, [x]).params == sum(p.numel() for p in plain.parameters())
    assert 2 * rule.macs(attrs, [x], expected) == counter.get_total_flops()
    made = layer("conv", attrs, x)
    made.load_state_dict(plain.state_dict())
    torch.testing.assert_close(made(map_of(x, batch=1)), result)


@QUICK
@given(MAPS, st.sampled_from([1, 3, 5, 7]), st.integers(1, 4))
def test_an_odd_conv_keeps_the_size_without_a_stride_and_halves_it_with_two(x: MapType, k: int, dilation: int) -> None:
    attrs = attributes("conv", k=k, dilation=dilation)
    assert shape("conv", attrs, x) == x
    assert shape("conv", attrs | {"stride": 2}, x) == (x.C, -(-x.H // 2), -(-x.W // 2))


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    for attrs in (attributes("conv", k=1, groups=2), attributes("conv", k=1, out=5, groups=3)):
        with pytest.raises(ShapeProblem) as caught:
            shape("conv", attrs, MapType(3, 4, 5))
        assert caught.value.code == "G303"


@QUICK
@given(st.sampled_from(["max_pool", "avg_pool"]), MAPS, sizes(1, 5), sizes(1, 3), PADS, st.booleans())
@example("max_pool", MapType(2, 5, 5), 2, 3, 1, True)
def test_a_pool_has_torch_s_shape_and_values(name: str, x: MapType, k: Any, stride: Any, pad: Any, ceil: bool) -> None:
    attrs = attributes(name, k=k, stride=stride, pad=pad, ceil=ceil)
    window, around = (k if isinstance(k, tuple) else (k, k)), padding(k, pad)
    if name == "max_pool":
        plain: nn.Module = nn.MaxPool2d(window, stride, around, ceil_mode=ceil)
    else:
        plain = nn.AvgPool2d(window, stride, around, ceil, count_include_pad=False)
    try:
        result = run(name, attrs, x)
    except ShapeProblem as problem:
        assert problem.code in ("G302", "G207")
        # With `ceil` torch takes windows that no position fills; the language does not.
        if not ceil:
            with pytest.raises(RuntimeError):
                plain(map_of(x))
        return
    assert torch.equal(result, plain(map_of(x)))
    assert torch.isfinite(result).all(), "every window holds at least one pixel"
    assert PRIMITIVES[name].macs(attrs, [x], shape(name, attrs, x)) == 0


@QUICK
@given(MAPS, st.integers(2, 5), st.integers(1, 3))
def test_an_average_leaves_padding_out_of_its_divisor(x: MapType, k: int, stride: int) -> None:
    attrs = attributes("avg_pool", k=k, stride=stride, pad=k // 2)
    ones = torch.ones(1, *x)
    result = layer("avg_pool", attrs, x)(ones)
    torch.testing.assert_close(result, torch.ones_like(result))


@QUICK
@given(MAPS, st.integers(1, 5), st.integers(0, 5))
def test_subsample_takes_every_row_and_column_from_its_offset_and_rounds_up(
    x: MapType, stride: int, offset: int
) -> None:
    attrs = attributes("subsample", stride=stride, offset=offset)
    result = run("subsample", attrs, x)
    whole = F.pad(map_of(x), (0, stride + offset, 0, stride + offset))
    rows, columns = -(-x.H // stride), -(-x.W // stride)
    taken = whole[:, :, offset::stride, offset::stride][:, :, :rows, :columns]
    assert torch.equal(result, taken)


@QUICK
@given(MAPS, st.integers(1, 5))
def test_zeros_are_a_subsampled_map_of_zeros(x: MapType, stride: int) -> None:
    result = run("zeros", attributes("zeros", stride=stride), x)
    assert result.shape == map_of(x)[:, :, ::stride, ::stride].shape
    assert not result.any()


@QUICK
@given(MAPS, sizes(1, 9), st.sampled_from(["nearest", "bilinear", "bilinear_corners", "area"]))
def test_resize_gives_the_size_asked_for_or_that_of_its_partner(x: MapType, size: Any, mode: str) -> None:
    fixed = run("resize", attributes("resize", size=size, mode=mode), x)
    rows, columns = size if isinstance(size, tuple) else (size, size)
    partner = MapType(2, rows, columns)
    liked = run("resize", attributes("resize", like=True, mode=mode), x, partner)
    corners = mode == "bilinear_corners" if "bilinear" in mode else None
    mode = mode.removesuffix("_corners")
    expected = F.interpolate(map_of(x), (rows, columns), mode=mode, align_corners=corners)
    assert torch.equal(fixed, expected) and torch.equal(liked, expected)


def test_resize_needs_a_size_or_a_partner() -> None:
    with pytest.raises(ShapeProblem) as caught:
        shape("resize", attributes("resize"), MapType(1, 2, 3))
    assert caught.value.code == "G201"

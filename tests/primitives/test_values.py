"""Layers without windows: shapes, weights, costs and values against torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives.drawn import MAPS, SIZES, attributes, layer, map_of, run, shape
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, Weights

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
WIDTHS = st.integers(1, 6)


@QUICK
@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_linear_has_torch_s_shape_weights_and_cost(C: int, out: int, bias: bool) -> None:
    x = MapType(C, 1, 1)
    attrs = attributes("linear", out=out, bias=bias)
    plain = nn.Linear(C, out, bias)
    made = layer("linear", attrs, x)
    made.load_state_dict(plain.state_dict())
    with FlopCounterMode(display=False) as counter:
        result = plain(map_of(x, batch=1).flatten(1))
    assert shape("linear", attrs, x) == (out, 1, 1)
    assert PRIMITIVES["linear"].weights(attrs, [x]).params == sum(p.numel() for p in plain.parameters())
    assert 2 * PRIMITIVES["linear"].macs(attrs, [x], MapType(out, 1, 1)) == counter.get_total_flops()
    torch.testing.assert_close(made(map_of(x, batch=1))[:, :, 0, 0], result)


def test_linear_takes_one_position_only() -> None:
    with pytest.raises(ShapeProblem) as caught:
        shape("linear", attributes("linear", out=3), MapType(4, 1, 2))
    assert caught.value.code == "G304"


@QUICK
@given(MAPS, st.booleans(), st.sampled_from([0.1, 0.01]), st.booleans())
def test_batch_norm_is_torch_s(x: MapType, affine: bool, momentum: float, training: bool) -> None:
    attrs = attributes("batch_norm", affine=affine, momentum=momentum)
    plain = nn.BatchNorm2d(x.C, momentum=momentum, affine=affine).train(training)
    made = layer("batch_norm", attrs, x).train(training)
    weights = PRIMITIVES["batch_norm"].weights(attrs, [x])
    assert weights.params == sum(p.numel() for p in plain.parameters())
    # torch's counter of batches is not kept.
    assert weights.buffers == sum(b.numel() for b in plain.buffers()) - 1
    assert weights.buffers == sum(b.numel() for b in made.buffers())
    image = map_of(x)
    assert torch.equal(made(image), plain(image))
    torch.testing.assert_close(made.running_var, plain.running_var, rtol=0, atol=0)
    torch.testing.assert_close(made.running_mean, plain.running_mean, rtol=0, atol=0)


def test_batch_norm_says_why_it_cannot_train_on_a_single_value() -> None:
    made = layer("batch_norm", attributes("batch_norm"), MapType(3, 1, 1)).train()
    with pytest.raises(ValueError, match="single value per channel"):
        made(torch.zeros(1, 3, 1, 1))


def test_a_batch_norm_of_torch_loads_with_its_counter() -> None:
    made = layer("batch_norm", attributes("batch_norm"), MapType(3, 4, 4))
    plain = nn.BatchNorm2d(3)
    plain(torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    made.load_state_dict(plain.state_dict())
    assert torch.equal(made.running_mean, plain.running_mean)
    assert "num_batches_tracked" not in made.state_dict()


def test_the_identity_is_the_map_itself() -> None:
    x = MapType(3, 4, 5)
    assert torch.equal(run("identity", {}, x), map_of(x))


@QUICK
@given(MAPS)
def test_reductions_and_softmaxes_are_torch_s(x: MapType) -> None:
    image = map_of(x)
    channels, space = {"over": "channels"}, {"over": "space"}
    pairs = [
        (run("softmax", channels, x), image.softmax(1)),
        (run("softmax", space, x), image.flatten(2).softmax(2).view_as(image)),
        (run("mean", attributes("mean", **channels), x), image.mean(1, keepdim=True)),
        (run("mean", attributes("mean", **space), x), image.mean((2, 3), keepdim=True)),
        (run("global_avg_pool", {}, x), image.mean((2, 3), keepdim=True)),
        (run("max", channels, x), image.amax(1, keepdim=True)),
        (run("max", space, x), image.amax((2, 3), keepdim=True)),
        (run("mean", attributes("mean", over="height"), x), image.mean(2, keepdim=True)),
        (run("mean", attributes("mean", over="width"), x), image.mean(3, keepdim=True)),
        (run("max", {"over": "height"}, x), image.amax(2, keepdim=True)),
        (run("max", {"over": "width"}, x), image.amax(3, keepdim=True)),
        (run("global_max_pool", {}, x), image.amax((2, 3), keepdim=True)),
    ]
    for here, there in pairs:
        torch.testing.assert_close(here, there)


@QUICK
@given(SIZES, SIZES, st.lists(WIDTHS, min_size=1, max_size=4))
def test_concat_lines_maps_up_along_the_channels(H: int, W: int, widths: list[int]) -> None:
    types = [MapType(C, H, W) for C in widths]
    result = run("concat", {}, *types)
    assert torch.equal(result, torch.cat([map_of(x, seed=n) for n, x in enumerate(types)], 1))


def test_concat_refuses_maps_of_different_sizes() -> None:
    with pytest.raises(ShapeProblem) as caught:
        shape("concat", {}, MapType(1, 2, 3), MapType(1, 3, 2))
    assert caught.value.code == "G305"


@QUICK
@given(MAPS, st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=2, max_size=2))
def test_arithmetic_broadcasts_as_torch_does(x: MapType, ones: list[tuple[bool, bool, bool]]) -> None:
    types = [MapType(*(1 if one else size for one, size in zip(flags, x, strict=True))) for flags in ones]
    a, b = (map_of(t, seed=n) for n, t in enumerate(types))
    assert torch.equal(run("add", {"constant": 0}, *types), a + b)
    assert torch.equal(run("add", {"constant": 3}, *types), a + b + 3)
    assert torch.equal(run("subtract", {}, *types), a - b)
    assert torch.equal(run("multiply", {"constant": 1}, *types), a * b)
    assert torch.equal(run("multiply", {"constant": 0.5}, *types), a * b * 0.5)
    assert torch.equal(run("divide", {}, *types), a / b)


@QUICK
@given(MAPS, MAPS)
def test_arithmetic_refuses_exactly_what_torch_refuses(x: MapType, y: MapType) -> None:
    try:
        expected: torch.Size | None = torch.broadcast_shapes(x, y)
    except RuntimeError:
        expected = None
    try:
        found: MapType | None = shape("add", {"constant": 0}, x, y)
    except ShapeProblem as problem:
        assert problem.code == "G301"
        found = None
    assert (None if found is None else tuple(found)) == (None if expected is None else tuple(expected))


@QUICK
@given(MAPS, WIDTHS, SIZES, SIZES)
def test_matmul_has_torch_s_shape_and_cost(a: MapType, C: int, H: int, W: int) -> None:
    b = MapType(a.H * a.W, H, W)
    result = run("matmul", {}, a, b)
    first, second = (map_of(x, seed=n).flatten(2) for n, x in enumerate((a, b)))
    with FlopCounterMode(display=False) as counter:
        expected = torch.bmm(first, second)
    torch.testing.assert_close(result.flatten(2), expected)
    macs = PRIMITIVES["matmul"].macs({}, [a, b], shape("matmul", {}, a, b))
    # The counted product is of a batch of two.
    assert 2 * 2 * macs == counter.get_total_flops()


def test_matmul_needs_as_many_channels_as_positions() -> None:
    with pytest.raises(ShapeProblem) as caught:
        shape("matmul", {}, MapType(2, 3, 4), MapType(11, 1, 1))
    assert caught.value.code == "G307"


@QUICK
@given(MAPS)
def test_transpose_swaps_channels_and_positions(x: MapType) -> None:
    result = run("transpose", {}, x)
    assert torch.equal(result[..., 0], map_of(x).flatten(2).transpose(1, 2))
    again = run("transpose", {}, MapType(x.H * x.W, x.C, 1))
    assert again.shape[1:] == (x.C, x.H * x.W, 1)


def test_layers_that_only_training_sees_keep_the_shape() -> None:
    x = MapType(3, 5, 7)
    for name in ("dropout", "drop_path"):
        assert shape(name, attributes(name), x) == x


def test_an_image_is_what_it_says() -> None:
    assert shape("image", {"channels": 3, "height": 9, "width": 7}) == (3, 9, 7)


def test_only_convolutions_linear_layers_norms_scales_slopes_tables_and_relative_positions_own_anything() -> None:
    owners = {name for name, rule in PRIMITIVES.items() if rule.has_weights}
    assert owners == {
        *(
            "conv",
            "standardized_conv",
            "transposed_conv",
            "linear",
            "batch_norm",
            "scale",
            "layer_norm",
            "group_norm",
            "prelu",
        ),
        *("parameter", "relative_attention"),
    }
    x = MapType(3, 5, 7)
    for name, rule in PRIMITIVES.items():
        if name not in owners:
            assert rule.weights({}, [x]) == Weights(0)


def test_only_convolutions_linear_layers_and_products_cost_anything() -> None:
    x = MapType(3, 5, 7)
    free = set(PRIMITIVES) - {"conv", "standardized_conv", "transposed_conv", "linear", "matmul", "relative_attention"}
    assert all(PRIMITIVES[name].macs({}, [x], x) == 0 for name in free)

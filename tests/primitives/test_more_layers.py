"""Transposed convolutions, group norms, learned maps, constant maps and shuffles against torch."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from primitives.drawn import MAPS, PADS, attributes, layer, map_of, run, shape, sizes
from reference.pouring import compiled
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, transposed_padding

QUICK = settings(max_examples=100, deadline=None, derandomize=True)
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def hold(made: nn.Module, plain: Any, x: MapType) -> None:
    """Values and gradients in float64, of the map and of what both own; in float32 as far off as torch's own are."""
    made, plain = made.double(), plain.double()
    made.load_state_dict(plain.state_dict())
    image, share = map_of(x).double().requires_grad_(), None
    results = []
    for module in (made, plain):
        y = module(image)
        share = map_of(MapType(*y.shape[1:]), seed=9).double() if share is None else share
        results.append([y, *torch.autograd.grad(y, (image, *module.parameters()), share)])
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(here, there, **EXACT)
    exact = results[1][0].detach()
    with torch.no_grad():
        single, torchs = (m.float()(image.float()).double() for m in (made, plain))
    assert (single - exact).abs().max() <= 4 * (torchs - exact).abs().max() + 1e-6


@QUICK
@given(MAPS, sizes(1, 5), sizes(1, 3), PADS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_transposed_conv_has_torch_s_shape_weights_cost_and_values(
    x: MapType, k: Any, stride: Any, pad: Any, dilation: int, groups: int, extra: int, bias: bool
) -> None:
    x = x._replace(C=x.C * groups)
    attrs = attributes(
        "transposed_conv", k=k, out=2 * groups, stride=stride, pad=pad, dilation=dilation, groups=groups, bias=bias,
        extra=None if pad is None else extra,
    )  # fmt: skip
    try:
        expected = shape("transposed_conv", attrs, x)
    except ShapeProblem as problem:
        assert problem.code in ("G302", "G207") and pad is not None
        cut = extra, pad
        with pytest.raises(RuntimeError):
            nn.ConvTranspose2d(x.C, 2 * groups, k, stride, cut[1], extra, groups, bias, dilation)(map_of(x))
        return
    pads, more = transposed_padding(attrs)
    plain = nn.ConvTranspose2d(x.C, 2 * groups, k, stride, pads, more, groups, bias, dilation)
    with FlopCounterMode(display=False) as counter:
        result = plain(map_of(x, batch=1))
    rule = PRIMITIVES["transposed_conv"]
    assert tuple(result.shape[1:]) == expected
    assert rule.weights(attrs, [x]).params == sum(p.numel() for p in plain.parameters())
    assert 2 * rule.macs(attrs, [x], expected) == counter.get_total_flops()
    hold(layer("transposed_conv", attrs, x), plain, x)


@QUICK
@given(
    MAPS, sizes(1, 4), sizes(1, 2), st.integers(1, 2), st.integers(1, 3), st.booleans(), st.sampled_from([1e-6, 0.1])
)
def test_a_standardized_conv_is_a_convolution_by_weights_of_mean_0_and_deviation_1(
    x: MapType, k: Any, stride: Any, dilation: int, groups: int, bias: bool, eps: float
) -> None:
    x = x._replace(C=x.C * groups)
    given = {"k": k, "out": 2 * groups, "stride": stride, "dilation": dilation, "groups": groups, "bias": bias}
    attrs, alike = attributes("standardized_conv", eps=eps, **given), attributes("conv", **given)
    try:
        expected = shape("standardized_conv", attrs, x)
    except ShapeProblem as problem:
        assert problem.code == "G302" or (problem.code == "G207" and groups == x.C and k in (1, (1, 1)))
        return
    made, plain = (layer(n, a, x).double() for n, a in (("standardized_conv", attrs), ("conv", alike)))
    assert shape("conv", alike, x) == expected
    for rule in ("weights", "macs"):
        given_ = (alike, [x], expected)[: 2 if rule == "weights" else 3]
        assert getattr(PRIMITIVES["standardized_conv"], rule)(*given_) == getattr(PRIMITIVES["conv"], rule)(*given_)
    weight = made.weight.detach().requires_grad_()
    rows = weight.flatten(1)
    by_hand = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, correction=0, keepdim=True) + eps).sqrt()
    image = map_of(x).double().requires_grad_()
    y = F.conv2d(image, by_hand.view_as(weight), made.bias, plain.stride, plain.padding, dilation, groups)
    share = map_of(expected, seed=9).double()
    torch.testing.assert_close(made(image), y, **EXACT)
    here = torch.autograd.grad(made(image), (image, made.weight), share)
    for a, b in zip(here, torch.autograd.grad(y, (image, weight), share), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-7)


@QUICK
@given(MAPS, sizes(1, 6), sizes(1, 4), st.integers(1, 3))
def test_a_transposed_conv_makes_a_map_as_many_times_as_large_as_its_stride(
    x: MapType, k: Any, stride: Any, dilation: int
) -> None:
    attrs = attributes("transposed_conv", k=k, stride=stride, dilation=dilation)
    (rows, columns), (down, right) = ((v if isinstance(v, tuple) else (v, v)) for v in (k, stride))
    # An even window that does not stride gives one more: torch adds nothing there.
    assume(all(s > 1 or dilation > 1 or n % 2 for n, s in ((rows, down), (columns, right))))
    assert shape("transposed_conv", attrs, x) == (x.C, down * x.H, right * x.W)


@QUICK
@given(MAPS, st.integers(1, 4), st.booleans(), st.sampled_from([1e-5, 0.1]))
def test_group_norm_is_torch_s(x: MapType, groups: int, affine: bool, eps: float) -> None:
    x = x._replace(C=x.C * groups)
    assume(x.size > groups)
    attrs = attributes("group_norm", groups=groups, affine=affine, eps=eps)
    plain = nn.GroupNorm(groups, x.C, eps, affine)
    assert PRIMITIVES["group_norm"].weights(attrs, [x]).params == sum(p.numel() for p in plain.parameters())
    for parameter in plain.parameters():
        nn.init.normal_(parameter)
    hold(layer("group_norm", attrs, x), plain, x)


def test_a_group_of_a_single_value_is_normalised_to_nothing() -> None:
    made = layer("group_norm", attributes("group_norm", groups=3), x := MapType(3, 1, 1)).train()
    # What is left are last digits, over the root of `eps`.
    assert made(map_of(x)).abs().max() < 1e-4


@QUICK
@given(MAPS, MAPS, st.floats(-2, 2))
def test_a_parameter_is_one_map_for_all_images_and_gets_the_sum_of_their_gradients(
    x: MapType, own: MapType, init: float
) -> None:
    made = layer("parameter", attrs := attributes("parameter", shape=tuple(own), init=init), x).double()
    image = map_of(x).double().requires_grad_()
    y = made(image)
    assert shape("parameter", attrs, x) == own and tuple(y.shape) == (2, *own)
    torch.testing.assert_close(y, torch.full((2, *own), init, dtype=torch.float64), rtol=0, atol=1e-7)
    share = map_of(own, seed=9).double()
    (gradient,) = torch.autograd.grad(y, made.weight, share)
    torch.testing.assert_close(gradient, share.sum(0), **EXACT)
    assert PRIMITIVES["parameter"].weights(attrs, [x]).params == own.size


@QUICK
@given(MAPS)
def test_coordinates_run_from_minus_one_to_one(x: MapType) -> None:
    found = run("coordinates", {}, x)
    rows, columns = (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in (x.H, x.W))
    expected = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(2, -1, -1, -1)
    torch.testing.assert_close(found, expected)


@QUICK
@given(MAPS, st.integers(1, 4), st.sampled_from([10.0, 10000.0]))
def test_sinusoids_are_those_of_plain_vision_transformers(x: MapType, quarter: int, temperature: float) -> None:
    # Beyer, Zhai, Kolesnikov, "Better plain ViT baselines for ImageNet-1k", 2022, its public code.
    omega = 1.0 / temperature ** (torch.arange(quarter) / max(quarter - 1, 1))
    y, z = torch.meshgrid(torch.arange(x.H), torch.arange(x.W), indexing="ij")
    tall, wide = (torch.einsum("hw,d->dhw", grid.float(), omega) for grid in (y, z))
    expected = torch.cat([tall.sin(), tall.cos(), wide.sin(), wide.cos()]).expand(2, -1, -1, -1)
    found = run("sinusoids", attributes("sinusoids", channels=4 * quarter, temperature=temperature), x)
    torch.testing.assert_close(found, expected)


@QUICK
@given(MAPS, st.integers(1, 3), st.integers(1, 3))
def test_shuffles_are_torch_s_and_undo_each_other(x: MapType, r: int, groups: int) -> None:
    wide, tall = x._replace(C=x.C * r * r), x._replace(H=x.H * r, W=x.W * r)
    assert torch.equal(run("pixel_shuffle", {"r": r}, wide), F.pixel_shuffle(map_of(wide), r))
    assert torch.equal(run("pixel_unshuffle", {"r": r}, tall), F.pixel_unshuffle(map_of(tall), r))
    assert shape("pixel_unshuffle", {"r": r}, shape("pixel_shuffle", {"r": r}, wide)) == wide
    many = x._replace(C=x.C * groups)
    image = map_of(many).requires_grad_()
    y: Tensor = layer("channel_shuffle", {"groups": groups}, many)(image)
    order = [c + g * x.C for c in range(x.C) for g in range(groups)]
    assert torch.equal(y, image[:, order])
    (gradient,) = torch.autograd.grad(y, image, share := map_of(many, seed=9))
    assert torch.equal(gradient[:, order], share)


@QUICK
@given(MAPS, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_adaptive_max_pool_is_torch_s(x: MapType, size: tuple[int, int]) -> None:
    assert torch.equal(run("adaptive_max_pool", {"size": size}, x), F.adaptive_max_pool2d(map_of(x), size))


@QUICK
@given(MAPS, sizes(1, 4), sizes(1, 3), st.booleans())
def test_an_average_may_count_its_padding(x: MapType, k: Any, stride: Any, ceil: bool) -> None:
    attrs = attributes("avg_pool", k=k, stride=stride, ceil=ceil, count_pad=True)
    try:
        found = run("avg_pool", attrs, x)
    except ShapeProblem as problem:
        assert problem.code == "G302"
        return
    pad = tuple((n - 1) // 2 for n in (k if isinstance(k, tuple) else (k, k)))
    torch.testing.assert_close(found, F.avg_pool2d(map_of(x), k, stride, pad, ceil, count_include_pad=True))


@pytest.mark.parametrize(
    ("name", "given", "x", "code"),
    [
        ("group_norm", {"groups": 2}, (3, 4, 4), "G303"),
        ("channel_shuffle", {"groups": 2}, (3, 4, 4), "G303"),
        ("pixel_shuffle", {"r": 2}, (6, 4, 4), "G303"),
        ("pixel_unshuffle", {"r": 2}, (6, 4, 5), "G302"),
        ("sinusoids", {"channels": 6}, (6, 4, 5), "G207"),
        ("standardized_conv", {"k": 1, "groups": 3}, (3, 4, 5), "G207"),
        ("transposed_conv", {"k": 3, "groups": 2}, (3, 4, 5), "G303"),
        ("transposed_conv", {"k": 1, "pad": 2}, (3, 4, 5), "G302"),
        ("transposed_conv", {"k": 3, "stride": 2, "pad": 1, "extra": 2}, (3, 4, 5), "G207"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name: str, given: dict[str, Any], x: tuple[int, ...], code: str) -> None:
    with pytest.raises(ShapeProblem) as caught:
        shape(name, attributes(name, **given), MapType(*x))
    assert caught.value.code == code


def test_a_network_that_only_answers_standardises_weights_once_and_folds_the_norm_behind_them() -> None:
    network = compiled("""geno 1
network n {
  input image(3, 7, 9)
  stem  standardized_conv(3, 4) -> batch_norm -> relu -> standardized_conv(1, eps=0.1)
  head  global_avg_pool -> linear(2)
}
""")
    module = network.module(fused=False).double().eval()
    quick = network.for_inference(module)
    state = quick.state_dict()
    assert {name for name in state if "norm" in name} == set() and "stem.standardized_conv.bias" in state
    rows = state["stem.standardized_conv_2.weight"].flatten(1)
    kept = module.state_dict()["stem.standardized_conv_2.weight"].flatten(1).var(1, correction=0)
    torch.testing.assert_close(rows.mean(1), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(rows.var(1, correction=0), kept / (kept + 0.1))
    assert not [m for m in quick.modules() if type(m).__name__ == "StandardizedConv"]
    image = map_of(MapType(3, 7, 9)).double()
    torch.testing.assert_close(quick(image), module(image), **EXACT)

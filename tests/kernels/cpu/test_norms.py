"""Batch norms of maps with their channels last, held to how exact ATen's own are on other maps."""

from collections.abc import Callable

import pytest
import torch
from exactness import OFFSETS, as_exact, distance
from torch import Tensor

from genolang.compiler.torch.layers import BatchNorm
from genolang.kernels.cpu import norms
from genolang.kernels.cpu.moments import Statistics
from genolang.kernels.cpu.normalised import normalised
from genolang.kernels.mixed_sum import mixed_sum

Layer = Callable[..., Tensor]
EPS, MOMENTUM = 1e-5, 0.25
LAST, FIRST = torch.channels_last, torch.contiguous_format


def plainly(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return torch.batch_norm(x, weight, bias, mean, variance, True, MOMENTUM, EPS, False)


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    assert norms.takes(x)
    return norms.batch_norm(x, weight, bias, (mean, variance), MOMENTUM, EPS)


def once(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """By the form for several batch norms, and scaled and shifted after that."""
    y = normalised(x, [Statistics(mean, variance, MOMENTUM, EPS)])
    return y * weight[:, None, None] + bias[:, None, None]


def in_a_sum(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    share = torch.ones(1, dtype=x.dtype)
    y = mixed_sum([x], share, [mean], [variance], training=True, momentum=MOMENTUM, eps=EPS, use="cpu")
    return y * weight[:, None, None] + bias[:, None, None]


def results(
    layer: Layer, shape: tuple[int, ...], offset: float, dtype: torch.dtype, laid: torch.memory_format
) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(sum(shape))
    x, g = (torch.randn(shape, generator=draw) for _ in range(2))
    weight, bias = (torch.rand(shape[1], generator=draw) + 0.5 for _ in range(2))
    x = (x + offset).to(dtype).contiguous(memory_format=laid)
    leaves = [t.detach().to(dtype).requires_grad_() for t in (x, weight, bias)]
    kept = torch.zeros(shape[1], dtype=dtype), torch.ones(shape[1], dtype=dtype)
    y = layer(*leaves, *kept)
    # A gradient with a mean, as a ReLU's.
    y.backward((g + 0.5).to(dtype).contiguous(memory_format=laid))
    found = [t.grad for t in leaves if t.grad is not None]
    return dict(
        zip(("y", "to x", "to weight", "to bias", "mean", "variance"), (y.detach(), *found, *kept), strict=True)
    )


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize(
    "shape", [(64, 8, 16, 16), (16, 5, 7, 9), (3, 4, 31, 37), (8, 130, 8, 8), (1, 3, 127, 113)], ids=str
)
@pytest.mark.parametrize("layer", [batch_norm, once, in_a_sum])
def test_sums_over_a_batch_are_as_exact_as_of_maps_that_lie_channel_by_channel(
    layer: Layer, shape: tuple[int, ...], offset: float
) -> None:
    plain = results(plainly, shape, offset, torch.float32, FIRST)
    as_exact(
        results(layer, shape, offset, torch.float32, LAST), plain, results(plainly, shape, offset, torch.float64, FIRST)
    )


def test_torch_is_less_exact_where_channels_are_last_or_this_may_go() -> None:
    shape = (64, 16, 32, 32)
    exact = results(plainly, shape, 1.0, torch.float64, FIRST)
    first, last = (results(plainly, shape, 1.0, torch.float32, laid) for laid in (FIRST, LAST))
    assert distance(last["y"], exact["y"]) > 10 * distance(first["y"], exact["y"])


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (61, 2, 67, 1), (2, 3, 3, 5), (17, 4, 16, 1)], ids=str)
def test_any_number_of_pixels_is_taken_in_pieces_that_are_all_of_it(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=LAST)
    mean, variance = norms.moments(x)
    torch.testing.assert_close(mean.double(), x.double().mean((0, 2, 3)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(variance.double(), x.double().var((0, 2, 3), correction=0), rtol=1e-5, atol=0)


@pytest.mark.parametrize("wanted", range(1, 8))
def test_gradients_come_for_every_subset_of_inputs(wanted: int) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 16, 16, generator=draw).contiguous(memory_format=LAST)
    leaves = [x, torch.rand(3, generator=draw), torch.rand(3, generator=draw)]
    whole = [t.clone().requires_grad_() for t in leaves]
    some = [t.clone().requires_grad_(bool(wanted >> place & 1)) for place, t in enumerate(leaves)]
    for given in (whole, some):
        batch_norm(*given, torch.zeros(3), torch.ones(3)).square().sum().backward()
    assert [t.grad is not None for t in some] == [t.requires_grad for t in some]
    assert all(
        t.grad is None or torch.equal(t.grad, w.grad) for t, w in zip(some, whole, strict=True) if w.grad is not None
    )


def test_a_layer_takes_it_in_training_and_a_plain_one_never_does() -> None:
    attrs = {"eps": EPS, "momentum": MOMENTUM, "affine": True}
    x = torch.randn(4, 3, 16, 16).contiguous(memory_format=LAST).requires_grad_()
    for plain, training, name in (
        (False, True, "_BatchNormBackward"),
        (True, True, "NativeBatchNormBackward0"),
        (False, False, "NativeBatchNormBackward0"),
    ):
        y = BatchNorm(3, attrs, plain=plain).train(training)(x)
        assert y.grad_fn is not None and y.grad_fn.name().removeprefix("torch::autograd::") == name

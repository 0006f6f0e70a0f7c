"""Normalisations other than batch norm, and rows and columns of zeros, against torch and by hand."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives.drawn import MAPS, attributes, layer, map_of, run, shape, sizes
from torch import Tensor, nn

from genolang.primitives import PRIMITIVES, MapType

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


@QUICK
@given(MAPS, st.sampled_from([1e-5, 1e-3, 0.5]))
def test_layer_norm_is_torch_s_over_the_channels_of_each_position(x: MapType, eps: float) -> None:
    attrs = attributes("layer_norm", eps=eps)
    plain = nn.LayerNorm(x.C, eps)
    for parameter in plain.parameters():
        nn.init.normal_(parameter)
    made = layer("layer_norm", attrs, x)
    assert {name: bool((p == int(name == "weight")).all()) for name, p in made.named_parameters()} == {
        "weight": True,
        "bias": True,
    }
    made.load_state_dict(plain.state_dict())
    weights = PRIMITIVES["layer_norm"].weights(attrs, [x])
    assert (weights.params, weights.buffers) == (sum(p.numel() for p in plain.parameters()), 0)
    image, made, plain = map_of(x).double(), made.double(), plain.double()
    expected = plain(image.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(image.shape)
    assert shape("layer_norm", attrs, x) == x
    torch.testing.assert_close(made(image), expected, rtol=1e-10, atol=1e-10)


@QUICK
@given(MAPS, st.sampled_from(["channels", "space"]))
def test_l2_norm_divides_by_the_root_of_the_sum_of_squares(x: MapType, over: str) -> None:
    axes = (1,) if over == "channels" else (2, 3)
    found = run("l2_norm", attributes("l2_norm", over=over), x)
    torch.testing.assert_close(found, map_of(x) / map_of(x).square().sum(axes, keepdim=True).sqrt())
    torch.testing.assert_close(found.square().sum(axes), torch.ones_like(found.sum(axes)))


def test_l2_norm_divides_what_is_shorter_than_eps_by_eps() -> None:
    made: Any = layer("l2_norm", attributes("l2_norm", over="channels", eps=0.5), MapType(2, 1, 3))
    image = torch.tensor([[0.0, 0.3, 3.0], [0.0, 0.0, 4.0]])[None, :, None].requires_grad_()
    found: Tensor = made(image)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([[0.0, 0.6, 0.6], [0.0, 0.0, 0.8]]))
    found[..., :2].sum().backward()
    assert image.grad is not None
    torch.testing.assert_close(image.grad[0, :, 0], torch.tensor([[2.0, 2, 0], [2, 2, 0]]))


@QUICK
@given(MAPS, sizes(0, 3), sizes(0, 3))
def test_pad_space_puts_zeros_around_a_map(x: MapType, before: Any, after: Any) -> None:
    found = run("pad_space", attributes("pad_space", before=before, after=after), x)
    (top, left), (bottom, right) = (v if isinstance(v, tuple) else (v, v) for v in (before, after))
    assert found.shape[2:] == (top + x.H + bottom, left + x.W + right)
    inside = found[:, :, top : top + x.H, left : left + x.W]
    assert torch.equal(inside, map_of(x))
    inside.zero_()
    assert not found.any()


def alone(like: Tensor) -> Tensor:
    """One image with its channels last, at a distance from a next one that no layout has."""
    C, W = like.shape[1], like.shape[3]
    return torch.empty(like.numel(), dtype=like.dtype).as_strided(like.shape, (C, 1, W * C, C)).copy_(like)


def gradients(norm: nn.Module, x: Tensor, g: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    return [*torch.autograd.grad(norm(x), (x, *norm.parameters()), g)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [(6, 7), (1, 7), (19, 23)])
def test_one_image_whose_strides_are_of_no_layout_gets_its_gradients(
    size: tuple[int, int], dtype: torch.dtype, training: bool
) -> None:
    x, g = (torch.randn(1, 5, *size, dtype=dtype) for _ in range(2))
    norm = layer("batch_norm", attributes("batch_norm", affine=True), MapType(5, *size)).to(dtype).train(training)
    wanted = gradients(norm, x, g)
    for map_ in (x, alone(x), x.contiguous(memory_format=torch.channels_last)):
        for found, there in zip(gradients(norm, map_, alone(g)), wanted, strict=True):
            torch.testing.assert_close(found, there, rtol=1e-4, atol=1e-4)


def test_torch_s_own_batch_norm_gets_them_wrong_or_this_may_go() -> None:
    x, g = (torch.randn(1, 5, 6, 7, dtype=torch.float64) for _ in range(2))
    norm = nn.BatchNorm2d(5).double()
    first, *_ = gradients(norm, x, g)
    assert not torch.allclose(gradients(norm, x, alone(g))[0], first)

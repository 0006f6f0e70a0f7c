"""The layers that `std.layers` puts together, against torch's: values and gradients."""

from collections.abc import Callable

import pytest
import torch
from reference.pouring import compiled
from torch import Tensor, nn
from torch.nn import functional as F

EXACT = {"rtol": 1e-9, "atol": 1e-9}
ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu6": nn.ReLU6(),
    "instance_norm": nn.InstanceNorm2d(6),
    "instance_norm(affine=true, eps=0.1)": nn.InstanceNorm2d(6, eps=0.1),
    "map_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "adaptive_avg_pool((3, 2))": nn.AdaptiveAvgPool2d((3, 2)),
    "layer_scale(0.5)": lambda x: 0.5 * x,
    "gamma": lambda x: 0 * x,
    "position_table(0.25)": lambda x: x + 0.25,
    "channel_bias(1)": lambda x: x + 1,
    "with_coordinates -> slice(0, 6)": lambda x: x,
}


def module(words: str) -> nn.Module:
    text = f"""geno 1
import std.layers
network n {{
  input image(6, 7, 9)
  body  {words}
  head  resize(like=input)
}}
"""
    made: nn.Module = compiled(text).module().double()
    return made


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("words", ROWS)
def test_what_is_put_together_is_torch_s(words: str) -> None:
    image = drawn(2, 6, 7, 9).requires_grad_()
    made, reference = module(words), ROWS[words]
    found, expected = made(image), F.interpolate(reference(image), (7, 9))
    share = drawn(*expected.shape)
    torch.testing.assert_close(found, expected, **EXACT)
    for here, there in zip(*(torch.autograd.grad(y, image, share) for y in (found, expected)), strict=True):
        torch.testing.assert_close(here, there, **EXACT)


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_window_of_any_size_keeps_the_map_s_as_torch_s_same_padding_does(k: int) -> None:
    made, plain = module(f"same_conv({k}, 5, bias=true)"), nn.Conv2d(6, 5, k, padding="same").double()
    ((_, weight), (_, bias)) = made.named_parameters()
    plain.weight.data, plain.bias.data = weight.detach(), bias.detach()  # type: ignore[union-attr]
    image = drawn(2, 6, 7, 9)
    assert plain(image).shape == (2, 5, 7, 9)
    torch.testing.assert_close(made(image), plain(image), **EXACT)

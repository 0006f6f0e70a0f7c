"""Networks in single precision are as exact fused as they are layer by layer, wherever their maps lie."""

from typing import Any

import pytest
import torch
from exactness import OFFSETS, as_exact
from reference.pouring import compiled
from torch import Tensor, nn

GATE = """geno 1
attention spatial {
  m = x -> conv(3, groups=C) -> scale(gain=%(gain)s, shift=%(shift)s)
  return x * (1 + (m -> standardize(space) -> sigmoid))
}
attention pixel {
  m = x -> conv(1, C, bias=true)
  return x * (1 + (m -> standardize(space) -> sigmoid))
}
network n {
  input image(3, 16, 12)
  stem  conv(1, 8) -> conv(3, groups=8, pad=%(pad)s) -> %(gate)s
  head  global_avg_pool -> linear(3)
}
"""


def gated(gate: str = "spatial", offset: float = 1.0, pad: int = 1) -> Any:
    return compiled(GATE % {"gate": gate, "gain": 0.125, "shift": offset / 8, "pad": pad})


def step(network: Any, image: Tensor, dtype: torch.dtype, *, fused: bool, bias: float = 0.0) -> dict[str, Tensor]:
    """The answer and all gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: nn.Module = network.module(fused=fused)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("conv.bias"):
                parameter += bias
    x = image.to(dtype, copy=True).requires_grad_()
    answer = module.to(dtype)(x)
    (answer * torch.arange(1, answer.numel() + 1, dtype=dtype).view_as(answer)).sum().backward()
    assert x.grad is not None
    found = {"": answer.detach(), "image": x.grad}
    return found | {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


def images() -> Tensor:
    return torch.randn(4, 3, 16, 12, generator=torch.Generator().manual_seed(1))


def holds(network: Any, image: Tensor, **more: float) -> None:
    found, plain = (step(network, image, torch.float32, fused=fused, **more) for fused in (True, False))
    as_exact(found, plain, step(network, image, torch.float64, fused=False, **more))


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_spatial_gate_of_a_map_with_a_large_mean(offset: float) -> None:
    holds(gated(offset=offset), images())


@pytest.mark.parametrize("bias", [1.0, 100.0, 1e4])
def test_a_spatial_gate_of_logits_with_a_large_bias(bias: float) -> None:
    holds(gated("pixel"), images(), bias=bias)


@pytest.mark.parametrize("gate", ["spatial", "pixel"])
def test_a_blank_image_in_a_batch_is_as_harmless_fused_as_it_is_plain(gate: str) -> None:
    image = images()
    image[1] = 0.7
    holds(gated(gate, pad=0), image)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_network_that_only_answers(offset: float) -> None:
    network, image, found = gated(offset=offset), images(), []
    for dtype, fused in ((torch.float32, True), (torch.float32, False), (torch.float64, False)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = network.module(fused=fused).eval()
        module = (network.for_inference(module) if fused else module).to(dtype)
        with torch.inference_mode():
            found.append({"": module(image.to(dtype))})
    as_exact(*found)

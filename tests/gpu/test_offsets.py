"""Tensors of more than 2^31 values: offsets that 32 bits do not hold. Needs a GPU with 60 GB."""

import pytest
import torch
from torch import Tensor

from genolang.kernels.masking import masked, recalibrated
from genolang.kernels.mixed_sum import mixed_sum
from genolang.kernels.relative_attention import relative_attention


def memory() -> int:
    return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0


pytestmark = pytest.mark.skipif(memory() < 60 * 10**9, reason="needs a GPU with 60 GB")
CUDA = torch.device("cuda")


def half(*shape: int) -> Tensor:
    draw = torch.Generator(CUDA).manual_seed(len(shape))
    return torch.randn(shape, generator=draw, device=CUDA, dtype=torch.float16).requires_grad_()


def last_alone(function, grad: Tensor, *leaves: Tensor) -> None:  # type: ignore[no-untyped-def]
    """The last image of a large batch gets what it gets alone, forward and backward."""
    alone = [t.detach()[-1:].clone().requires_grad_() for t in leaves]
    out = function(*leaves)
    assert max(t.numel() for t in (out, *leaves)) > 2**31
    out.backward(grad.expand_as(out))
    other = function(*alone)
    other.backward(grad.expand_as(other))
    assert torch.equal(out[-1:], other)
    for whole, one in zip(leaves, alone, strict=True):
        assert whole.grad is not None and one.grad is not None and torch.equal(whole.grad[-1:], one.grad)


@pytest.mark.parametrize("gate", ["mixed", "spatial", "channel"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_masks_reach_the_last_image(gate: str, memory_format: torch.memory_format) -> None:
    t, m = (half(129, 256, 256, 256).detach().contiguous(memory_format=memory_format) for _ in range(2))
    last_alone(
        lambda *xs: masked(*xs, gate=gate, use="fused"),
        half(1, 256, 256, 256).detach(),
        t.requires_grad_(),
        m.requires_grad_(),
    )


@pytest.mark.parametrize("mask", [(1, 1, 1), (1, 256, 256)])
def test_recalibration_reaches_the_last_image(mask: tuple[int, int, int]) -> None:
    shape = (129, 256, 1, 1) if mask == (1, 1, 1) else (129, *mask)
    last_alone(
        lambda *xs: recalibrated(*xs, relu=True, use="fused"),
        half(1, 256, 256, 256).detach(),
        half(129, 256, 256, 256),
        half(129, 256, 256, 256),
        half(*shape),
    )


def test_the_mixed_sum_reaches_the_last_candidate() -> None:
    shape = 32, 16, 1024, 1024
    xs = [half(*shape) for _ in range(5)]
    weights = torch.linspace(0.1, 0.3, 5, device=CUDA)
    grad = half(*shape).detach()

    def run(last: int) -> Tensor | None:
        kept = [torch.zeros(16, device=CUDA)] * last, [torch.ones(16, device=CUDA)] * last
        mixed_sum(xs[-last:], weights[-last:], *kept, training=True, use="fused").backward(grad)
        found, xs[-1].grad = xs[-1].grad, None
        return found

    whole, alone = run(5), run(1)
    assert whole is not None and alone is not None and torch.equal(whole, alone)


def test_attention_reaches_the_last_image() -> None:
    tables = [torch.randn(63, 20, device=CUDA, dtype=torch.float16) for _ in range(2)]
    last_alone(
        lambda qkv: relative_attention(qkv, *tables, 8, use="fused"),
        half(1, 160, 32, 32).detach(),
        half(4400, 480, 32, 32),
    )


def test_attention_on_the_largest_map_agrees_with_the_augmented_form() -> None:
    leaves = [half(1, 60, 64, 64), half(127, 20), half(127, 20)]
    grad = half(1, 20, 64, 64).detach()
    found, other = (
        torch.autograd.grad(relative_attention(*leaves, 1, use=use), leaves, grad) for use in ("fused", "augmented")
    )
    for mine, theirs in zip(found, other, strict=True):
        assert float((mine - theirs).abs().max()) <= 2e-2 * float(theirs.abs().max())

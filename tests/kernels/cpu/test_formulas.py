import pytest
import torch
from torch import Tensor

from genolang.kernels.cpu.masking import masked
from genolang.kernels.cpu.moments import Statistics, norm_conv


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_map_under_several_masks_is_their_weighted_sum(added: bool, channels_last: bool) -> None:
    x, total = random(2, 3, 5, 4), random(2, 3, 5, 4, seed=1)
    if channels_last:
        x, total = (t.contiguous(memory_format=torch.channels_last) for t in (x, total))
    masks = [random(2, 3, 1, 1, seed=2), random(2, 1, 5, 4, seed=3), random(2, 3, 5, 4, seed=4)]
    shares = torch.tensor([0.5, -0.25, 2.0, 0.75], dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (x, shares, total, *masks)]

    def ours(x: Tensor, shares: Tensor, total: Tensor, *masks: Tensor) -> Tensor:
        # `total` is worked in, which a leaf must not be.
        return masked(x, [masks[0], None, *masks[1:]], shares, total * 1 if added else None)

    def spelled(x: Tensor, shares: Tensor, total: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        y = x * (shares[0] * a + shares[1] + shares[2] * b + shares[3] * c)
        return y + total if added else y

    torch.testing.assert_close(ours(*inputs), spelled(*inputs), atol=1e-12, rtol=1e-12)
    g = random(2, 3, 5, 4, seed=5)
    found = torch.autograd.grad(ours(*inputs), inputs, g, allow_unused=True)
    expected = torch.autograd.grad(spelled(*inputs), inputs, g, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


def test_the_variance_of_a_difference_of_channels_that_are_alike_is_not_lost() -> None:
    common = random(8, 1, 9, 7) * 100
    x = (common + random(8, 2, 9, 7, seed=1) * 0.01).float()
    x = (x - x.mean((0, 2, 3), keepdim=True)).contiguous(memory_format=torch.channels_last)
    weight = torch.tensor([[1.0, -1.0], [0.5, 0.25]])[:, :, None, None]
    kept = Statistics(torch.zeros(2), torch.ones(2), 1.0, 1e-12)
    (found,) = norm_conv([x], [torch.zeros(2)], [weight], [], [kept], relu=False)
    y = torch.nn.functional.conv2d(x.double(), weight.double())
    variance = y.var((0, 2, 3), correction=0)
    expected = (y - y.mean((0, 2, 3), keepdim=True)) / (variance + 1e-12).sqrt()[:, None, None]
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(kept.variance.double(), y.var((0, 2, 3)), atol=0, rtol=1e-3)

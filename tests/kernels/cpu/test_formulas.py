import pytest
import torch
from exactness import as_exact
from torch import Tensor

from genolang.kernels.cpu.masking import masked
from genolang.kernels.cpu.mixing import mixed
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


ALIKE = torch.randn(8, 1, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def stepped(how: str, weight: Tensor, x: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """A 1x1 convolution of a centred map and its batch norm: results, gradients and statistics."""
    x, weight, gradient = (t.to(dtype).clone() for t in (x, weight, random(*x.shape, seed=2)))
    kept = Statistics(torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype), 1.0, 1e-12)
    scale, shift = torch.tensor([0.5, 2.0], dtype=dtype), torch.tensor([0.1, -1.0], dtype=dtype)
    leaves = {"x": x, "weight": weight, "scale": scale, "shift": shift}
    for leaf in leaves.values():
        leaf.requires_grad_()
    none = torch.zeros(2, dtype=dtype)
    if how == "plain":
        y = torch.nn.functional.conv2d(x, weight)
        y = torch.batch_norm(y, scale, shift, kept.mean, kept.variance, True, 1.0, 1e-12, False)
    elif how == "norm_conv":
        (y,) = norm_conv([x], [none], [weight], [(scale, shift)], [kept], relu=False)
    else:
        y = mixed(torch.ones(1, dtype=dtype), [x], [], [none], [weight], [kept])
        y = y * scale[:, None, None] + shift[:, None, None]
    y.backward(gradient)
    found = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    # By the map's own gradient: what is left of it without a mean, which nobody reads, may differ.
    found["x"] = found["x"] - found["x"].mean((0, 2, 3), keepdim=True)
    return {"y": y.detach(), "variance": kept.variance} | found


@pytest.mark.parametrize("how", ["norm_conv", "mixed"])
@pytest.mark.parametrize("weights", [[[1.0, -1.0], [0.5, 0.25]], [[0.7, -0.7], [0.3, 0.9]]])
@pytest.mark.parametrize("apart", [0.01, 1.0, 100.0])
def test_a_difference_of_channels_that_are_alike_is_as_exact_as_layer_by_layer(
    how: str, weights: list[list[float]], apart: float
) -> None:
    x = (ALIKE * 100 + random(8, 2, 9, 7, seed=1) * apart).float()
    x = (x - x.mean((0, 2, 3), keepdim=True)).contiguous(memory_format=torch.channels_last)
    weight = torch.tensor(weights)[:, :, None, None]
    exact = stepped("plain", weight, x, torch.float64)
    as_exact(stepped(how, weight, x, torch.float32), stepped("plain", weight, x, torch.float32), exact)

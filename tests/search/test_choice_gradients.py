import pytest
import torch
from search.tiny_space import SMALL, TEXT, supernet
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from genolang.search.choice_gradients import VirtualStep, exact_products, first_order, fixed, second_order, virtual_step


def double_case(text=TEXT, images=6):
    """A supernet in float64 and training mode with logits of some size, and two batches."""
    module = supernet(text).double().train()
    generator = torch.Generator().manual_seed(5)
    for key in module.choices:
        draw = torch.randn(module.choices[key].shape, generator=generator, dtype=torch.float64)
        module.choices[key] = draw
    batches = [
        (
            torch.randn(images, 1, 8, 8, generator=generator, dtype=torch.float64),
            torch.randint(0, 3, (images,), generator=generator),
        )
        for _ in range(2)
    ]
    return module, *batches


def loss_of(module, batch):
    return lambda: cross_entropy(module(batch[0]), batch[1])


def plainly(module, weights, batch):
    """The loss with the given weights in place of the module's, which stays untouched."""
    statistics = {name: buffer.clone() for name, buffer in module.named_buffers()}
    return cross_entropy(functional_call(module, weights | statistics, batch[0]), batch[1])


def plain_second_order(module, train, val, step, radius):
    """The published formula, term by term, on dictionaries of weights."""
    logits = list(module.choices.values())
    start = {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}
    slopes = torch.autograd.grad(plainly(module, start, train), list(start.values()))
    buffers = step.buffers or [torch.zeros_like(p) for p in start.values()]
    ahead = {
        name: (w - step.lr * (step.momentum * b + g + step.decay * w)).detach().requires_grad_()
        for (name, w), g, b in zip(start.items(), slopes, buffers, strict=True)
    }
    loss = plainly(module, ahead, val)
    direct = torch.autograd.grad(loss, logits, retain_graph=True)
    v = torch.autograd.grad(loss, list(ahead.values()))
    reach = radius / torch.cat([part.flatten() for part in v]).norm()

    def at(sign):
        moved = {n: w + sign * reach * d for (n, w), d in zip(start.items(), v, strict=True)}
        return torch.autograd.grad(plainly(module, moved, train), logits)

    return loss, [g - step.lr * (up - down) / (2 * reach) for g, up, down in zip(direct, at(1), at(-1), strict=True)]


def close(found, wanted, tolerance=1e-9):
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize("text", [TEXT, SMALL])
def test_the_first_order_gradient_is_that_of_the_validation_loss(text):
    module, _, val = double_case(text)
    logits = list(module.choices.values())
    loss, found = first_order(loss_of(module, val), list(module.parameters()), logits)
    weights = {name: p.detach() for name, p in module.named_parameters()}
    expected = plainly(module, weights, val)
    close(found, torch.autograd.grad(expected, logits))
    assert torch.allclose(loss, expected)
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


@pytest.mark.parametrize("text", [TEXT, SMALL])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_second_order_gradient_is_the_published_formula_at_the_same_radius(text, momentum):
    module, train, val = double_case(text)
    buffers = tuple(torch.randn_like(p).mul(0.1) for p in module.parameters()) if momentum else ()
    step = VirtualStep(0.05, 3e-2, momentum, buffers)
    loss, expected = plain_second_order(module, train, val, step, 0.01)
    logits = list(module.choices.values())
    found_loss, found = second_order(loss_of(module, train), loss_of(module, val), module, logits, step, 0.01)
    close(found, expected)
    assert torch.allclose(found_loss, loss)
    # The correction is worth testing: it is no small part of the gradient.
    plain = first_order(loss_of(module, val), list(module.parameters()), logits)[1]
    assert (found[0] - plain[0]).norm() > 0.01 * plain[0].norm()


class Bowl(nn.Module):
    """A loss that is quadratic in its weights, so that the finite difference is exact."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor([0.1], dtype=torch.float64))

    def loss(self, a, target, w=None, b=None):
        w, b = self.w if w is None else w, self.b if b is None else b
        return ((w * torch.softmax(a, 0) + b * a - target) ** 2).sum()


def test_on_a_quadratic_loss_it_is_the_exact_derivative_through_the_virtual_step():
    bowl = Bowl()
    a = torch.tensor([0.2, -0.1, 0.5], dtype=torch.float64, requires_grad=True)
    step = VirtualStep(0.1, 0.01, 0.9, (torch.ones_like(bowl.w), torch.ones_like(bowl.b)))
    weights = [bowl.w, bowl.b]
    slopes = torch.autograd.grad(bowl.loss(a, 1.0), weights, create_graph=True)
    ahead = [w - step.lr * (0.9 + g + step.decay * w) for w, g in zip(weights, slopes, strict=True)]
    expected = torch.autograd.grad(bowl.loss(a, -2.0, *ahead), a)
    _, found = second_order(lambda: bowl.loss(a, 1.0), lambda: bowl.loss(a, -2.0), bowl, [a], step, 0.01)
    close(found, expected, 1e-10)


def test_a_second_order_gradient_leaves_the_weights_bit_for_bit():
    module = supernet().train()
    batch = (torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0]))
    before = [p.detach().clone() for p in module.parameters()]
    logits = list(module.choices.values())
    second_order(loss_of(module, batch), loss_of(module, batch), module, logits, VirtualStep(0.1, 3e-4), 0.01)
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert all(p.requires_grad for p in (*module.parameters(), *logits))


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_pass_that_fails_leaves_the_weights_as_they_were(failing):
    module = supernet().train()
    batch = (torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0]))
    before = [p.detach().clone() for p in module.parameters()]
    passes = 0

    def loss():
        nonlocal passes
        passes += 1
        if passes == failing:
            raise torch.OutOfMemoryError
        return loss_of(module, batch)()

    with pytest.raises(torch.OutOfMemoryError):
        second_order(loss, loss, module, list(module.choices.values()), VirtualStep(0.1, 0), 0.01)
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    assert all(p.requires_grad for p in (*module.parameters(), *module.choices.values()))


def test_a_vanishing_gradient_gives_no_correction_and_no_nan():
    bowl = Bowl()
    a = torch.tensor([0.2, -0.1, 0.5], dtype=torch.float64, requires_grad=True)
    loss, (found,) = second_order(
        lambda: bowl.loss(a, 1.0),
        lambda: (a**2).sum() + 0 * bowl.w.sum() + 0 * bowl.b.sum(),
        bowl,
        [a],
        VirtualStep(0.1, 0.0),
        0.01,
    )
    assert torch.allclose(found, 2 * a.detach()) and torch.isfinite(loss)


def test_the_momentum_term_is_missing_until_every_buffer_is_there():
    module = supernet()
    weights = list(module.parameters())
    optimizer = torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=0.5)
    assert virtual_step(optimizer, weights) == VirtualStep(0.1, 0.5, 0.9)
    for weight in weights[1:]:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert virtual_step(optimizer, weights).buffers == ()
    weights[0].grad = torch.ones_like(weights[0])
    optimizer.step()
    assert len(virtual_step(optimizer, weights).buffers) == len(weights)


def test_with_another_optimiser_the_virtual_step_is_plain_descent():
    weights = list(supernet().parameters())
    optimizer = torch.optim.Adam(weights, 0.1, weight_decay=0.5)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert virtual_step(optimizer, weights) == VirtualStep(0.1, 0.5)


def test_fixed_tensors_get_their_gradients_back():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2)
    with pytest.raises(KeyError), fixed([a, b]):
        assert not a.requires_grad
        raise KeyError
    assert a.requires_grad and not b.requires_grad


def test_full_products_are_asked_for_on_a_gpu_only_and_put_back():
    matmul = torch.backends.cuda.matmul
    usual = matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    with exact_products(torch.device("cuda")):
        assert matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert usual == (matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision)
    with exact_products(torch.device("cpu")):
        assert usual == (matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision)

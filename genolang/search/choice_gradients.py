"""Gradients of the validation loss by a supernet's logits, of first and of second order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

Loss = Callable[[], Tensor]
"""A forward pass in training mode that answers a scalar."""

# Where the gradient vanishes the radius must not become infinite.
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class VirtualStep:
    """The weight step that a second-order gradient looks ahead by.

    `lr` is the present one; `buffers` are the optimiser's momentum buffers in the order of the
    weights, empty where any is missing, as before the first step.
    """

    lr: float
    decay: float
    momentum: float = 0.0
    buffers: tuple[Tensor, ...] = ()


def virtual_step(optimizer: Optimizer, weights: Sequence[Tensor]) -> VirtualStep:
    """The virtual step that an optimiser of these weights implies.

    With another optimiser than SGD it is a step of SGD without momentum at the same rate.
    """
    group = optimizer.param_groups[0]
    if not isinstance(optimizer, SGD):
        return VirtualStep(group["lr"], group["weight_decay"])
    found = [optimizer.state[w].get("momentum_buffer") if w in optimizer.state else None for w in weights]
    buffers = tuple(buffer for buffer in found if buffer is not None)
    return VirtualStep(
        group["lr"], group["weight_decay"], group["momentum"], buffers if len(buffers) == len(found) else ()
    )


@contextmanager
def fixed(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Leaves tensors out of the gradients inside; what only they need is not even kept."""
    moving = [tensor for tensor in tensors if tensor.requires_grad]
    for tensor in moving:
        tensor.requires_grad_(False)
    try:
        yield
    finally:
        for tensor in moving:
            tensor.requires_grad_(True)


def first_order(
    val_loss: Loss, weights: Sequence[Tensor], logits: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The validation loss at the present weights and its gradient by the logits.

    Source: DARTS, section 2.3, the approximation with a virtual learning rate of zero.
    """
    with fixed(weights):
        loss = val_loss()
        gradients = torch.autograd.grad(loss, logits, materialize_grads=True)
    return loss.detach(), gradients


def second_order(
    train_loss: Loss, val_loss: Loss, module: nn.Module, logits: Sequence[Tensor], step: VirtualStep, radius: float
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The validation loss after a virtual weight step and its gradient by the logits.

    w' = w - lr (momentum buffer + dL_train/dw + decay w); the gradient is dL_val(w')/da - lr
    [dL_train(w + R v)/da - dL_train(w - R v)/da] / 2R with v = dL_val(w')/dw' and R = radius / |v|,
    one norm over all weights. The weights end as they began, bit for bit. Running statistics end
    as if the three training passes, and not the validation pass, had been made: the public code
    makes that one on a copy of the network. Source: DARTS, equations 7 and 8, and quark0/darts.
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    kept = [weight.detach().clone() for weight in weights]
    try:
        with fixed(logits):
            gradients = torch.autograd.grad(train_loss(), weights, materialize_grads=True)
        _step_virtually(weights, gradients, step)
        with statistics_kept(module):
            loss = val_loss()
            both = torch.autograd.grad(loss, (*logits, *weights), materialize_grads=True)
        direct, v = both[: len(logits)], both[len(logits) :]
        reach = radius / _norm(v).clamp_min(_TINY)
        ends = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                for weight, start, along in zip(weights, kept, v, strict=True):
                    weight.copy_(torch.addcmul(start, along, reach.to(along.dtype), value=sign))
            with fixed(weights):
                ends.append(torch.autograd.grad(train_loss(), logits, materialize_grads=True))
    finally:
        with torch.no_grad():
            for weight, start in zip(weights, kept, strict=True):
                weight.copy_(start)
    gradients = tuple(
        g - step.lr * (above - below) / (2 * reach).to(g.dtype) for g, above, below in zip(direct, *ends, strict=True)
    )
    return loss.detach(), gradients


@torch.no_grad()
def _step_virtually(weights: Sequence[Tensor], gradients: Sequence[Tensor], step: VirtualStep) -> None:
    for index, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        move = gradient.add(weight, alpha=step.decay)
        if step.buffers:
            move.add_(step.buffers[index], alpha=step.momentum)
        weight.sub_(move, alpha=step.lr)


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Undoes what the passes inside do to running statistics."""
    buffers = list(module.buffers())
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, start in zip(buffers, kept, strict=True):
                buffer.copy_(start)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    norms = [torch.linalg.vector_norm(tensor) for tensor in tensors]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """On a GPU, products in full float32 instead of TensorFloat-32.

    The two ends of a second-order gradient differ by about 1e-4 of a weight, less than its rounding.
    """
    cudnn: Any = torch.backends.cudnn
    backends = [cudnn.conv, torch.backends.cuda.matmul] if device.type == "cuda" else []
    usual = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        for backend, value in zip(backends, usual, strict=True):
            backend.fp32_precision = value

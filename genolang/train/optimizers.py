"""Optimisers from their settings."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from genolang.diagnostics import GenoError, fail
from genolang.semantics.settings import OptimizerSettings


def build_optimizer(settings: OptimizerSettings, parameters: Iterable[Tensor]) -> Optimizer:
    """The torch optimiser of the settings, its learning rate at the schedule's start.

    `decay` is the L2 form (added to the gradient) except for adamw, where it is decoupled.
    Error: G509 where there are no parameters.
    """
    given, lr, decay = list(parameters), settings.lr.start, settings.decay
    if not given:
        raise no_weights("the network")
    match settings.kind:
        case "sgd":
            return SGD(given, lr, settings.momentum, weight_decay=decay, nesterov=settings.nesterov)
        case "adam":
            return Adam(given, lr, settings.betas, settings.eps, decay)
        case "adamw":
            return AdamW(given, lr, settings.betas, settings.eps, decay)
        case "rmsprop":
            return RMSprop(given, lr, settings.alpha, settings.eps, decay, settings.momentum)


def no_weights(network: str) -> GenoError:
    """G509, for a network that is told to learn and cannot."""
    return fail(
        "G509",
        f"{network} has no weights, so there is nothing to train",
        help="give it some: `linear(classes)` as the last layer of its head",
    )


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Sets the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_gradients(optimizer: Optimizer, max_norm: float | None) -> None:
    """Scales the gradients of the optimiser's own parameters down to a global norm, if above it."""
    if max_norm is not None:
        own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(own, max_norm)

"""Grad-CAM: which places of an image a network's answer rests on."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate


class Explainable(Protocol):
    """A network that shows its last maps of more than one position beside its logits."""

    def eval(self) -> object: ...

    def features(self, images: Tensor, /) -> tuple[Tensor, Tensor]: ...


def grad_cam(module: Explainable, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (B, H, W) from 0 to 1 of the images' size, and the softmax score of each target (B,).

    A channel weighs the mean gradient of its target's logit; what speaks against the target is cut
    off; each map is divided by its maximum. The module is left in evaluation mode.
    Source: Grad-CAM (Selvaraju et al., 2017), equations 1 and 2.
    """
    module.eval()
    with torch.enable_grad():
        maps, logits = module.features(images.detach().requires_grad_())
        chosen = logits.gather(1, targets[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, maps)
    weights = gradient.mean((2, 3), keepdim=True)
    heat = (weights * maps.detach()).sum(1, keepdim=True).relu()
    heat = interpolate(heat, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    largest = heat.amax((1, 2), keepdim=True)
    scores = logits.detach().softmax(1).gather(1, targets[:, None])[:, 0]
    return heat / largest.clamp_min(torch.finfo(heat.dtype).tiny), scores

"""Random changes of the colours of a batch of images (B, C, H, W), float32 on the scale 0 to 1."""

from __future__ import annotations

import torch
from torch import Tensor

# Of red, green and blue in a grey value. Source: ITU-R BT.601.
_GREY = (0.299, 0.587, 0.114)


def jitter(images: Tensor, amount: float, hue: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation times 1 - amount to 1 + amount, hue turned by up to `hue`.

    Each image has draws and an order of changes of its own; `hue` is a share of the full circle.
    Images of one channel have no saturation and no hue. Source: the ImageNet recipe of
    quark0/darts, which has torchvision's ColorJitter.
    """
    count, channels = images.shape[:2]
    order = torch.rand(count, 4, generator=generator).argsort(1)
    drawn = 2 * torch.rand(count, 4, generator=generator) - 1
    factors = (1 + amount * drawn[:, :3]).clamp_min(0)
    changes = [brightness, contrast, saturation, turn_hue][: 4 if channels == 3 else 2]
    amounts = [*factors.unbind(1), hue * drawn[:, 3]]
    images = images.clone()
    for place in range(4):
        for number, change in enumerate(changes):
            chosen = (order[:, place] == number).nonzero()[:, 0]
            if len(chosen) and not (change is turn_hue and hue == 0):
                by = amounts[number][chosen].to(images.device).view(-1, 1, 1)
                there = chosen.to(images.device)
                images[there] = change(images[there], by)
    return images


def brightness(images: Tensor, by: Tensor) -> Tensor:
    """Each image times its factor (B, 1, 1), at most 1."""
    return (images * by[:, None]).clamp(0, 1)


def contrast(images: Tensor, by: Tensor) -> Tensor:
    """The distance from the mean grey value of each image times its factor (B, 1, 1)."""
    middle = _grey(images).mean((1, 2, 3), keepdim=True)
    return (middle + (images - middle) * by[:, None]).clamp(0, 1)


def saturation(images: Tensor, by: Tensor) -> Tensor:
    """The distance from each pixel's grey value times the image's factor (B, 1, 1)."""
    grey = _grey(images)
    return (grey + (images - grey) * by[:, None]).clamp(0, 1)


def turn_hue(images: Tensor, by: Tensor) -> Tensor:
    """Each image's hues turned by a share of the circle (B, 1, 1); value and saturation stay."""
    red, green, blue = images.unbind(1)
    value, chroma = images.amax(1), images.amax(1) - images.amin(1)
    safe = torch.where(chroma > 0, chroma, 1)
    sixths = (
        torch.where(
            value == red,
            (green - blue) / safe,
            torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
        )
        + 6 * by
    )
    turned = []
    for start in (5, 3, 1):
        place = (start + sixths) % 6
        turned.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(turned, 1)


def _grey(images: Tensor) -> Tensor:
    """(B, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_GREY, device=images.device).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True)

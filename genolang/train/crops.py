"""Windows of images of any size, resized to a square: random ones to train on, the middle to measure on.

An image is (C, H, W), uint8 or float32. Sizes shrink with antialiasing, as image libraries do it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

AREA = 0.08, 1.0
RATIO = 3 / 4, 4 / 3
ATTEMPTS = 10
LONGEST = 8
"""Images longer than so many times their width are cut to their middle before they are resized."""

Box = tuple[int, int, int, int]


def draw_crops(count: int, generator: torch.Generator) -> Tensor:
    """What `random_box` needs for each of `count` images, whatever their sizes: (count, 10, 4)."""
    return torch.rand(count, ATTEMPTS, 4, dtype=torch.float64, generator=generator)


def random_box(height: int, width: int, draws: Tensor) -> Box:
    """Top, left, height and width of a window of 8 to 100 % of an image, its ratio 3/4 to 4/3.

    `draws` (10, 4) are uniform from 0 to 1; where no attempt fits it is the largest window in the
    middle. Source: C. Szegedy et al., Going Deeper with Convolutions (CVPR 2015), section 6, with
    the details of torchvision's RandomResizedCrop.
    """
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for area, ratio, down, right in draws.tolist():
        pixels = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area)
        aspect = math.exp(low + (high - low) * ratio)
        w, h = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < h <= height and 0 < w <= width:
            return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
    w = min(width, max(1, round(height * RATIO[1])))
    h = min(height, max(1, round(width / RATIO[0])))
    return (height - h) // 2, (width - w) // 2, h, w


def random_crop(image: Tensor, size: int, draws: Tensor) -> Tensor:
    """The window that the draws (10, 4) choose, resized to (C, size, size)."""
    top, left, h, w = random_box(image.shape[1], image.shape[2], draws)
    return _resized(image[:, top : top + h, left : left + w], size, size)


def centre_crop(image: Tensor, size: int) -> Tensor:
    """The image with its shorter side resized to 256/224 of `size`, and of that the middle square.

    Source: the usual evaluation on ImageNet, 224 pixels out of 256.
    """
    short = round(size * 256 / 224)
    image = _middle(image, *(min(side, LONGEST * min(image.shape[1:])) for side in image.shape[1:]))
    height, width = image.shape[1:]
    if height < width:
        image = _resized(image, short, short * width // height)
    else:
        image = _resized(image, short * height // width, short)
    return _middle(image, size, size).contiguous()


def _middle(image: Tensor, height: int, width: int) -> Tensor:
    top, left = round((image.shape[1] - height) / 2), round((image.shape[2] - width) / 2)
    return image[:, top : top + height, left : left + width]


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    # Channels last is what pixels come in, and the layout that the kernel for uint8 is fast in.
    batch = image[None].contiguous(memory_format=torch.channels_last)
    return interpolate(batch, (height, width), mode="bilinear", antialias=True)[0]

"""Random changes of a batch of training images, each image by draws of its own.

The draws are made on the CPU and sent to the images' device, so a seed means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genolang.semantics.settings import Augmentation
from genolang.train.jitter import jitter
from genolang.train.tasks import IGNORED


def augment(
    images: Tensor,
    augmentations: Sequence[Augmentation],
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
) -> Tensor:
    """Raw images (B, C, H, W) changed at random and normalised, as float32.

    Flip, crop and shift act on the raw images in the order given, so that what a crop pads is black
    before normalisation; then jitter changes colours; cutout acts last and leaves the channels'
    means. Of a `resized_crop` the images come here already. Source: the CIFAR recipe of
    quark0/darts.
    """
    images = _placed(images, augmentations, generator)
    for change in augmentations:
        if change.kind == "jitter":
            images = jitter(_as_float(images), change.amount, change.hue, generator)
    images = normalise(images, mean, std)
    for change in augmentations:
        if change.kind == "cutout":
            images = cutout(images, int(change.amount), generator)
    return images


def augment_labels(labels: Tensor, augmentations: Sequence[Augmentation], generator: torch.Generator) -> Tensor:
    """Labels per pixel (B, H, W) moved as `augment` moves their images.

    The generator is in the state that it had for the images. What comes into view from outside of
    an image counts for nothing: class numbers (uint8) are `IGNORED` there, densities 0.
    """
    outside = IGNORED if labels.dtype == torch.uint8 else 0
    return _placed(labels[:, None], augmentations, generator, outside)[:, 0]


def _placed(
    images: Tensor, augmentations: Sequence[Augmentation], generator: torch.Generator, outside: int | None = None
) -> Tensor:
    for change in augmentations:
        if change.kind == "flip":
            images = flip(images, generator)
        elif change.kind == "crop":
            images = crop(images, int(change.amount), generator, outside or 0)
        elif change.kind == "shift":
            images = shift(images, change.amount, generator, outside)
    return images


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(images - mean) / std per channel, float32; uint8 images (B, C, H, W) count from 0 to 255."""
    centre = torch.tensor(mean, device=images.device).view(-1, 1, 1)
    spread = torch.tensor(std, device=images.device).view(-1, 1, 1)
    return (_as_float(images) - centre) / spread


def _as_float(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image (B, C, H, W) mirrored left to right with probability 1/2."""
    mirrored = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)


def crop(images: Tensor, pad: int, generator: torch.Generator, outside: int = 0) -> Tensor:
    """A random window of the same size out of each image, padded by `pad` on all sides.

    `outside` is the value of the padding.
    """
    offsets = torch.randint(-pad, pad + 1, (2, len(images)), generator=generator).to(images.device)
    moved, inside = _moved(images, offsets[0], offsets[1])
    return torch.where(inside, moved, moved.new_full((), outside))


def shift(images: Tensor, fraction: float, generator: torch.Generator, outside: int | None = None) -> Tensor:
    """Each image moved by whole pixels, up to `fraction` of its height and width either way.

    What comes into view repeats the nearest pixel of the edge, or is `outside` where that is given.
    """
    # The small addend keeps 0.29 * 100 at 29 in spite of rounding.
    most_y, most_x = (int(fraction * size + 1e-9) for size in images.shape[2:])
    rows = torch.randint(-most_y, most_y + 1, (len(images),), generator=generator)
    columns = torch.randint(-most_x, most_x + 1, (len(images),), generator=generator)
    moved, inside = _moved(images, rows.to(images.device), columns.to(images.device))
    return moved if outside is None else torch.where(inside, moved, moved.new_full((), outside))


def cutout(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A square of side `size` set to zero in each image (B, C, H, W), clipped at the borders.

    Its centre is uniform over the pixels. Source: T. DeVries and G. Taylor, Improved Regularization
    with Cutout (2017); for an odd size their code cuts one pixel less than said, we do not.
    """
    count, _, height, width = images.shape
    top = torch.randint(height, (count, 1), generator=generator).to(images.device) - size // 2
    left = torch.randint(width, (count, 1), generator=generator).to(images.device) - size // 2
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    in_rows = (rows >= top) & (rows < top + size)
    in_columns = (columns >= left) & (columns < left + size)
    return images.masked_fill(in_rows[:, None, :, None] & in_columns[:, None, None, :], 0)


def _moved(images: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel (y + rows[b], x + columns[b]) of each image b, or the nearest one of the image.

    Also a mask (B, 1, H, W) of where that place lies inside the image.
    """
    _, channels, height, width = images.shape
    y = torch.arange(height, device=images.device) + rows[:, None]
    x = torch.arange(width, device=images.device) + columns[:, None]
    inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[:, None, None, :]
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    by_row = images.gather(2, y[:, None, :, None].expand(-1, channels, -1, width))
    return by_row.gather(3, x[:, None, None, :].expand(-1, channels, height, -1)), inside

"""Batches by number: what comes at a step follows from seeds and counters, not from a stored state.

So training resumes at any step exactly, without reading through the steps before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.semantics.settings import Augmentation, crop_size
from genolang.train.augment import augment, augment_labels, normalise
from genolang.train.crops import draw_crops
from genolang.train.lazy import LOOK_AHEAD, Ahead, Images, LazyImages, Plan

# Image sets up to this size are kept on the device; larger ones are sent batch by batch.
RESIDENT_BYTES = 1 << 30

Draw = Callable[[int, int], tuple[Tensor, torch.Generator]]
"""The images of a step, given epoch and step, and the generator of their changes."""


def generator_for(*key: int | str) -> torch.Generator:
    """A CPU generator seeded by a hash of the key, the same in every process."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


class Batches:
    """Shuffled, augmented training batches of those images (N, C, H, W) that `indices` (M,) names.

    Labels are one per image (N,), or one per pixel (N, H, W) and moved together with the images.
    Lazy images are read some batches ahead, and those that are cut are cut at random.
    `batch` images each; the last of an epoch may be smaller but has at least two: a single image
    left over is dropped, since batch normalisation cannot train on one. `stream` keeps the draws
    apart from those of other parts of the data under one seed. `len` is the steps per epoch. Raises
    G604 where not even one batch is left.
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        indices: Tensor,
        batch: int,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        augmentations: Sequence[Augmentation],
        device: torch.device,
        stream: str,
    ) -> None:
        assert batch > 0, "a batch holds at least one image"
        assert len(images) == len(labels), "one label per image"
        size = crop_size(augmentations)
        assert size is None or isinstance(images, LazyImages), "data is loaded for a size"
        self._ahead: Ahead[tuple[str, int, int]] | None = None
        if isinstance(images, LazyImages):
            self._ahead, home = Ahead(device), device
            self._images: Images = images
        else:
            home = device if images.nbytes + labels.nbytes <= RESIDENT_BYTES else images.device
            self._images = images.to(home)
        self._labels = labels.to(home)
        self._indices = indices.cpu()
        self._batch = batch
        self._key = (seed, stream)
        self._mean = tuple(mean)
        self._std = tuple(std)
        self._augmentations = tuple(augmentations)
        self._device = device
        self._orders: dict[int, Tensor] = {}
        whole, rest = divmod(len(indices), batch)
        self._steps = whole + (rest >= 2)
        if self._steps == 0:
            raise fail(
                "G604",
                f"the {stream} part of the data has {len(indices)} images, expected at least 2",
                help="use more images or another `split`",
            )

    def __len__(self) -> int:
        return self._steps

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), float32, normalised and augmented, and their labels, on the device.

        Depends on seed, stream, epoch and step alone; the steps of an epoch share no image.
        """
        assert 0 <= step < self._steps, f"step {step} of {self._steps}"
        following = (divmod(epoch * self._steps + step + n, self._steps) for n in range(LOOK_AHEAD + 1))
        return self._take("order", self._shuffled, list(following))

    def random_batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """A batch like `batch`'s, drawn afresh from all images at every step, none twice in it.

        Any step from 0 will do. It has the full batch size, or all images where there are fewer.
        Source: the architecture step of quark0/darts, which restarts its shuffled loader each time.
        """
        assert step >= 0, f"step {step}"
        return self._take("random", self._drawn, [(epoch, step + n) for n in range(LOOK_AHEAD + 1)])

    def _shuffled(self, epoch: int, step: int) -> tuple[Tensor, torch.Generator]:
        if epoch not in self._orders:
            draw = torch.randperm(len(self._indices), generator=generator_for(*self._key, "order", epoch))
            # The last two: what is read ahead may belong to the epoch after.
            kept = dict(list(self._orders.items())[-1:])
            self._orders = {**kept, epoch: self._indices[draw]}
        chosen = self._orders[epoch][step * self._batch : (step + 1) * self._batch]
        return chosen, generator_for(*self._key, "augment", epoch, step)

    def _drawn(self, epoch: int, step: int) -> tuple[Tensor, torch.Generator]:
        generator = generator_for(*self._key, "random", epoch, step)
        draw = torch.randperm(len(self._indices), generator=generator)[: self._batch]
        return self._indices[draw], generator

    def _take(self, kind: str, draw: Draw, steps: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """The batch of the first step; those of the others are likely to follow."""
        chosen, generator = draw(*steps[0])
        there = chosen.to(self._labels.device)
        if isinstance(self._images, Tensor):
            images = self._images[there].to(self._device)
        else:
            images = self._read(self._images, kind, draw, steps)
        labels = self._labels[there].to(self._device)
        if labels.dim() > 1:
            same = torch.Generator()
            same.set_state(generator.get_state())
            labels = augment_labels(labels, self._augmentations, same)
        changed = augment(images, self._augmentations, self._mean, self._std, generator)
        return changed, labels

    def _read(self, images: LazyImages, kind: str, draw: Draw, steps: list[tuple[int, int]]) -> Tensor:
        def plan(key: tuple[str, int, int]) -> Plan:
            chosen = draw(*key[1:])[0]
            return images[chosen], draw_crops(len(chosen), generator_for(*self._key, "crop", *key))

        assert self._ahead is not None
        return self._ahead.take([(kind, *step) for step in steps], plan)


def evaluation_batches(
    images: Images, labels: Tensor, batch: int, mean: Sequence[float], std: Sequence[float], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images (N, C, H, W) in order, normalised and otherwise unchanged, `batch` at a time.

    Lazy images that are cut show their middle.
    """
    ahead: Ahead[int] = Ahead(device)
    parts = [slice(start, start + batch) for start in range(0, len(images), batch)]
    for number, part in enumerate(parts):
        if isinstance(images, Tensor):
            raw = images[part].to(device)
        else:
            raw = ahead.take(range(number, len(parts))[: LOOK_AHEAD + 1], _middles(images, parts))
        yield normalise(raw, mean, std), labels[part].to(device)


def _middles(images: LazyImages, parts: Sequence[slice]) -> Callable[[int], Plan]:
    return lambda number: (images[parts[number]], None)

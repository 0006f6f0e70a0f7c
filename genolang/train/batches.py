"""Batches by number: what comes at a step follows from seeds and counters, not from a stored state.

So training resumes at any step exactly, without reading through the steps before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.semantics.settings import Augmentation
from genolang.train.augment import augment, augment_labels, normalise

# Image sets up to this size are kept on the device; larger ones are sent batch by batch.
RESIDENT_BYTES = 1 << 30


def generator_for(*key: int | str) -> torch.Generator:
    """A CPU generator seeded by a hash of the key, the same in every process."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


class Batches:
    """Shuffled, augmented training batches of those images (N, C, H, W) that `indices` (M,) names.

    Labels are one per image (N,), or one per pixel (N, H, W) and moved together with the images.
    `batch` images each; the last of an epoch may be smaller but has at least two: a single image
    left over is dropped, since batch normalisation cannot train on one. `stream` keeps the draws
    apart from those of other parts of the data under one seed. `len` is the steps per epoch. Raises
    G604 where not even one batch is left.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, indices: Tensor, batch: int, seed: int,
        mean: Sequence[float], std: Sequence[float], augmentations: Sequence[Augmentation],
        device: torch.device, stream: str,
    ) -> None:
        assert batch > 0, "a batch holds at least one image"
        assert len(images) == len(labels), "one label per image"
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
        self._order: tuple[int, Tensor] | None = None
        whole, rest = divmod(len(indices), batch)
        self._steps = whole + (rest >= 2)
        if self._steps == 0:
            raise fail(
                "G604", f"the {stream} part of the data has {len(indices)} images, expected at "
                "least 2", help="use more images or another `split`",
            )

    def __len__(self) -> int:
        return self._steps

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), float32, normalised and augmented, and their labels, on the device.

        Depends on seed, stream, epoch and step alone; the steps of an epoch share no image.
        """
        assert 0 <= step < self._steps, f"step {step} of {self._steps}"
        if self._order is None or self._order[0] != epoch:
            draw = torch.randperm(
                len(self._indices), generator=generator_for(*self._key, "order", epoch)
            )
            self._order = epoch, self._indices[draw]
        chosen = self._order[1][step * self._batch : (step + 1) * self._batch]
        return self._take(chosen, generator_for(*self._key, "augment", epoch, step))

    def random_batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """A batch like `batch`'s, drawn afresh from all images at every step, none twice in it.

        Any step from 0 will do. It has the full batch size, or all images where there are fewer.
        Source: the architecture step of quark0/darts, which restarts its shuffled loader each time.
        """
        assert step >= 0, f"step {step}"
        generator = generator_for(*self._key, "random", epoch, step)
        draw = torch.randperm(len(self._indices), generator=generator)[: self._batch]
        return self._take(self._indices[draw], generator)

    def _take(self, chosen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        there = chosen.to(self._images.device)
        images = self._images[there].to(self._device)
        labels = self._labels[there].to(self._device)
        if labels.dim() > 1:
            same = torch.Generator()
            same.set_state(generator.get_state())
            labels = augment_labels(labels, self._augmentations, same)
        changed = augment(images, self._augmentations, self._mean, self._std, generator)
        return changed, labels


def evaluation_batches(
    images: Tensor, labels: Tensor, batch: int, mean: Sequence[float], std: Sequence[float],
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """All images (N, C, H, W) in order, normalised and otherwise unchanged, `batch` at a time."""
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        yield normalise(images[part].to(device), mean, std), labels[part].to(device)

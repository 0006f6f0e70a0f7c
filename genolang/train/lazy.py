"""Images that are read when a batch needs them, by threads that run ahead of the training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Generic, TypeVar

import torch
from torch import Tensor

from genolang.train.crops import centre_crop, random_crop

LOOK_AHEAD = 3
"""Batches that are read beyond the one in use."""


class LazyImages:
    """N images that are read anew whenever they are needed; indexed like a tensor, and then smaller.

    `read(i)` gives image i of the `source`, a tensor or marks of files, as (C, H, W), from any thread.
    Its size is that of `shape` (C, H, W); where images are `cut` to that (square) size it may be any.
    `indices` (N,) are those of the images in the source.
    """

    def __init__(
        self,
        read: Callable[[int], Tensor],
        indices: Tensor,
        shape: tuple[int, int, int],
        dtype: torch.dtype = torch.uint8,
        *,
        cut: bool,
        source: Tensor | Sequence[str],
    ) -> None:
        assert not cut or shape[1] == shape[2], "images are cut to squares"
        self._read, self.indices, self.cut = read, indices, cut
        self.source = source
        self.dtype = dtype
        self.shape = (len(indices), *shape)

    @classmethod
    def of(cls, images: Tensor, size: int) -> LazyImages:
        """Images (N, C, H, W) in memory, to be cut to `size`."""
        return cls(
            images.__getitem__,
            torch.arange(len(images)),
            (images.shape[1], size, size),
            images.dtype,
            cut=True,
            source=images,
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: Tensor | slice) -> LazyImages:
        return LazyImages(self._read, self.indices[part], self.shape[1:], self.dtype, cut=self.cut, source=self.source)

    def image(self, position: int, draws: Tensor | None = None) -> Tensor:
        """One image of the common shape: a random window by `draws` (10, 4), or without, the middle.

        Images that are not cut come as they are. Raises what reading raises.
        """
        image = self._read(int(self.indices[position]))
        if self.cut:
            size = self.shape[2]
            return centre_crop(image, size) if draws is None else random_crop(image, size, draws)
        return image


Key = TypeVar("Key")
Images = Tensor | LazyImages
Plan = tuple[LazyImages, Tensor | None]
"""The images of a batch and, for random windows, the draws (B, 10, 4)."""


class Ahead(Generic[Key]):
    """Batches of lazy images, which threads read before they are asked for.

    At most `LOOK_AHEAD + 1` batches are held, and as many images at their full size as there are
    threads. For a GPU they are put into memory that it can fetch from by itself.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pinned = device.type == "cuda"
        self._begun: dict[Key, tuple[Tensor, list[Future[None]]]] = {}

    def take(self, keys: Sequence[Key], plan: Callable[[Key], Plan]) -> Tensor:
        """Images (B, C, H, W) of the batch `keys[0]`, on the device; begins to read the others.

        Batches that were begun and are not among the keys are given up. Raises what reading raises,
        when the batch is taken.
        """
        for key in [key for key in self._begun if key not in keys]:
            _give_up(self._begun.pop(key)[1])
        for key in keys:
            if key not in self._begun:
                self._begun[key] = self._begin(*plan(key))
        pixels, parts = self._begun.pop(keys[0])
        try:
            for part in parts:
                part.result()
        except BaseException:
            for _, others in [(pixels, parts), *self._begun.values()]:
                _give_up(others)
            self._begun.clear()
            raise
        return pixels.to(self._device, non_blocking=self._pinned)

    def _begin(self, images: LazyImages, draws: Tensor | None) -> tuple[Tensor, list[Future[None]]]:
        pixels = torch.empty(images.shape, dtype=images.dtype, pin_memory=self._pinned)

        def read(position: int) -> None:
            pixels[position] = images.image(position, None if draws is None else draws[position])

        return pixels, [_threads().submit(read, position) for position in range(len(images))]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(32, os.cpu_count() or 1), "genolang-images")


def _give_up(parts: Sequence[Future[None]]) -> None:
    for part in parts:
        part.cancel()

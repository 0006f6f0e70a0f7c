"""The training images of a search, cut in two: one half trains weights, the other the choices."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.semantics.settings import SearchSettings, TrainSettings
from genolang.train.batches import Batches, evaluation_batches, generator_for
from genolang.train.datasets import Dataset


class Halves:
    """The images that train the weights, and those that train the choices and measure answers.

    They are drawn by `settings.seed` alone, so that all searches and scores of a run have the same
    halves. Raises G604 where a half has fewer than two images. Source: quark0/darts takes the first
    `split` of the training set instead, which on data sorted by class would part the classes.
    """

    def __init__(self, settings: SearchSettings, data: Dataset, device: torch.device) -> None:
        count = len(data.train_labels)
        order = torch.randperm(count, generator=generator_for(settings.seed, "halves"))
        cut = math.floor(count * settings.split)
        if cut < 2 or count - cut < 2:
            raise fail(
                "G604",
                f"the halves of the data have {cut} and {count - cut} images, expected at least 2 in each",
                help="use more images or another `split`",
            )
        self.weights, self.choices = order[:cut], order[cut:]
        self._settings, self._data, self._device = settings, data, device

    def batches(self, indices: Tensor, seed: int, stream: str, settings: TrainSettings | None = None) -> Batches:
        """Shuffled and augmented batches of one half; the streams of a seed are independent.

        Batch size and changes are the search's, or those of a training.
        """
        data, chosen = self._data, settings or self._settings
        return Batches(
            data.train_images,
            data.train_labels,
            indices,
            chosen.batch,
            seed,
            data.mean,
            data.std,
            chosen.augment,
            self._device,
            stream,
        )

    def measured(self) -> Iterable[tuple[Tensor, Tensor]]:
        """All images of the choices' half, without augmentation."""
        data = self._data
        return evaluation_batches(
            data.train_images[self.choices],
            data.train_labels[self.choices],
            self._settings.batch,
            data.mean,
            data.std,
            self._device,
        )

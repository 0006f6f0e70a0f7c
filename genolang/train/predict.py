"""What a trained network says of image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genolang.diagnostics import fail
from genolang.train.augment import normalise
from genolang.train.card import Card
from genolang.train.crops import centre_crop
from genolang.train.datasets._image_files import MAX_LAZY_SIDE, image_files, image_shape, read_image
from genolang.train.network import TrainableNetwork, logits_of

# Of red, green and blue in a grey: ITU-R BT.601, as image libraries have it.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer: `probabilities` (classes,) of an image, a `mask` (H, W) of classes, or a `count`."""

    image: Path
    probabilities: Tensor | None = None
    mask: Tensor | None = None
    count: float | None = None


def files_of(paths: Sequence[str]) -> list[Path]:
    """The image files of a command line, those of folders included. Error: G602 where there are none."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = image_files(path) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            what = "no image in it" if path.is_dir() else "nothing" if not path.exists() else "no plain file"
            raise fail("G602", f"{path}: expected an image or a folder of them, found {what}")
        found += inside
    return found


def image_for(card: Card, path: Path) -> Tensor:
    """The image as the network takes it: (1, C, H, W), normalised, of the card's colours.

    For classification it has the card's size: where the images of the training were cut it is cut alike, else
    resized as a whole if it is another. Elsewhere it keeps its own size. Errors: those of `read_image`.
    """
    channels, height, width = card.image
    found = image_shape(path, MAX_LAZY_SIDE)[0]
    image = read_image(path, max(channels, found))
    if found > channels:
        grey = (image.float() * image.new_tensor(_LUMA, dtype=torch.float32).view(3, 1, 1)).sum(0, keepdim=True)
        image = grey.round().to(torch.uint8)
    if card.cut:
        image = centre_crop(image, height)
    elif card.task == "classification" and image.shape[1:] != (height, width):
        image = interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]
    return normalise(image[None], card.mean, card.std)


def predict(module: TrainableNetwork, card: Card, files: Sequence[Path], device: torch.device) -> Iterator[Prediction]:
    """An answer for each file, one at a time, since they may be of any size."""
    module.to(device)
    module.eval()
    for path in files:
        with torch.no_grad():
            output = logits_of(module, image_for(card, path).to(device))[0].float().cpu()
        if card.task == "classification":
            yield Prediction(path, probabilities=output[0].softmax(0))
        elif card.task == "segmentation":
            yield Prediction(path, mask=output[0].argmax(0))
        else:
            yield Prediction(path, count=float(output.sum()))

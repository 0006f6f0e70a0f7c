"""What goes with weights wherever they go: the images that they take, what the answers mean, where both are from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from genolang.diagnostics import fail
from genolang.semantics.settings import TaskKind
from genolang.train.datasets import Dataset
from genolang.train.lazy import LazyImages
from genolang.version import __version__

Facts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Card:
    """What a trained network needs to be used.

    `image` is (C, H, W). An image on the scale 0 to 1 becomes `(image - mean) / std`, by channel, in the
    order of `colours`; uint8 images are divided by 255 before. Where they were `cut`, images of any size are
    resized and their middle is taken. `classes` are the names of the answers, in order. `set` are the
    network's parameters as `--set` takes them. The checksums are those of the training images and of the
    text of the spec.
    """

    network: str
    set: Mapping[str, str]
    task: TaskKind
    image: tuple[int, int, int]
    colours: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    cut: bool
    classes: tuple[str, ...]
    data: str
    data_sha256: str
    spec_sha256: str
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        """As plain data, whose numbers come back from JSON as they were."""
        return {**json.loads(json.dumps(asdict(self))), "range": [0, 1]}


def card_of(data: Dataset, facts: Facts) -> Card:
    """The card of a network that is trained on some data, in a run of these facts."""
    given = [(name.partition(" "), value) for name, value in facts.items()]
    return Card(
        facts.get("network", ""),
        {name: value for (kind, _, name), value in given if kind == "parameter"},
        data.task,
        data.image_shape,
        "grey" if data.image_shape[0] == 1 else "RGB",
        tuple(data.mean),
        tuple(data.std),
        isinstance(data.train_images, LazyImages) and data.train_images.cut,
        data.class_names,
        data.name,
        facts.get("training images", ""),
        facts.get("file spec.geno", ""),
    )


def read_card(place: str, found: Mapping[str, Any]) -> Card | None:
    """What a file says of itself; None for a network that was never trained. Error: G705 for what is no card."""
    if "mean" not in found:
        return None
    try:
        return _checked(found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise fail(
            "G705",
            f"the card in `{place}`, which says what images the network takes, cannot be read ({error})",
            help="restore the file from a copy, or train again",
        ) from None


_WORDS = ("network", "colours", "data", "data_sha256", "spec_sha256", "version")


def _checked(found: Mapping[str, Any]) -> Card:
    words = {
        name: _text(found[name]) for name in ("network", "colours", "data", "data_sha256", "spec_sha256", "version")
    }
    if found["task"] not in get_args(TaskKind):
        raise ValueError("its task is none")
    given = found["set"]
    if not isinstance(given, dict) or type(found["cut"]) is not bool:
        raise ValueError("a part is of another kind")
    image = tuple(found["image"])
    if len(image) != 3 or any(type(size) is not int or not 0 < size < 1 << 20 for size in image):
        raise ValueError("its image is none")
    mean, std = (tuple(map(_number, found[name])) for name in ("mean", "std"))
    if len(mean) != image[0] or len(std) != image[0] or min(std) <= 0:
        raise ValueError("its normalisation fits no image")
    return Card(
        **words,
        set={_text(name): _text(value) for name, value in given.items()},
        task=found["task"],
        image=image,
        mean=mean,
        std=std,
        cut=found["cut"],
        classes=tuple(map(_text, found["classes"])),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is something else")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("a number is something else")
    return float(value)

"""`folder:DIR`: image files, one folder per class, in DIR itself or in DIR/train and DIR/test.

PNG, JPEG, BMP, PPM/PGM and WebP, all of one size, all grey or all colour; needs Pillow.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import (
    MAX_BYTES,
    Dataset,
    DataSource,
    split_off_test,
    user_path,
    with_statistics,
)

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp")
# Only decoders of plain pixels: others of Pillow's may start outside programs.
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP")
MAX_SIDE = 4096
_GREY = ("1", "L", "LA")
_COLOUR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")

Files = list[tuple[Path, int]]


def load(argument: str, seed: int) -> Dataset:
    """Images uint8 (N, 1 or 3, H, W), classes in the alphabetical order of their folders.

    Without a `test` folder a stratified fifth becomes the test set.
    """
    root = user_path(argument)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise fail("G602", f"{root}: expected a folder with one folder per class, found {found}")
    train_root = root / "train" if _folders(root / "train") else root
    class_names = tuple(folder.name for folder in _folders(train_root))
    train = _files(train_root, class_names)
    tested = train_root is not root and bool(_folders(root / "test"))
    test = _files(root / "test", class_names) if tested else []
    images, labels = _read(root, train + test, len(class_names))
    if tested:
        cut = len(train)
        return with_statistics(
            root.name, (images[:cut], labels[:cut]), (images[cut:], labels[cut:]), class_names
        )
    return split_off_test(root.name, images, labels, class_names, seed)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _files(root: Path, class_names: tuple[str, ...]) -> Files:
    """Image files with their labels, in the order of the class folders; raises G604."""
    found: Files = []
    if len(class_names) < 2:
        raise fail("G604", f"{root}: expected a folder per class, at least two, found "
                   f"{len(class_names)}")
    for folder in _folders(root):
        if folder.name not in class_names:
            raise fail("G604", f"{folder}: expected the class folders of training, found another "
                       "class", help=f"the classes are {', '.join(class_names[:10])}")
        files = sorted(
            entry for entry in folder.iterdir()
            if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")
            and entry.is_file()
        )
        if not files:
            raise fail("G604", f"{folder}: expected images ({', '.join(SUFFIXES)}), found none")
        found += [(file, class_names.index(folder.name)) for file in files]
    return found


def _read(root: Path, files: Files, classes: int) -> tuple[Tensor, Tensor]:
    first = _decode(files[0][0])
    if len(files) * first.size > MAX_BYTES:
        raise fail("G605", f"{root}: expected at most {MAX_BYTES} bytes of pixels, found "
                   f"{len(files)} images of {first.size}")
    images = torch.empty((len(files), *first.shape), dtype=torch.uint8)
    for index, (path, _) in enumerate(files):
        pixels = first if index == 0 else _decode(path)
        if pixels.shape != first.shape:
            raise fail(
                "G605", f"{path}: expected {_shape(first)} as {files[0][0]}, "
                f"found {_shape(pixels)}",
                help="give all images one size and make them all grey or all colour",
            )
        images[index] = torch.from_numpy(pixels)
    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    assert int(labels.max()) < classes
    return images, labels


def _shape(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour'}"


def _decode(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One image as (C, H, W), uint8."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise fail("G607", "the data `folder` needs Pillow", help="pip install pillow") from error
    if path.stat().st_size == 0:
        raise fail("G603", f"{path}: expected an image, found an empty file")
    try:
        with warnings.catch_warnings():
            # What Pillow warns of (odd metadata, many pixels) is harmless or checked here.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                return _pixels(path, image)
    except PermissionError:
        raise
    except UnidentifiedImageError as error:
        raise fail("G606", f"{path}: expected an image ({', '.join(FORMATS)}), found another "
                   "format") from error
    except Image.DecompressionBombError as error:
        raise fail("G605", f"{path}: expected at most {MAX_SIDE} pixels a side, found "
                   "more") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise fail("G603", f"{path}: expected a whole image, found a cut-off or damaged one "
                   f"({error})") from error


def _pixels(path: Path, image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if max(image.size) > MAX_SIDE:
        raise fail("G605", f"{path}: expected at most {MAX_SIDE} pixels a side, found "
                   f"{image.size[0]}x{image.size[1]}")
    if image.mode not in _GREY + _COLOUR:
        raise fail("G606", f"{path}: expected 8-bit grey or colour, found the mode {image.mode}")
    if image.mode in _GREY:
        return np.array(image.convert("L"), dtype=np.uint8)[None]
    return np.array(image.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1).copy()


SOURCES = (DataSource("folder", "DIR", load),)

"""Image files as arrays, through Pillow: PNG, JPEG, BMP, PPM/PGM and WebP, 8 bits a channel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import MAX_BYTES

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp")
# Only decoders of plain pixels: others of Pillow's may start outside programs.
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "WEBP")
MAX_SIDE = 4096
_GREY = ("1", "L", "LA")
_COLOUR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")

Pixels = NDArray[np.uint8]


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder by name; hidden and other files are passed over."""
    return sorted(
        entry for entry in folder.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )


def read_images(root: Path, files: Sequence[Path]) -> Tensor:
    """Images of one size and kind, uint8 (N, 1 or 3, H, W). Errors: G603, G605, G606, G607."""
    return _read(root, files, _pixels)


def read_masks(root: Path, files: Sequence[Path]) -> Tensor:
    """The numbers in grey or palette images of one size, uint8 (N, H, W). Errors as above."""
    return _read(root, files, _numbers)[:, 0]


def _read(root: Path, files: Sequence[Path], pixels_of: Callable[[Path, Image], Pixels]) -> Tensor:
    first = _decode(files[0], pixels_of)
    if len(files) * first.size > MAX_BYTES:
        raise fail("G605", f"{root}: expected at most {MAX_BYTES} bytes of pixels, found "
                   f"{len(files)} images of {first.size}")
    images = torch.empty((len(files), *first.shape), dtype=torch.uint8)
    for index, path in enumerate(files):
        pixels = first if index == 0 else _decode(path, pixels_of)
        if pixels.shape != first.shape:
            raise fail(
                "G605", f"{path}: expected {_shape(first)} as {files[0]}, "
                f"found {_shape(pixels)}",
                help="give all images one size and make them all grey or all colour",
            )
        images[index] = torch.from_numpy(pixels)
    return images


def _shape(pixels: Pixels) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour'}"


def _decode(path: Path, pixels_of: Callable[[Path, Image], Pixels]) -> Pixels:
    """One image as (C, H, W), uint8."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise fail("G607", "data in image files needs Pillow", help="pip install pillow") from error
    if path.stat().st_size == 0:
        raise fail("G603", f"{path}: expected an image, found an empty file")
    try:
        with warnings.catch_warnings():
            # What Pillow warns of (odd metadata, many pixels) is harmless or checked here.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                if max(image.size) > MAX_SIDE:
                    raise fail("G605", f"{path}: expected at most {MAX_SIDE} pixels a side, found "
                               f"{image.size[0]}x{image.size[1]}")
                return pixels_of(path, image)
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


def _pixels(path: Path, image: Image) -> Pixels:
    if image.mode not in _GREY + _COLOUR:
        raise fail("G606", f"{path}: expected 8-bit grey or colour, found the mode {image.mode}")
    if image.mode in _GREY:
        return np.array(image.convert("L"), dtype=np.uint8)[None]
    return np.array(image.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1).copy()


def _numbers(path: Path, image: Image) -> Pixels:
    if image.mode not in ("1", "L", "P"):
        raise fail("G606", f"{path}: expected a mask of class numbers, grey or with a palette, "
                   f"found the mode {image.mode}")
    return np.array(image, dtype=np.uint8)[None]

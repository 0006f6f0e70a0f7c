"""Image files as arrays, through Pillow: PNG, JPEG, BMP, PPM/PGM and WebP, 8 bits a channel."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

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
# Of an image that is read alone, and will be cut: some of ImageNet's are that large.
MAX_LAZY_SIDE = 10_000
_GREY = ("1", "L", "LA")
_COLOUR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")

_ORIENTATION = 0x0112
# Of every orientation, whether rows and whether columns run backwards (once they have changed places).
_BACKWARDS = ((0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 1), (1, 1), (1, 0))

Pixels = NDArray[np.uint8]
T = TypeVar("T")


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder by name; hidden and other files are passed over."""
    return [folder / name for name in image_names(folder)]


def image_names(folder: Path) -> list[str]:
    """The names of the image files of a folder, sorted; a million of them in seconds."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
        )


def image_shape(path: Path, most: int) -> tuple[int, int, int]:
    """(1 or 3, H, W) by the head of a file, of `most` pixels a side. Errors: those of `read_image`."""

    def shape_of(_: Path, image: Image) -> tuple[int, int, int]:
        sides = (image.width, image.height) if _orientation(image) > 4 else (image.height, image.width)
        return (1 if image.mode in _GREY else 3), *sides

    return _decode(path, shape_of, most)


def read_image(path: Path, channels: int) -> Tensor:
    """One image, uint8 (C, H, W), with its channels last in memory; grey ones are made colour.

    From any thread. Errors: G603, G605 (also for colour where grey is needed), G606, G607.
    """

    def pixels_of(path: Path, image: Image) -> Pixels:
        return _pixels(path, image, channels)

    return torch.from_numpy(_decode(path, pixels_of, MAX_LAZY_SIDE))


def read_images(root: Path, files: Sequence[Path]) -> Tensor:
    """Images of one size and kind, uint8 (N, 1 or 3, H, W). Errors: G603, G605, G606, G607."""
    return _read(root, files, _pixels)


def read_masks(root: Path, files: Sequence[Path]) -> Tensor:
    """The numbers in grey or palette images of one size, uint8 (N, H, W). Errors as above."""
    return _read(root, files, _numbers)[:, 0]


def _read(root: Path, files: Sequence[Path], pixels_of: Callable[[Path, Image], Pixels]) -> Tensor:
    first = _decode(files[0], pixels_of)
    if len(files) * first.size > MAX_BYTES:
        raise fail(
            "G605", f"{root}: expected at most {MAX_BYTES} bytes of pixels, found {len(files)} images of {first.size}"
        )
    images = torch.empty((len(files), *first.shape), dtype=torch.uint8)
    for index, path in enumerate(files):
        pixels = first if index == 0 else _decode(path, pixels_of)
        if pixels.shape != first.shape:
            raise fail(
                "G605",
                f"{path}: expected {_shape(first)} as {files[0]}, found {_shape(pixels)}",
                help="give all images one size and make them all grey or all colour; those of a folder's"
                " classes can also be cut to one: `augment [resized_crop(224)]`",
            )
        images[index] = torch.from_numpy(pixels)
    return images


def _shape(pixels: Pixels) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour'}"


def _decode(path: Path, found_in: Callable[[Path, Image], T], most: int = MAX_SIDE) -> T:
    """What is found in an opened image of at most `most` pixels a side."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise fail("G607", "data in image files needs Pillow", help="pip install pillow") from error
    if path.stat().st_size == 0:
        raise fail("G603", f"{path}: expected an image, found an empty file")
    try:
        with _quiet(), Image.open(path, formats=FORMATS) as image:
            if max(image.size) > most:
                raise fail(
                    "G605", f"{path}: expected at most {most} pixels a side, found {image.size[0]}x{image.size[1]}"
                )
            return found_in(path, image)
    except PermissionError:
        raise
    except UnidentifiedImageError as error:
        raise fail("G606", f"{path}: expected an image ({', '.join(FORMATS)}), found another format") from error
    except Image.DecompressionBombError as error:
        raise fail("G605", f"{path}: expected at most {most} pixels a side, found more") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise fail("G603", f"{path}: expected a whole image, found a cut-off or damaged one ({error})") from error


_silence = threading.Lock()
_silent: list[warnings.catch_warnings[None]] = []
_readers = 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings: what it warns of (odd metadata, many pixels) is harmless or checked.

    Warnings have filters for the whole process: of all threads that are in here the first one puts
    up the filter, and the last one takes it down.
    """
    global _readers
    with _silence:
        if _readers == 0:
            _silent.append(warnings.catch_warnings())
            _silent[-1].__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
        _readers += 1
    try:
        yield
    finally:
        with _silence:
            _readers -= 1
            if _readers == 0:
                _silent.pop().__exit__(None, None, None)


def _pixels(path: Path, image: Image, channels: int | None = None) -> Pixels:
    """Pixels (C, H, W) of a number of channels, or of the image's own."""
    if image.mode not in _GREY + _COLOUR:
        raise fail("G606", f"{path}: expected 8-bit grey or colour, found the mode {image.mode}")
    if image.mode not in _GREY and channels == 1:
        raise fail(
            "G605",
            f"{path}: expected grey as the other images, found colour",
            help="make all images grey or all colour",
        )
    grey = channels == 1 or (channels is None and image.mode in _GREY)
    pixels = np.array(image.convert("L" if grey else "RGB"), dtype=np.uint8)
    return _upright(image, pixels[None] if grey else pixels.transpose(2, 0, 1))


def _numbers(path: Path, image: Image) -> Pixels:
    if image.mode not in ("1", "L", "P"):
        raise fail(
            "G606", f"{path}: expected a mask of class numbers, grey or with a palette, found the mode {image.mode}"
        )
    return _upright(image, np.array(image, dtype=np.uint8)[None])


def _orientation(image: Image) -> int:
    """How the camera was held, as EXIF counts it from 1; metadata that cannot be read say nothing."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # what damaged metadata raise depends on where they are damaged
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright(image: Image, pixels: Pixels) -> Pixels:
    """Pixels (C, H, W) as a viewer shows them: turned as the metadata say."""
    number = _orientation(image) - 1
    # From 5 on rows and columns change places; then either may run backwards.
    if number >= 4:
        pixels = pixels.transpose(0, 2, 1)
    rows, columns = _BACKWARDS[number]
    turned = pixels[:, :: -1 if rows else 1, :: -1 if columns else 1]
    return np.ascontiguousarray(turned) if number else pixels

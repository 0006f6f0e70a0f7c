"""Files from outside, whole and damaged by the thousand, and what reads them."""

from __future__ import annotations

import io
import json
import pickle
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from genolang.api import Spec
from genolang.diagnostics import GenoError, Source, render_all
from genolang.semantics.check import check_source
from genolang.train.datasets import load_data
from genolang.train.datasets._image_files import image_shape, read_image
from genolang.train.datasets._pickled_arrays import read_pickled_arrays
from genolang.train.datasets.counts import _points
from genolang.train.pouring import pour

SPEC = """\
geno 1
network n {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm -> relu
  head  global_avg_pool -> linear(3)
}
"""
DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (9, 6, 5)).astype(np.uint8)
LABELS = np.arange(9) % 3
PIECES = (
    b"",
    b"\0",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"True",
    b"-1",
    b"1e999",
    b"[[[[",
    b"{}",
    b"9" * 40,
    b"(((",
    b"nan",
)


def network() -> nn.Module:
    return Spec(check_source(Source("a.geno", SPEC))).network().module()


def _npz(compressed: bool) -> bytes:
    written = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(written, x=IMAGES, y=LABELS)
    return written.getvalue()


def _image(form: str) -> bytes:
    from PIL import Image

    written, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    more = {"exif": exif} if form in ("png", "jpeg", "webp") else {}
    Image.fromarray(DRAW.integers(0, 256, (6, 5, 3)).astype(np.uint8)).save(written, form, **more)
    return written.getvalue()


def _weights(**given: Any) -> bytes:
    written = io.BytesIO()
    torch.save(network().state_dict(), written, **given)
    return written.getvalue()


def _read_image(path: Path) -> None:
    image_shape(path, 4096)
    read_image(path, 3)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: one that is whole, and what reads it."""

    name: str
    whole: bytes
    read: Callable[[Path], Any]


def kinds() -> Iterator[Kind]:
    module = network()

    def poured(path: Path) -> None:
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        try:
            pour(module, path)
        except GenoError:
            assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items()), "poured by halves"
            raise
        assert all(bool(t.isfinite().all()) for t in module.state_dict().values()), "weights that are not finite"

    rows = {"data": IMAGES.reshape(9, -1), "labels": LABELS.tolist(), "batch_label": b"one"}
    yield Kind("a.npz", _npz(False), lambda path: load_data(f"npz:{path}"))
    yield Kind("b.npz", _npz(True), lambda path: load_data(f"npz:{path}"))
    yield Kind("batch2", pickle.dumps(rows, 2), read_pickled_arrays)
    yield Kind("batch3", pickle.dumps(rows, 3), read_pickled_arrays)
    yield Kind("points.json", json.dumps([[1, 2.5], [3, 4]]).encode(), _points)
    for form in ("png", "jpeg", "bmp", "ppm", "webp"):
        yield Kind(f"a.{form}", _image(form), _read_image)
    yield Kind("w.safetensors", safetensors.torch.save(module.state_dict()), poured)
    yield Kind("w.pt", _weights(), poured)
    yield Kind("old.pt", _weights(_use_new_zipfile_serialization=False), poured)


def damaged(random_: random.Random, whole: bytes) -> bytes:
    """The bytes with some changed, put in, left out, moved or cut off."""
    content = bytearray(whole)
    for _ in range(random_.randint(1, 5)):
        at = random_.randrange(len(content) + 1)
        match random_.randrange(7):
            case 0 if at < len(content):
                content[at] = random_.randrange(256)
            case 1 if at < len(content):
                content[at] ^= 1 << random_.randrange(8)
            case 2:
                content[at:at] = random_.choice(PIECES)
            case 3:
                piece = random_.choice(PIECES)
                content[at : at + len(piece)] = piece
            case 4:
                del content[at : at + random_.randint(1, 16)]
            case 5:
                to = random_.randrange(len(content) + 1)
                content[to:to] = content[at : at + random_.randint(1, 64)]
            case 6 if random_.random() < 0.3:
                del content[at:]
    return bytes(content)


def assert_read(kind: Kind, path: Path, content: bytes) -> bool:
    """Whether the file is read; a damaged one ends in a diagnostic that can be shown."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kind.read(path)
        except GenoError as error:
            assert render_all(error.diagnostics)
            assert "weights_only" not in str(error)
            return False
    return True

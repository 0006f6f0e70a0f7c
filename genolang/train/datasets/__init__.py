"""Data sets by name: a module here that declares SOURCES has some, under names of `semantics.datasets`."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import cache
from typing import get_args

from torch import Tensor

from genolang.diagnostics import fail
from genolang.semantics.datasets import DATA_SETS, data_name, data_usage
from genolang.semantics.settings import TaskKind
from genolang.train.datasets._base import Dataset, DataSource
from genolang.train.datasets._digest import digests
from genolang.train.lazy import LazyImages

__all__ = ["DataSource", "Dataset", "data_for", "digests", "known_data", "load_data"]


@cache
def _sources() -> dict[str, DataSource]:
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {source.name: source for module in modules for source in module.SOURCES}


def known_data() -> tuple[str, ...]:
    """The names that `load_data` takes, sorted, such as `digits` and `cifar10:DIR`."""
    return data_for(*get_args(TaskKind))


def data_for(*tasks: TaskKind) -> tuple[str, ...]:
    """The names of the data that are made for some tasks, sorted."""
    return tuple(sorted(data_usage(name) for name, source in _sources().items() if source.task in tasks))


def load_data(name: str, *, seed: int = 0, size: int | None = None) -> Dataset:
    """The data set of that name; the same name and seed give the same one.

    With a `size` (that of `resized_crop`) images of any size are cut to it when a batch needs them:
    random windows for training, the middle for evaluation. Images in files then stay there.
    `seed` chooses the test images where the data has no test set of its own (digits, folder, npz)
    and draws the generated images; leave it alone so that runs with different seeds of their own
    share one test set. Raises G503 for a size where pixels have labels, G601 for an unknown name,
    G602 for a wrong path, G603 for a cut-off file, G604 for labels, G605 for shapes, G606 for formats
    and G607 for a missing package.
    """
    kind, argument = data_name(name)
    source = _sources()[kind]
    if DATA_SETS[kind] is not None and not argument:
        raise fail("G602", f"`{name}` names no path, expected `{data_usage(kind)}`")
    if size is not None and source.task != "classification":
        raise fail(
            "G503",
            f"`resized_crop` is for classification, and `{name}` has labels for pixels",
            help="`crop`, `shift` and `flip` move labels with their images",
        )
    try:
        if size is not None and source.stream is not None:
            return source.stream(argument, seed, size)
        data = source.load(argument, seed)
        return data if size is None else _cut(data, size)
    except OSError as error:
        place = error.filename or argument
        raise fail("G602", f"{place}: cannot be read: {error.strerror or error}") from error


def _cut(data: Dataset, size: int) -> Dataset:
    train, test = data.train_images, data.test_images
    assert isinstance(train, Tensor) and isinstance(test, Tensor), "other images have a `stream`"
    return replace(data, train_images=LazyImages.of(train, size), test_images=LazyImages.of(test, size))

"""Data sets by name. One file each: a module here that declares SOURCES is a data set."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import get_args

from genolang.diagnostics import did_you_mean, fail
from genolang.semantics.settings import TaskKind
from genolang.train.datasets._base import Dataset, DataSource

__all__ = ["DataSource", "Dataset", "data_for", "known_data", "load_data"]


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
    return tuple(sorted(s.usage for s in _sources().values() if s.task in tasks))


def load_data(name: str, *, seed: int = 0) -> Dataset:
    """The data set of that name, wholly in memory; the same name and seed give the same one.

    `seed` chooses the test images where the data has no test set of its own (digits, folder, npz)
    and draws the generated images; leave it alone so that runs with different seeds of their own
    share one test set. Raises G601 for an unknown name, G602 for a wrong path, G603 for a cut-off
    file, G604 for labels, G605 for shapes, G606 for formats and G607 for a missing package.
    """
    kind, colon, argument = name.partition(":")
    source = _sources().get(kind)
    if source is None:
        raise fail(
            "G601", f"unknown data `{name}`, expected one of {', '.join(known_data())}",
            help=did_you_mean(kind, _sources()),
        )
    if source.argument is None and colon:
        raise fail("G601", f"unknown data `{name}`", help=f"`{kind}` takes no path: `{kind}`")
    if source.argument is not None and not argument:
        raise fail("G602", f"`{name}` names no path, expected `{source.usage}`")
    try:
        return source.load(argument, seed)
    except OSError as error:
        place = error.filename or argument
        raise fail("G602", f"{place}: cannot be read: {error.strerror or error}") from error

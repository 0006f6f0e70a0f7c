"""The names of data sets, known before any of them is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from genolang.diagnostics import Span, did_you_mean, fail

# What follows the name and a colon, None for data that come with genolang or are made.
DATA_SETS: Mapping[str, str | None] = {
    "cifar10": "DIR",
    "cifar100": "DIR",
    "cluttered_digits": None,
    "counts": "DIR",
    "digit_counts": None,
    "digit_segments": None,
    "digits": None,
    "folder": "DIR",
    "idx": "DIR",
    "npz": "FILE",
    "segments": "DIR",
}


def data_usage(name: str) -> str:
    """How a data set is written where it is loaded, such as `digits` and `cifar10:DIR`."""
    argument = DATA_SETS[name]
    return name if argument is None else f"{name}:{argument}"


def data_name(text: str, span: Span | None = None) -> tuple[str, str]:
    """A data set's name and its path, "" where none is given. Errors: G601."""
    kind, colon, path = text.partition(":")
    if kind not in DATA_SETS:
        known = ", ".join(sorted(map(data_usage, DATA_SETS)))
        raise fail("G601", f"unknown data `{text}`, expected one of {known}", span, help=did_you_mean(kind, DATA_SETS))
    if DATA_SETS[kind] is None and colon:
        raise fail("G601", f"unknown data `{text}`", span, help=f"`{kind}` takes no path: `{kind}`")
    return kind, path

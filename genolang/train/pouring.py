"""Weights that were published for other code, poured into a network by position."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from genolang.diagnostics import GenoError, fail
from genolang.train.weights import opened

Weights = Mapping[str, Tensor] | str | os.PathLike[str]
# A discrete cell of Att-DARTS's public code: all operations of the cell, then all attention modules.
ATT_DARTS_LISTS = ("_first_layers", "_second_layers")
# Tensors of these names never stand for one another, whatever their shapes.
_KINDS = frozenset(("weight", "bias", "running_mean", "running_var"))
_ADVICE = "are `channels`, `depth`, `classes` and `auxiliary` those that the weights belong to?"


def pour(
    module: nn.Module, weights: Weights, *, deal: Sequence[str] = ATT_DARTS_LISTS
) -> dict[str, Tensor]:
    """Copies published weights into a network's module by position; the tensors that it left out.

    `weights` is a state dict, or a torch file that holds one (alone or under `state_dict`), read with
    `weights_only=True`. Batch counters are dropped, and a `module.` before every name. A tensor without a
    layer, such as the logits of a search, is left out and given back. The lists named in `deal`, where one
    module has several of them, are taken in turn by index: operation 0, attention 0, operation 1 and so on.
    Weights that bear the module's own names go by name; of a `.safetensors` file only those can be used,
    since it keeps no order. Errors: G001 for a file that is not there, G705 for a run's weights that
    do not match their checksum, G714 for the first pair that does not
    fit; the module is then as it was.
    """
    entries = _read(Path(weights)) if isinstance(weights, str | os.PathLike) else dict(weights)
    _require_tensors(entries)
    targets = module.state_dict(keep_vars=True)
    left_out: dict[str, Tensor] = {}
    if entries.keys() == targets.keys():
        entries = {name: entries[name] for name in targets}
    else:
        if isinstance(weights, str | os.PathLike) and Path(weights).suffix == ".safetensors":
            raise _without_order(Path(weights))
        entries = _without_prefix(_without_counters(entries))
        left_out = {name: tensor for name, tensor in entries.items() if "." not in name}
        entries = {name: entries[name] for name in _dealt(entries, deal) if name not in left_out}
    _require_fit(targets, entries)
    with torch.no_grad():
        for target, source in zip(targets.values(), entries.values(), strict=True):
            target.copy_(source)
    return left_out


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return opened(path, path.read_bytes())
        found = torch.load(path, map_location="cpu", weights_only=True)
    except GenoError:
        raise
    except OSError as error:
        raise fail("G001", f"cannot read `{path}`: {error.strerror or error}") from error
    except SafetensorError as error:
        raise fail("G714", f"`{path}` is not a safetensors file: {error}") from error
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        reason = str(error).split("\n")[0]
        raise fail("G714", f"`{path}` is not a file of tensors that torch can read: {reason}") from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping):
        raise fail("G714", f"`{path}` holds no state dict but a value of type `{type(found).__name__}`")
    return dict(found)


def _require_tensors(entries: Mapping[str, Any]) -> None:
    for name, value in entries.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise fail("G714", f"{name!r} is not a tensor under a name, so this is no state dict")


def _without_order(path: Path) -> GenoError:
    return fail(
        "G714", f"the names in `{path}` are not the network's own, and a safetensors file has no order"
        " by which to pour", help="give the torch file that the weights were published as",
    )  # fmt: skip


def _without_counters(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: t for n, t in entries.items() if n.rpartition(".")[2] != "num_batches_tracked"}


def _without_prefix(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the `module.` that DataParallel puts before every name."""
    if all(name.startswith("module.") for name in entries):
        return {name.removeprefix("module."): tensor for name, tensor in entries.items()}
    return dict(entries)


def _dealt(names: Mapping[str, Tensor], lists: Sequence[str]) -> list[str]:
    """The names in order, lists of one parent taken in turn by index where the first of them stood."""
    first: dict[tuple[str, ...], int] = {}
    keys: dict[str, tuple[int, int, int]] = {}
    for position, name in enumerate(names):
        parts = tuple(name.split("."))
        keys[name] = (position, 0, 0)
        for at, (part, index) in enumerate(pairwise(parts)):
            if part in lists and index.isdecimal():
                keys[name] = (first.setdefault(parts[:at], position), int(index), lists.index(part))
                break
    return sorted(names, key=keys.__getitem__)


def _require_fit(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> None:
    counts = (
        [] if len(targets) == len(sources)
        else [f"{len(targets)} tensors are needed, and {len(sources)} are given"]
    )  # fmt: skip
    pairs = zip(targets.items(), sources.items(), strict=False)
    for number, ((here, target), (there, source)) in enumerate(pairs, start=1):
        kinds = {here.rpartition(".")[2], there.rpartition(".")[2]}
        if target.shape != source.shape or (len(kinds) == 2 and kinds <= _KINDS):
            raise fail(
                "G714", f"tensor {number} does not fit: `{here}` is {_shape(target)}, but `{there}`"
                f" is {_shape(source)}", notes=counts, help=_ADVICE,
            )  # fmt: skip
    if counts:
        longer, said = (
            (targets, "nothing is given for") if len(targets) > len(sources)
            else (sources, "the network has no place for")
        )  # fmt: skip
        name, tensor = list(longer.items())[min(len(targets), len(sources))]
        raise fail("G714", f"{said} `{name}` ({_shape(tensor)})", notes=counts, help=_ADVICE)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"

"""Weights that were published for other code, poured into a network by position."""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from genolang.diagnostics import GenoError, fail
from genolang.lang.reading import open_plain
from genolang.train.weights import opened

Weights = Mapping[str, Tensor] | str | os.PathLike[str]
# A discrete cell of Att-DARTS's public code: all operations of the cell, then all attention modules.
ATT_DARTS_LISTS = ("_first_layers", "_second_layers")
# Tensors of these names never stand for one another, whatever their shapes.
_KINDS = frozenset(("weight", "bias", "running_mean", "running_var"))
_ADVICE = "are `channels`, `depth`, `classes` and `auxiliary` those that the weights belong to?"


def pour(module: nn.Module, weights: Weights, *, deal: Sequence[str] = ATT_DARTS_LISTS) -> dict[str, Tensor]:
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
    # Everything that can fail comes before the first tensor that is written.
    pairs = zip(targets.values(), entries.items(), strict=True)
    ready = [(target, _converted(name, source, target)) for target, (name, source) in pairs]
    with torch.no_grad():
        for target, source in ready:
            target.copy_(source)
    return left_out


def _converted(name: str, source: Tensor, target: Tensor) -> Tensor:
    """A tensor as the network keeps it. Error: G714 for one that is none of plain, finite numbers."""
    floating = source.is_floating_point() or not target.is_floating_point()
    kinds = (
        (source.layout is not torch.strided, "sparse"),
        (source.is_quantized, "quantized"),
        (source.is_nested, "nested"),
        (source.is_meta and not target.is_meta, "without values"),
        (source.is_complex(), "complex"),
        (not floating, f"of {source.dtype}"),
    )
    for wrong, kind in kinds:
        if wrong:
            raise fail(
                "G714",
                f"`{name}` is {kind}, and a network takes plain tensors of numbers",
                help="save it dense and in floating point" if kind != "without values" else None,
            )
    found = source.detach().to(target.dtype)
    if found.is_floating_point() and not found.is_meta and not bool(torch.isfinite(found).all()):
        what = "NaN" if bool(torch.isnan(found).any()) else "infinity"
        raise fail(
            "G714",
            f"`{name}` holds {what}: no network computes anything with that",
            help="take the weights of an earlier epoch",
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    """What a file of weights holds under names; nothing in it is run."""
    try:
        with open_plain(path) as file:
            if path.suffix == ".safetensors":
                return opened(path, file.read())
            if _is_compressed(file):
                raise fail(
                    "G714",
                    f"`{path}` is compressed, and torch saves no tensors so",
                    help="unpack it, and give the file inside",
                )
            file.seek(0)
            # What torch warns of, such as old forms of storage, is no concern of who gives the file.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.load(file, map_location="cpu", weights_only=True)
    except GenoError:
        raise
    except OSError as error:
        raise fail("G001", f"cannot read `{path}`: {error.strerror or error}") from error
    except SafetensorError as error:
        raise fail("G714", f"`{path}` is not a safetensors file: {error}") from error
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise _unreadable(path, str(error)) from None
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping):
        raise fail("G714", f"`{path}` holds no state dict but a value of type `{type(found).__name__}`")
    return dict(found)


def _is_compressed(file: BinaryIO) -> bool:
    """Whether a little file may unpack to anything at all: torch's own archives are not compressed."""
    return zipfile.is_zipfile(file) and any(entry.compress_type for entry in zipfile.ZipFile(file).infolist())


def _unreadable(path: Path, said: str) -> GenoError:
    """G714, in our words where torch would advise to run what stands in the file."""
    if "weights_only" not in said and "Weights only" not in said:
        reason = said.split("\n")[0]
        return fail("G714", f"`{path}` is not a file of tensors that torch can read: {reason}")
    called = re.search(r"GLOBAL ([\w.]{1,80})", said)
    calls = f": it calls `{called[1]}`" if called else ""
    return fail(
        "G714",
        f"`{path}` holds more than tensors, and nothing else is read{calls}",
        notes=["nothing in it was run"],
        help="ask whoever made it for the state dict alone, best as `.safetensors`",
    )


def _require_tensors(entries: Mapping[str, Any]) -> None:
    for name, value in entries.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise fail("G714", f"{name!r} is not a tensor under a name, so this is no state dict")


def _without_order(path: Path) -> GenoError:
    return fail(
        "G714",
        f"the names in `{path}` are not the network's own, and a safetensors file has no order by which to pour",
        help="give the torch file that the weights were published as",
    )


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
        [] if len(targets) == len(sources) else [f"{len(targets)} tensors are needed, and {len(sources)} are given"]
    )
    pairs = zip(targets.items(), sources.items(), strict=False)
    for number, ((here, target), (there, source)) in enumerate(pairs, start=1):
        kinds = {here.rpartition(".")[2], there.rpartition(".")[2]}
        if target.shape != source.shape or (len(kinds) == 2 and kinds <= _KINDS):
            raise fail(
                "G714",
                f"tensor {number} does not fit: `{here}` is {_shape(target)}, but `{there}` is {_shape(source)}",
                notes=counts,
                help=_ADVICE,
            )
    if counts:
        longer, said = (
            (targets, "nothing is given for")
            if len(targets) > len(sources)
            else (sources, "the network has no place for")
        )
        name, tensor = list(longer.items())[min(len(targets), len(sources))]
        raise fail("G714", f"{said} `{name}` ({_shape(tensor)})", notes=counts, help=_ADVICE)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"

"""Checkpoints: tensors and facts as one unit that is either whole or not there.

A checkpoint is `NAME-000012.safetensors` and, written after it, `NAME-000012.json`, which holds the
facts, a checksum of itself and one of the tensors. No file is ever replaced, so a process may be
killed at any instant: without its JSON a checkpoint does not exist. The last two are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from genolang.diagnostics import fail
from genolang.files import json_digest, read_regular, remove, write_atomically

FORMAT = 1
KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint; `damaged` names newer ones that could not be used."""

    path: Path
    tensors: dict[str, torch.Tensor]
    meta: dict[str, Any]
    damaged: tuple[Path, ...] = ()


class _DamagedError(Exception):
    """Which file is damaged, and how."""


def save_checkpoint(folder: Path, name: str, tensors: Mapping[str, torch.Tensor], meta: Mapping[str, object]) -> Path:
    """Writes the next checkpoint and removes all but the last two; the path of its JSON.

    The tensors are contiguous and share no memory. Raises G709 where the folder cannot be written.
    """
    existing = _numbered(folder, name)
    path = folder / f"{name}-{(existing[0][0] + 1 if existing else 0):06d}.json"
    payload = save(dict(tensors))
    body = {"format": FORMAT, "tensors_sha256": hashlib.sha256(payload).hexdigest(), "meta": meta}
    write_atomically(_tensor_path(path), payload)
    write_atomically(path, json.dumps({**body, "sha256": json_digest(body)}, indent=1).encode())
    _remove_stale(folder, name, keep=[path, *(old for _, old in existing[: KEPT - 1])])
    return path


def latest_checkpoint(folder: Path, name: str) -> Path | None:
    """The JSON of the newest checkpoint of this name, not looked into; None where there is none."""
    existing = _numbered(folder, name)
    return existing[0][1] if existing else None


def load_checkpoint(folder: Path, name: str) -> Checkpoint:
    """The newest checkpoint that is whole, its tensors on the CPU.

    Damaged newer ones are removed once an older one has proved good, so that the next save keeps
    the good one. Raises G705 where there is none, G709 where they cannot be removed.
    """
    existing = _numbered(folder, name)
    reasons: list[str] = []
    damaged: list[Path] = []
    for _, path in existing:
        try:
            tensors, meta = _read(path)
        except _DamagedError as reason:
            damaged.append(path)
            reasons.append(str(reason))
            continue
        for bad in damaged:
            remove(bad)
            remove(_tensor_path(bad))
        return Checkpoint(path, tensors, meta, tuple(damaged))
    if not existing:
        raise fail("G705", f"there is no checkpoint `{name}` in `{folder}`")
    raise fail(
        "G705",
        reasons[0],
        notes=reasons[1:],
        help="no earlier checkpoint is whole: start a new run, or restore the file from a copy",
    )


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        body = json.loads(read_regular(path))
        stated = body.pop("sha256")
        whole = body["format"] == FORMAT and stated == json_digest(body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _DamagedError(f"the checkpoint `{path}` cannot be read: {error}") from error
    if not whole:
        raise _DamagedError(f"the checkpoint `{path}` does not match its checksum")
    beside = _tensor_path(path)
    try:
        payload = read_regular(beside)
        if hashlib.sha256(payload).hexdigest() != body["tensors_sha256"]:
            raise _DamagedError(f"the checkpoint's tensors `{beside}` do not match their checksum")
        return load(payload), body["meta"]
    except (OSError, SafetensorError) as error:
        raise _DamagedError(f"the tensors `{beside}` cannot be read: {error}") from error


def _tensor_path(path: Path) -> Path:
    return path.with_suffix(".safetensors")


def _numbered(folder: Path, name: str) -> list[tuple[int, Path]]:
    """The checkpoints of a name that have their JSON, newest first."""
    pattern = re.compile(re.escape(name) + r"-(\d{6,})\.json")
    found = [(pattern.fullmatch(path.name), path) for path in folder.glob("*.json")]
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def _remove_stale(folder: Path, name: str, keep: list[Path]) -> None:
    """Removes older checkpoints, JSON first, and tensors whose JSON was never written."""
    kept = {file for path in keep for file in (path, _tensor_path(path))}
    pattern = re.compile(re.escape(name) + r"-\d{6,}\.(json|safetensors)")
    stale = [p for p in folder.iterdir() if pattern.fullmatch(p.name) and p not in kept]
    for path in sorted(stale, key=lambda path: path.suffix):
        remove(path)

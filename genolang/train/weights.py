"""Files of a run's weights: safetensors, whose metadata hold a card and a checksum of all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from genolang.diagnostics import fail
from genolang.files import json_digest

KEY = "genolang"
_LENGTH = 8


def sealed(tensors: Mapping[str, Tensor], card: Mapping[str, Any] | None = None) -> bytes:
    """A file of contiguous tensors that share no memory, with its checksum, and what else it says of itself."""
    content = dict(tensors)
    told = {**(card or {}), "sha256": _checksum(save(content), card or {})}
    # One entry: the order of several is not the same in every run.
    return save(content, {KEY: json.dumps(told, sort_keys=True)})


def opened(path: Path, content: bytes) -> dict[str, Tensor]:
    """The tensors of a file. Raises SafetensorError, and G705 where they do not match their checksum.

    A file without a checksum, which another program wrote, is taken as it is.
    """
    return opened_with_card(path, content)[0]


def opened_with_card(path: Path, content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """As `opened`, and what the file says of itself."""
    tensors = load(content)
    card = _told(content)
    stated = card.pop("sha256", None)
    if stated is not None and stated != _checksum(content, card):
        raise fail(
            "G705",
            f"the weights `{path}` do not match their checksum",
            help="restore the file from a copy, or train again",
        )
    return tensors, card


def _head(content: bytes) -> tuple[dict[str, Any], int]:
    """What a file says of its tensors, and where they begin."""
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    return dict(json.loads(content[_LENGTH:end])), end


def _told(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(_head(content)[0].get("__metadata__", {}).get(KEY, "{}"))
    except (ValueError, RecursionError):
        return {"sha256": ""}
    return found if isinstance(found, dict) else {"sha256": ""}


def _checksum(content: bytes, card: Mapping[str, Any]) -> str:
    """That of names, shapes, numbers and the card."""
    head, end = _head(content)
    head.pop("__metadata__", None)
    digest = hashlib.sha256(json_digest(head).encode())
    digest.update(json_digest(dict(card)).encode())
    digest.update(memoryview(content)[end:])
    return digest.hexdigest()

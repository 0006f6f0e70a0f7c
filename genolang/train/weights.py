"""Files of a run's weights: safetensors, with a checksum of the tensors among their metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from genolang.diagnostics import fail
from genolang.files import json_digest

KEY = "genolang_sha256"
_LENGTH = 8


def sealed(tensors: Mapping[str, Tensor]) -> bytes:
    """A file of contiguous tensors that share no memory, with its checksum."""
    content = dict(tensors)
    return save(content, {KEY: _checksum(save(content))[0]})


def opened(path: Path, content: bytes) -> dict[str, Tensor]:
    """The tensors of a file. Raises SafetensorError, and G705 where they do not match their checksum.

    A file without a checksum, which another program wrote, is taken as it is.
    """
    tensors = load(content)
    found, stated = _checksum(content)
    if stated is not None and stated != found:
        raise fail(
            "G705",
            f"the weights `{path}` do not match their checksum",
            help="restore the file from a copy, or train again",
        )
    return tensors


def _checksum(content: bytes) -> tuple[str, str | None]:
    """The checksum of names, shapes and numbers, and the one that is stated."""
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    head = json.loads(content[_LENGTH:end])
    stated = head.pop("__metadata__", {}).get(KEY)
    digest = hashlib.sha256(json_digest(head).encode())
    digest.update(memoryview(content)[end:])
    return digest.hexdigest(), stated

"""Files that are either wholly written or not there: every write of a run goes through here."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from genolang.diagnostics import GenoError, fail


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file in one step that also survives a loss of power; G709 where it cannot."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Replaces a JSON file atomically."""
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, where the system can open folders at all."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporary_files(folder: Path, process: int | None = None) -> None:
    """Removes what killed writers, or one of them, left behind; only who holds the folder may call it."""
    for path in folder.glob(".*.tmp" if process is None else f".*.{process}.tmp"):
        path.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> GenoError:
    """G709, with the system's reason."""
    return fail(
        "G709",
        f"cannot write `{path}`: {error.strerror or error}",
        help="check the permissions and the free space there, or choose another folder",
    )

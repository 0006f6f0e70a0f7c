"""Files that are either wholly written or not there: everything that the package writes goes through here.

But for a journal, to which lines are added.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from genolang.diagnostics import GenoError, fail


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file, which keeps its permissions, in one step that also survives a loss of power.

    Error: G709 where it cannot be done.
    """
    # Shorter than the name that is asked for, which may be as long as names can be.
    temporary = path.parent / f".{path.name[:100]}.{os.getpid()}.tmp"
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError(errno.EINVAL, "it is a folder" if os.path.isdir(path) else "it is no plain file")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            os.chmod(temporary, os.stat(path).st_mode & 0o777)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except (OSError, ValueError) as error:
        # On a disk that has become read-only even a file that is not there cannot be removed.
        with suppress(OSError, ValueError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def make_folder(path: Path) -> None:
    """Makes a folder with those around it, where it is not there yet. Error: G709."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Replaces a text file atomically."""
    write_atomically(path, text.encode("utf-8"))


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
    """Removes what killed writers, or one of them, left behind; only who holds the folder may call it.

    Error: G709.
    """
    for path in folder.glob(".*.tmp" if process is None else f".*.{process}.tmp"):
        remove(path)


def remove(path: Path) -> None:
    """Removes a file, if it is there; G709 where it cannot."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error, "remove") from error


def read_regular(path: Path) -> bytes:
    """The bytes of a file; OSError for what is none, such as a pipe that nobody writes to."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "it is no plain file", str(path))
    return path.read_bytes()


def json_digest(value: Mapping[str, object]) -> str:
    """A checksum of what a JSON file says, however it is laid out."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def cannot_write(path: Path, error: OSError | ValueError, what: str = "write") -> GenoError:
    """G709, with the system's reason."""
    return fail(
        "G709",
        f"cannot {what} `{path}`: {getattr(error, 'strerror', None) or error}",
        help="check the permissions and the free space there, or choose another folder",
    )

"""Files from outside: no pipe that waits, no device without an end, and no more bytes than a limit."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO


def open_plain(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file for reading. OSError for anything else, without waiting; ValueError for no path."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no plain file", os.fspath(path))
        return os.fdopen(handle, "rb")
    except OSError:
        os.close(handle)
        raise


def read_plain(path: str | os.PathLike[str], most: int) -> bytes:
    """The bytes of a regular file, or the first `most` + 1 of a longer one. Errors: as of `open_plain`."""
    with open_plain(path) as file:
        # What is asked for is set aside at once, so no more than there is.
        size = min(os.fstat(file.fileno()).st_size, most)
        content = file.read(size + 1)
        # Longer than it says: it has just grown, or is of a kind that has no size.
        return content + file.read(most + 1 - len(content)) if len(content) > size else content

"""The journal of a run: `journal/PHASE.jsonl`, a file for each phase, one JSON object per line.

A phase's lines are written by the process that trains it. Every line ends in a checksum (`check`) of itself
and of the line before it, so a line that was changed, moved, left out or put in is seen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genolang.diagnostics import GenoError, fail
from genolang.files import cannot_write, read_regular, sync_folder, write_atomically

NAME = "journal"
_CHECK = ', "check": "{}"}}'
_DIGITS = 16
_BEFORE_ALL = "0" * _DIGITS


class Journal:
    """The lines of one phase; a last one that a killed writer left unfinished is removed.

    Errors: G705 for damage, G709 where nothing can be written.
    """

    def __init__(self, folder: Path, phase: str) -> None:
        self._phase, self._path = phase, _path(folder, phase)
        self.count, self._check = 0, _BEFORE_ALL
        self.cut()

    def append(self, entry: Mapping[str, object]) -> None:
        """Adds a line and waits until it is on the disk."""
        body = json.dumps({"phase": self._phase, **entry}, allow_nan=False)
        check = _checksum(body, self._check)
        try:
            with self._path.open("ab") as journal:
                journal.write((body[:-1] + _CHECK.format(check) + "\n").encode())
                journal.flush()
                os.fsync(journal.fileno())
            if not self.count:
                sync_folder(self._path.parent)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self.count, self._check = self.count + 1, check

    def cut(self, kept: int | None = None) -> None:
        """Removes what stands after the first `kept` lines, or after the last whole one."""
        content = _content(self._path)
        lines = _lines(self._path, content)
        self.count = len(lines) if kept is None else kept
        if len(lines) < self.count:
            raise fail(
                "G705",
                f"`{self._path}` has {len(lines)} of the {kept} lines that were written to it",
                help="restore the file from a copy",
            )
        last = lines[self.count - 1] if self.count else _Line({}, _BEFORE_ALL, 0)
        self._check = last.check
        if last.end < len(content):
            write_atomically(self._path, content[: last.end])


def read_journal(folder: Path, phase: str | None = None) -> list[dict[str, Any]]:
    """The entries of a phase, or of all by their names, without lines that are still being written.

    Error: G705 for damage.
    """
    paths = sorted((folder / NAME).glob("*.jsonl")) if phase is None else [_path(folder, phase)]
    return [line.entry for path in paths for line in _lines(path, _content(path))]


class _Line(NamedTuple):
    entry: dict[str, Any]
    check: str
    end: int
    """Where the next one begins."""


def _lines(path: Path, content: bytes) -> list[_Line]:
    """All whole lines. Error: G705."""
    lines: list[_Line] = []
    check, start, length = _BEFORE_ALL, 0, len(_CHECK.format(_BEFORE_ALL))
    while (end := content.find(b"\n", start) + 1) > 0:
        try:
            text = content[start : end - 1].decode()
            body = text[:-length] + "}"
            check = _checksum(body, check)
            entry = json.loads(body) if text[-length:] == _CHECK.format(check) else None
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or entry.get("phase") != path.stem:
            raise _damaged(path, len(lines) + 1)
        lines.append(_Line(entry, check, end))
        start = end
    return lines


def _path(folder: Path, phase: str) -> Path:
    return folder / NAME / f"{phase}.jsonl"


def _checksum(body: str, before: str) -> str:
    return hashlib.sha256((before + body).encode()).hexdigest()[:_DIGITS]


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise fail("G705", f"`{path}` cannot be read: {error.strerror}") from error


def _damaged(path: Path, number: int) -> GenoError:
    return fail(
        "G705",
        f"line {number} of `{path}` does not match its checksum",
        help="restore the file from a copy, or start a new run",
    )

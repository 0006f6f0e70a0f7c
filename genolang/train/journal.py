"""The journal of a run: `journal.jsonl`, one JSON object per line, each with its `phase`.

Every line ends in a checksum (`check`) of itself and of the line before it, so a line that was changed,
moved, left out or put in is seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from genolang.diagnostics import GenoError, fail
from genolang.files import cannot_write, read_regular, write_atomically

NAME = "journal.jsonl"
_CHECK = ', "check": "{}"}}'
_DIGITS = 16
_BEFORE_ALL = "0" * _DIGITS


class Journal(Protocol):
    """Where the phases of a run write their lines."""

    def append(self, phase: str, entry: Mapping[str, object]) -> None:
        """Adds a line and waits until it is on the disk."""
        ...

    def count(self, phase: str) -> int:
        """How many lines the phase has written."""
        ...

    def cut(self, phase: str, kept: int) -> None:
        """Removes the phase's lines after the first `kept`. Error: G705 where there are fewer."""
        ...


class JournalFile:
    """The journal in a run's folder; several threads of the one process that writes it may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        entries, self._check = _read(folder)
        self._lines = Counter(entry["phase"] for entry in entries)
        self._lock = threading.Lock()

    def append(self, phase: str, entry: Mapping[str, object]) -> None:
        path = self._folder / NAME
        with self._lock:
            line, check = _sealed({"phase": phase, **entry}, self._check)
            try:
                with path.open("ab") as journal:
                    journal.write(line.encode())
                    journal.flush()
                    os.fsync(journal.fileno())
            except OSError as error:
                raise cannot_write(path, error) from error
            self._check = check
            self._lines[phase] += 1

    def count(self, phase: str) -> int:
        return self._lines[phase]

    def cut(self, phase: str, kept: int) -> None:
        with self._lock:
            self._cut(phase, kept)

    def _cut(self, phase: str, kept: int) -> None:
        path = self._folder / NAME
        if self._lines[phase] < kept:
            raise fail(
                "G705", f"`{path}` has {self._lines[phase]} of the {kept} lines that phase `{phase}` "
                "had written", help="restore the file from a copy",
            )
        if self._lines[phase] == kept:
            return
        seen, entries = 0, []
        for entry in _read(self._folder)[0]:
            seen += entry["phase"] == phase
            if entry["phase"] != phase or seen <= kept:
                entries.append(entry)
        self._check = write_journal(self._folder, entries)
        self._lines[phase] = kept


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The journal's entries, without a last line that is still being written; G705 for damage."""
    return _read(folder)[0]


def drop_torn_line(folder: Path) -> None:
    """Removes a last line that a killed writer left unfinished."""
    path = folder / NAME
    content = _content(path)
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomically(path, whole)


def _sealed(entry: Mapping[str, object], before: str) -> tuple[str, str]:
    """An entry's line, and its checksum, given that of the line before."""
    body = json.dumps(entry, allow_nan=False)
    check = _checksum(body, before)
    return body[:-1] + _CHECK.format(check) + "\n", check


def _checksum(body: str, before: str) -> str:
    return hashlib.sha256((before + body).encode()).hexdigest()[:_DIGITS]


def write_journal(folder: Path, entries: Iterable[Mapping[str, object]]) -> str:
    """Replaces the journal by one of these entries; the checksum of its last line."""
    lines, check = [], _BEFORE_ALL
    for entry in entries:
        line, check = _sealed(entry, check)
        lines.append(line)
    write_atomically(folder / NAME, "".join(lines).encode())
    return check


def _read(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The entries of all whole lines, and the checksum of the last one. Error: G705."""
    path = folder / NAME
    entries, check = [], _BEFORE_ALL
    end = len(_CHECK.format(_BEFORE_ALL))
    for number, line in enumerate(_content(path).split(b"\n")[:-1], start=1):
        try:
            text = line.decode()
            body = text[:-end] + "}"
            check = _checksum(body, check)
            if text[-end:] != _CHECK.format(check):
                raise _damaged(path, number)
            entry = json.loads(body)
            whole = isinstance(entry, dict) and isinstance(entry.get("phase"), str)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            raise _damaged(path, number)
        entries.append(entry)
    return entries, check


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise fail("G705", f"`{path}` cannot be read: {error.strerror}") from error


def _damaged(path: Path, number: int) -> GenoError:
    return fail(
        "G705", f"line {number} of `{path}` does not match its checksum",
        help="restore the file from a copy, or start a new run",
    )

"""The journal of a run: `journal.jsonl`, one JSON object per line, each with its `phase`."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from genolang.diagnostics import fail
from genolang.train.files import cannot_write, write_atomically

NAME = "journal.jsonl"


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
        self._lines = Counter(str(entry["phase"]) for entry in read_journal(folder))
        self._lock = threading.Lock()

    def append(self, phase: str, entry: Mapping[str, object]) -> None:
        line = json.dumps({"phase": phase, **entry}, allow_nan=False) + "\n"
        path = self._folder / NAME
        with self._lock:
            try:
                with path.open("ab") as journal:
                    journal.write(line.encode())
                    journal.flush()
                    os.fsync(journal.fileno())
            except OSError as error:
                raise cannot_write(path, error) from error
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
        seen, lines = 0, []
        for entry in read_journal(self._folder):
            seen += entry["phase"] == phase
            if entry["phase"] != phase or seen <= kept:
                lines.append(json.dumps(entry) + "\n")
        write_atomically(path, "".join(lines).encode())
        self._lines[phase] = kept


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The journal's entries, without a last line that is still being written; G705 for damage."""
    path = folder / NAME
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        entries = [json.loads(line) for line in lines]
        whole = all(isinstance(entry, dict) and "phase" in entry for entry in entries)
    except ValueError:
        whole = False
    if not whole:
        raise fail(
            "G705", f"`{path}` has a line that is not an entry of a journal",
            help="restore the file from a copy, or start a new run",
        )
    return entries


def drop_torn_line(folder: Path) -> None:
    """Removes a last line that a killed writer left unfinished."""
    path = folder / NAME
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            write_atomically(path, whole)

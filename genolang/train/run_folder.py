"""A run's folder: its spec, journal, metrics and checkpoints, written by one process at a time.

    run.json            what makes the folder a run: its format and the command that started it
    spec.geno           a copy of the program
    journal.jsonl       see `genolang.train.journal`
    metrics.json        the result
    checkpoints/        see `genolang.train.checkpoint`
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Self

import safetensors.torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from genolang.train.files import (
    cannot_write,
    remove_temporary_files,
    write_atomically,
    write_json,
)
from genolang.train.journal import Journal, JournalFile, drop_torn_line, read_journal

__all__ = ["RunFolder", "read_journal"]

FORMAT = 1
LOCK = ".lock"

PATIENCE_S = 2.0
"""How long a run waits for the folder: processes that worked for a killed one hold it for a moment."""


class RunFolder:
    """An open, locked run folder; made by `create` or `resume`, closed by `close` or `with`."""

    def __init__(
        self, path: Path, lock: BufferedWriter | None, command: Sequence[str], journal: Journal
    ) -> None:
        self.path = path
        self.command = tuple(command)
        self._lock = lock
        self._journal = journal

    @classmethod
    def create(cls, path: Path, spec: str, command: Sequence[str]) -> Self:
        """A new run of the program `spec`; `command` is what the user typed, without `--resume`.

        Raises G703 for a folder that holds anything, G709 where it cannot be written, G712 in use.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        _require_empty(path)
        with ExitStack() as undo:
            lock = undo.enter_context(_lock(path))
            # Another process may have been faster. Before the lock nothing is left in the folder.
            _require_empty(path)
            _make_places(path)
            write_atomically(path / "spec.geno", spec.encode())
            # Last, because it makes the folder a run.
            write_json(path / "run.json", {"format": FORMAT, "command": list(command)})
            run = cls(path, lock, command, JournalFile(path))
            undo.pop_all()
        return run

    @classmethod
    def resume(cls, path: Path) -> Self:
        """An existing run; raises G704 for anything else, G712 while another process has it."""
        try:
            about = json.loads((path / "run.json").read_bytes())
            command = [str(word) for word in about["command"]]
            known = about["format"] == FORMAT and (path / "spec.geno").is_file()
        except (OSError, ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise fail(
                "G704", f"`{path}` is not a run folder",
                help="name the folder given by `--out` when the run was started",
            )
        with ExitStack() as undo:
            lock = undo.enter_context(_lock(path, PATIENCE_S))
            for folder in (path, path / "checkpoints"):
                remove_temporary_files(folder)
            drop_torn_line(path)
            run = cls(path, lock, command, JournalFile(path))
            undo.pop_all()
        return run

    @classmethod
    def lent(cls, path: Path, command: Sequence[str], journal: Journal) -> Self:
        """The run of another process, which holds its lock and writes its journal.

        Phases that this process was given may be saved and restored.
        """
        return cls(path, None, command, journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets others write to the folder."""
        if self._lock is not None:
            self._lock.close()

    @property
    def journal(self) -> Journal:
        """Where other processes' lines may be written for them."""
        return self._journal

    @property
    def handles(self) -> tuple[int, ...]:
        """What a process that works for this one holds open, so that the folder is locked until it ends."""
        return () if self._lock is None or sys.platform == "win32" else (self._lock.fileno(),)

    @property
    def resume_command(self) -> str:
        """The command that goes on with this run, ready for a shell."""
        return shlex.join([*self.command, "--resume", str(self.path)])

    def read_spec(self) -> str:
        """The program as it was when the run was started."""
        return (self.path / "spec.geno").read_bytes().decode()

    def append(self, phase: str, entry: Mapping[str, object]) -> None:
        """Adds a line to the journal and waits until it is on the disk."""
        self._journal.append(phase, entry)

    def save(
        self, phase: str, tensors: Mapping[str, Tensor], meta: Mapping[str, object]
    ) -> Path:
        """Writes the phase's next checkpoint, which also knows how long its journal is by now."""
        return save_checkpoint(
            self.path / "checkpoints", phase, tensors,
            {**meta, "journal_lines": self._journal.count(phase)},
        )

    def restore(self, phase: str) -> Checkpoint | None:
        """The phase's newest whole checkpoint; None where the phase has not reached its first.

        Lines that the phase added to the journal after it are removed: they will be written again.
        Raises G705 for damage.
        """
        folder = self.path / "checkpoints"
        checkpoint = None
        if latest_checkpoint(folder, phase) is not None:
            checkpoint = load_checkpoint(folder, phase)
        self._journal.cut(phase, 0 if checkpoint is None else checkpoint.meta["journal_lines"])
        return checkpoint

    def last_checkpoint(self, phase: str) -> Path | None:
        """The file of the phase's newest checkpoint."""
        return latest_checkpoint(self.path / "checkpoints", phase)

    def write_metrics(self, metrics: Mapping[str, object]) -> None:
        """Replaces `metrics.json`."""
        write_json(self.path / "metrics.json", metrics)

    def write_tensors(self, file_name: str, tensors: Mapping[str, Tensor]) -> None:
        """Replaces a file of contiguous tensors that share no memory (`weights.safetensors`)."""
        write_atomically(self.path / file_name, safetensors.torch.save(dict(tensors)))


def _require_empty(path: Path) -> None:
    try:
        held = sorted(entry.name for entry in path.iterdir() if entry.name != LOCK)
    except OSError as error:
        raise cannot_write(path, error) from error
    if held:
        again = "; to go on with the run in it, give `--resume` instead of `--out`"
        raise fail(
            "G703", f"the run folder `{path}` is not empty: it holds `{held[0]}`",
            help=f"choose a new folder{again if (path / 'run.json').exists() else ''}",
        )


def _make_places(path: Path) -> None:
    try:
        (path / "checkpoints").mkdir()
        (path / "journal.jsonl").touch()
    except OSError as error:
        raise cannot_write(path, error) from error


def _lock(folder: Path, patience_s: float = 0.0) -> BufferedWriter:
    """Holds the folder until the file is closed or the process ends, however it ends."""
    try:
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise cannot_write(folder / LOCK, error) from error
    # Elsewhere there is no lock that the system lets go of when a process is killed.
    if sys.platform != "win32":
        import fcntl

        given_up = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= given_up:
                    file.close()
                    raise fail(
                        "G712", f"another process is writing to the run folder `{folder}`",
                        help="wait for it to end, or give another folder",
                    ) from error
                time.sleep(0.02)
    return file

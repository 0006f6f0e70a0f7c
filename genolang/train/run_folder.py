"""A run's folder: its spec, journal, metrics and checkpoints, written by one process at a time.

run.json            what makes the folder a run, see `genolang.train.about`; written first
spec.geno           a copy of the program; beside it, under their own names, the files it imports
journal/            see `genolang.train.journal`
metrics.json        the result
weights.safetensors see `genolang.train.weights`
checkpoints/        see `genolang.train.checkpoint`
"""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from io import BufferedWriter
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from torch import Tensor

from genolang.diagnostics import fail
from genolang.files import cannot_write, read_regular, remove_temporary_files, write_atomically, write_json, write_text
from genolang.train import about
from genolang.train.about import About, Facts
from genolang.train.checkpoint import Checkpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from genolang.train.interrupt import interrupted
from genolang.train.journal import NAME as JOURNAL
from genolang.train.journal import Journal, read_journal
from genolang.train.weights import sealed

__all__ = ["RunFolder", "read_journal"]

LOCK = ".lock"
SPEC = "spec.geno"
# Names that a copied import must leave to the run.
OWN = frozenset((SPEC, "found.geno"))
# What a process that was killed before there was a run can have left.
_UNBEGUN = re.compile(r"\.lock|\.run\.json\.\d+\.tmp")

_NONE: Mapping[str, str] = MappingProxyType({})

PATIENCE_S = 2.0
"""How long a run waits for the folder: processes that worked for a killed one hold it for a moment."""


class RunFolder:
    """An open, locked run folder; made by `create` or `resume`, closed by `close` or `with`."""

    def __init__(
        self, path: Path, lock: BufferedWriter | None, command: Sequence[str], card: Mapping[str, Any] | None = None
    ) -> None:
        self.path = path
        self.card = card
        self.command = tuple(command)
        self.told: list[str] = []
        self._lock = lock
        self._journals: dict[str, Journal] = {}

    @classmethod
    def create(
        cls,
        path: Path,
        spec: str,
        command: Sequence[str],
        *,
        facts: Facts = _NONE,
        imports: Mapping[str, str] = _NONE,
        card: Mapping[str, Any] | None = None,
    ) -> Self:
        """A new run of the program `spec`; `command` is what the user typed, without `--resume`.

        `facts` must be the same whenever it goes on; `imports` are the texts of the files that the
        program imports, by their paths from the program; `card` goes with its weights. Raises G703 for a
        folder that holds anything, G707 for an import that has the name of a file of the run, G709 where it
        cannot be written, G712 in use.
        """
        taken = sorted(OWN & imports.keys())
        if taken:
            raise fail(
                "G707",
                f"the imported file `{taken[0]}` would be overwritten in the run's folder,"
                " where the run has one of that name",
                help="give the file another name",
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        _require_empty(path)
        with ExitStack() as undo:
            lock = undo.enter_context(_lock(path))
            # Another process may have been faster. Before the lock nothing is left in the folder.
            _require_empty(path)
            # First, because it makes the folder a run: what is missing then is made up for by `resume`.
            about.write_about(path, About(tuple(command), facts, card))
            _complete(path, {**imports, SPEC: spec})
            run = cls(path, lock, command, card)
            undo.pop_all()
        return run

    @classmethod
    def resume(
        cls, path: Path, *, facts: Facts | None = None, spec: str | None = None, imports: Mapping[str, str] = _NONE
    ) -> Self:
        """An existing run; `facts` are those of now, and what is to say about them is in `told`.

        Copies of the program that are missing or damaged are written. Raises G704 for another folder,
        G705 for a damaged one, G706 for other facts, G712 while another process has it.
        """
        begun = about.read_about(path)
        told = [] if facts is None else about.require_same(path, begun.facts, facts)
        with ExitStack() as undo:
            lock = undo.enter_context(_lock(path, PATIENCE_S))
            _complete(path, imports if spec is None else {**imports, SPEC: spec})
            read_journal(path)
            run = cls(path, lock, begun.command, begun.card)
            run.told = told
            undo.pop_all()
        return run

    @classmethod
    def lent(cls, path: Path, command: Sequence[str]) -> Self:
        """The run of another process, which holds its lock: for the phases that this one was given."""
        return cls(path, None, command)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, KeyboardInterrupt):
            # A second Ctrl-C, or one between two phases, where nothing had to be brought to its end.
            raise interrupted(self.resume_command, at_once=True) from None

    def close(self) -> None:
        """Lets others write to the folder."""
        if self._lock is not None:
            self._lock.close()

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
        return (self.path / SPEC).read_bytes().decode()

    def append(self, phase: str, entry: Mapping[str, object]) -> None:
        """Adds a line to the phase's journal and waits until it is on the disk."""
        self._journal(phase).append(entry)

    def save(self, phase: str, tensors: Mapping[str, Tensor], meta: Mapping[str, object]) -> Path:
        """Writes the phase's next checkpoint, which also knows how long its journal is by now."""
        return save_checkpoint(
            self.path / "checkpoints", phase, tensors, {**meta, "journal_lines": self._journal(phase).count}
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
        self._journal(phase).cut(0 if checkpoint is None else checkpoint.meta["journal_lines"])
        return checkpoint

    def _journal(self, phase: str) -> Journal:
        if phase not in self._journals:
            self._journals[phase] = Journal(self.path, phase)
        return self._journals[phase]

    def last_checkpoint(self, phase: str) -> Path | None:
        """The file of the phase's newest checkpoint."""
        return latest_checkpoint(self.path / "checkpoints", phase)

    def write_metrics(self, metrics: Mapping[str, object]) -> None:
        """Replaces `metrics.json`."""
        write_json(self.path / "metrics.json", metrics)

    def write_tensors(self, file_name: str, tensors: Mapping[str, Tensor]) -> None:
        """Replaces a file of contiguous tensors that share no memory (`weights.safetensors`), with the run's card."""
        write_atomically(self.path / file_name, sealed(tensors, self.card))


def _require_empty(path: Path) -> None:
    try:
        held = sorted(entry.name for entry in path.iterdir() if not _UNBEGUN.fullmatch(entry.name))
    except OSError as error:
        raise cannot_write(path, error) from error
    if held:
        again = "; to go on with the run in it, give `--resume` instead of `--out`"
        raise fail(
            "G703",
            f"the run folder `{path}` is not empty: it holds `{held[0]}`",
            help=f"choose a new folder{again if (path / about.NAME).exists() else ''}",
        )


def _complete(path: Path, texts: Mapping[str, str]) -> None:
    """Makes what a run's folder lacks, or holds damaged; removes what killed writers left."""
    around = [(path / name).parent for name in texts]
    places = dict.fromkeys([path, path / JOURNAL, path / "checkpoints", *around])
    try:
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
        wrong = [name for name, text in texts.items() if not _holds(path / name, text)]
    except OSError as error:
        raise cannot_write(path, error) from error
    for place in places:
        remove_temporary_files(place)
    for name in wrong:
        write_text(path / name, texts[name])


def _holds(path: Path, text: str) -> bool:
    return path.exists() and read_regular(path) == text.encode()


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
                        "G712",
                        f"another process is writing to the run folder `{folder}`",
                        help="wait for it to end, or give another folder",
                    ) from error
                time.sleep(0.02)
    return file

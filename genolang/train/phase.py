"""A phase of a run: a training or a search that may stop at any step and goes on from its checkpoint."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from genolang.diagnostics import GenoError, fail
from genolang.train.interrupt import Interrupt, interrupted, interruptible
from genolang.train.reporter import Reporter, SilentReporter
from genolang.train.run_folder import RunFolder

SAVE_EVERY_S = 60.0
"""The longest time between checkpoints."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How something is trained: under what seed, where, in which run, and who is told.

    In the run's folder it has a journal and the checkpoints under its `name`; without a run nothing is kept.
    With `resume` it goes on from its last checkpoint, or from the start where there is none. Its networks are
    built `without` these passes of the compiler.
    """

    seed: int
    device: torch.device
    run: RunFolder | None = None
    name: str = "train"
    resume: bool = False
    reporter: Reporter = field(default_factory=SilentReporter)
    save_every_s: float = SAVE_EVERY_S
    without: Sequence[str] = ()

    def named(self, name: str, seed: int | None = None) -> Self:
        """Another phase of the same run."""
        return replace(self, name=name, seed=self.seed if seed is None else seed)

    def append(self, entry: Mapping[str, object]) -> None:
        """Adds a line to the journal."""
        if self.run is not None:
            self.run.append(self.name, entry)

    @contextmanager
    def working(self) -> Iterator[Interrupt]:
        """Around a loop of steps: an interrupt is a request, and torch's generators end as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), interruptible() as interrupt:
            yield interrupt

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """What stands inside comes to its end before an interrupt counts. Error: G710."""
        with interruptible() as interrupt, interrupt.deferred():
            yield
        self.stop_if(interrupt)

    def stop_if(self, interrupt: Interrupt) -> None:
        """Raises G710, with the command that goes on, where an interrupt was requested."""
        if interrupt.requested:
            raise interrupted(None if self.run is None else self.run.resume_command)

    def differs(self, what: str = "network") -> GenoError:
        """G706: what the folder keeps was made from something else."""
        assert self.run is not None, "nothing is kept without a folder"
        return fail(
            "G706",
            f"the run in `{self.run.path}` was made with other settings, another seed, other data or another {what}",
            help="undo the change, or start a new run in another folder",
        )

    def lost(self, code: str, message: str, help: str) -> GenoError:
        """The end of what is no longer good, with where to go on from."""
        notes, last = [], None if self.run is None else self.run.last_checkpoint(self.name)
        if self.run is not None and last is not None:
            notes.append(f"the last good checkpoint is `{last}`")
            notes.append(f"`{self.run.resume_command}` goes on from it, with the same settings")
        return fail(code, message, help=help, notes=notes)


class Resumable(Protocol):
    """What a sitting saves and takes up again.

    `progress` is a dataclass of numbers that JSON keeps exactly, its `seconds` the time of all sittings.
    """

    progress: Any

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything else: tensors, and facts as JSON."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Takes up what `state` gave, and the progress, under its name among the facts."""
        ...


class Sitting:
    """A phase at work, from its start or from its last checkpoint to its end or an interrupt.

    `facts` must be the same for a checkpoint to mean the same.
    """

    def __init__(self, phase: Phase, *facts: object) -> None:
        self.phase = phase
        self._fingerprint = hashlib.sha256(repr(facts).encode()).hexdigest()
        self._before = 0.0
        self._started = self._saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """The wall-clock time of all sittings."""
        return self._before + time.monotonic() - self._started

    def due(self, interrupt: Interrupt) -> bool:
        """Whether a checkpoint should be written before the next step."""
        return interrupt.requested or time.monotonic() - self._saved >= self.phase.save_every_s

    def save(self, work: Resumable) -> None:
        """Writes a checkpoint, where there is a folder for it."""
        if self.phase.run is None:
            return
        tensors, facts = work.state()
        self.phase.run.save(
            self.phase.name,
            tensors,
            {
                "fingerprint": self._fingerprint,
                "seed": self.phase.seed,
                "progress": {**asdict(work.progress), "seconds": self.seconds},
                **facts,
            },
        )
        self._saved = time.monotonic()

    def resume(self, work: Resumable) -> list[str] | None:
        """Takes up the last checkpoint; what there is to say of damage, None where there is no checkpoint.

        Errors: G705 where none of several is whole, G706 for one of something else.
        """
        phase = self.phase
        if not phase.resume:
            return None
        assert phase.run is not None, "resuming needs a run folder"
        checkpoint = phase.run.restore(phase.name)
        if checkpoint is None:
            return None
        if checkpoint.meta["fingerprint"] != self._fingerprint:
            raise phase.differs()
        work.restore(checkpoint.tensors, checkpoint.meta)
        self._before = checkpoint.meta["progress"]["seconds"]
        self._started = self._saved = time.monotonic()
        return [f"`{path}` is damaged: going on from the one before it" for path in checkpoint.damaged]

"""Sampled search: a supernet is trained under random schemes, then a sampler looks for a good one.

All samplers share the supernet's training, the evaluator and this loop, so that one budget means the
same to each. Every step is a pure function of the state before it and of (seed, step), so a search
that was stopped at any step and goes on from its checkpoint is the search that was never stopped.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from genolang.diagnostics import GenoError, fail
from genolang.search.evaluator import Evaluator, Measured
from genolang.search.halves import Halves
from genolang.search.normalising import FreshStatistics
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.search.strategy import Derives, Searched, SearchEpoch
from genolang.search.supernet import train_supernet
from genolang.semantics.methods import Sampling
from genolang.semantics.program import Program
from genolang.semantics.settings import SearchSettings
from genolang.train.datasets import Dataset
from genolang.train.interrupt import Interrupt, interrupted, interruptible
from genolang.train.loop import SAVE_EVERY_S
from genolang.train.reporter import EpochRecord, Reporter, SilentReporter
from genolang.train.run_folder import RunFolder

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule


class Sampler(Protocol):
    """Proposes schemes step by step and learns from how they were measured.

    What it draws at a step follows from its seed and the step; what it has learnt is in its state.
    """

    steps: int

    def propose(self, step: int) -> list[Scheme]:
        """The schemes to measure in a step, one or more; one may come twice."""
        ...

    def learn(self, step: int, schemes: list[Scheme], found: list[Measured]) -> dict[str, Any]:
        """Takes the measures in; what the journal keeps of the step (`p_bar`, `baseline`, ...)."""
        ...

    def answer(self) -> Scheme | None:
        """The scheme that the sampler stands for; None for the one of the highest reward."""
        ...

    def entropy(self) -> float | None:
        """How open the decisions are, as a share of the most that there can be; None without any."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that was learnt: tensors, and facts as JSON."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Takes up what `state` gave."""
        ...


class Memoryless:
    """What a sampler has that learns nothing."""

    def learn(self, step: int, schemes: list[Scheme], found: list[Measured]) -> dict[str, Any]:
        return {}

    def answer(self) -> Scheme | None:
        return None

    def entropy(self) -> float | None:
        return None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        pass


MakeSampler = Callable[[Any, SchemeSpace, int, float], Sampler]
"""A sampler from its settings, the space, a seed and the probability of a connection."""


@dataclass(frozen=True, slots=True)
class SampledSearch:
    """The strategy of a sampler: `genolang.search.strategy.Strategy`."""

    make: MakeSampler

    def __call__(
        self, module: NetworkModule, settings: SearchSettings, data: Dataset,
        run: RunFolder | None = None, *, seed: int, device: torch.device, phase: str = "search",
        resume: bool = False, reporter: Reporter | None = None, save_every_s: float = SAVE_EVERY_S,
        program: Program | None = None, trained: bool = False,
        derives: Derives | None = None,
    ) -> Searched:
        """Trains the supernet, unless it is `trained`, and samples from it.

        Phases are `phase` and, for the supernet, `phase-supernet`. Raises what
        `genolang.train.loop.fit` raises, G701 where a sampler's state is no longer finite.
        """
        assert program is not None, "a space of schemes is that of a program"
        space = SchemeSpace(program)
        history: tuple[EpochRecord, ...] = ()
        if not trained:
            history = train_supernet(
                module, space, settings, data, run, seed=seed, device=device,
                phase=f"{phase}-supernet", resume=resume, reporter=reporter,
                save_every_s=save_every_s,
            ).history
        module.to(device)
        loop = _Loop(module, settings, Halves(settings, data, device), space, self.make, seed,
                     phase, run, reporter or SilentReporter(), save_every_s)
        found = loop.run_all(resume)
        module.select(None)
        records = tuple(SearchEpoch(**asdict(r), choices_loss=None, choices=()) for r in history)
        left = loop.sampler.entropy()
        return Searched(space.logits(found), loop.evaluator.measure(found).accuracy, records,
                        seconds=loop.progress.seconds, evaluations=loop.evaluator.asked,
                        schemes=len(loop.evaluator.known),
                        entropy={} if left is None else {"controller": left})


@dataclass(slots=True)
class _Progress:
    """Where the sampling stands, in numbers that JSON keeps exactly."""

    step: int = 0
    seconds: float = 0.0
    accuracy_sum: float = 0.0
    best: str = ""
    best_reward: float = -math.inf


@dataclass(slots=True)
class _Loop:
    module: NetworkModule
    settings: SearchSettings
    halves: Halves
    space: SchemeSpace
    make: MakeSampler
    seed: int
    phase: str
    run: RunFolder | None
    reporter: Reporter
    save_every_s: float
    sampler: Sampler = field(init=False)
    evaluator: Evaluator = field(init=False)
    progress: _Progress = field(default_factory=_Progress)
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        sampling = self.settings.sampling
        assert isinstance(sampling, Sampling), "a sampled search is told how to sample"
        self.sampler = self.make(sampling, self.space, self.seed, self.settings.connect)
        self.evaluator = Evaluator(
            self.module, self.space, self.halves, sampling.accuracy, sampling.sparsity,
            FreshStatistics.asked(self.settings, self.module, self.halves, self.seed),
        )

    def run_all(self, resume: bool) -> Scheme:
        """All steps that are left; the answer."""
        told = self._restore() if resume else []
        with interruptible() as interrupt:
            with interrupt.deferred():
                for line in told:
                    self.reporter.message(line)
            self._steps(interrupt)
            scheme = self.sampler.answer() or self.space.parse(self.progress.best)
            self.evaluator.measure(scheme)
        self.progress.seconds = self._seconds()
        return scheme

    def _steps(self, interrupt: Interrupt) -> None:
        progress, steps = self.progress, self.sampler.steps
        if progress.step < steps:
            with interrupt.deferred():
                self.reporter.epoch_started(self.phase, 0, 1)
        while progress.step < steps:
            line = self._step()
            with interrupt.deferred():
                mean_error = 1 - progress.accuracy_sum / self.evaluator.asked
                self.reporter.step_done(progress.step, steps, mean_error)
            last = progress.step == steps
            if last or interrupt.requested or time.monotonic() - self.saved >= self.save_every_s:
                self._save()
            if last or progress.step % max(1, steps // 10) == 0:
                with interrupt.deferred():
                    self.reporter.message(line)
            if interrupt.requested:
                raise interrupted(None if self.run is None else self.run.resume_command)

    def _step(self) -> str:
        """Proposes, measures and learns once; what there is to say about it."""
        progress, space = self.progress, self.space
        schemes = self.sampler.propose(progress.step)
        found = [self.evaluator(scheme) for scheme in schemes]
        facts = self.sampler.learn(progress.step, schemes, found)
        self._check(facts)
        for scheme, measured in zip(schemes, found, strict=True):
            progress.accuracy_sum += measured.accuracy
            if measured.reward > progress.best_reward:
                progress.best, progress.best_reward = space.text(scheme), measured.reward
        progress.step += 1
        if self.run is not None:
            self.run.append(self.phase, {
                "step": progress.step - 1,
                "schemes": [space.text(scheme) for scheme in schemes],
                "accuracy": [m.accuracy for m in found], "sparsity": [m.sparsity for m in found],
                "reward": [m.reward for m in found], **facts,
            })
        mean = sum(m.accuracy for m in found) / len(found)
        sure = f", mean probability {facts['p_bar']:.3f}" if "p_bar" in facts else ""
        return (f"{self.phase} step {progress.step} of {self.sampler.steps}: accuracy {mean:.4f}{sure};"
                f" best so far {progress.best}, reward {progress.best_reward:.4f}")  # fmt: skip

    def _check(self, facts: Mapping[str, Any]) -> None:
        numbers = [v for fact in facts.values() for v in (fact if isinstance(fact, list) else [fact])]
        state = self.sampler.state()[0]
        for what, good in (
            ("reward or loss", all(math.isfinite(number) for number in numbers)),
            ("number of the sampler", all(bool(t.isfinite().all()) for t in state.values())),
        ):
            if not good:
                raise self._lost(what)

    def _lost(self, what: str) -> GenoError:
        last = None if self.run is None else self.run.last_checkpoint(self.phase)
        notes = [f"the last good checkpoint is `{last}`"] if last is not None else []
        return fail(
            "G701", f"a {what} is no longer finite in step {self.progress.step + 1} of"
            f" {self.sampler.steps} of `{self.phase}`",
            help="search again with a lower `lr` or lower weights of the rewards", notes=notes,
        )

    def _seconds(self) -> float:
        return self.progress.seconds + time.monotonic() - self.started

    def _save(self) -> None:
        if self.run is None:
            return
        tensors, facts = self.sampler.state()
        self.run.save(self.phase, tensors, {
            "fingerprint": self._fingerprint(), "seed": self.seed, "sampler": facts,
            "progress": {**asdict(self.progress), "seconds": self._seconds()},
            "evaluator": self.evaluator.state(),
        })
        self.saved = time.monotonic()

    def _restore(self) -> list[str]:
        """Takes up the phase's checkpoint, if there is one; what there is to say about it."""
        assert self.run is not None, "resuming needs a run folder"
        checkpoint = self.run.restore(self.phase)
        if checkpoint is None:
            return []
        meta = checkpoint.meta
        if meta["fingerprint"] != self._fingerprint():
            raise fail(
                "G706", f"the run in `{self.run.path}` was made with other settings, another seed, "
                "other data or another network",
                help="undo the change, or start a new run in another folder",
            )
        self.sampler.restore(checkpoint.tensors, meta["sampler"])
        self.evaluator.restore(**meta["evaluator"])
        self.progress = _Progress(**meta["progress"])
        self.started = self.saved = time.monotonic()
        told = [f"`{path}` is damaged: going on from the one before it" for path in checkpoint.damaged]
        if self.progress.step < self.sampler.steps:
            told.append(f"going on after step {self.progress.step} of {self.sampler.steps}")
        return told

    def _fingerprint(self) -> str:
        """What must be the same for a checkpoint to mean the same."""
        facts = (self.settings, self.seed, len(self.halves.choices), self.space.rows)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

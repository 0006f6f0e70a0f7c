"""Sampled search: a supernet is trained under random schemes, then a sampler looks for a good one.

All samplers share the supernet's training, the evaluator and this loop, so that one budget means the
same to each. Every step is a pure function of the state before it and of (seed, step), so a search
that was stopped at any step and goes on from its checkpoint is the search that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from genolang.diagnostics import GenoError
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
from genolang.train.epochs import all_finite
from genolang.train.interrupt import Interrupt, interruptible
from genolang.train.phase import Phase, Sitting
from genolang.train.reporter import EpochRecord

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
        self,
        module: NetworkModule,
        settings: SearchSettings,
        data: Dataset,
        phase: Phase,
        program: Program,
        *,
        trained: bool = False,
        derives: Derives | None = None,
    ) -> Searched:
        """Trains the supernet, unless it is `trained`, and samples from it.

        The supernet's training is a phase of its own, `NAME-supernet`. Raises what
        `genolang.train.loop.fit` raises, G701 where a sampler's state is no longer finite.
        """
        space = SchemeSpace(program)
        history: tuple[EpochRecord, ...] = ()
        if not trained:
            supernet = phase.named(f"{phase.name}-supernet")
            history = train_supernet(module, space, settings, data, supernet).history
        module.to(phase.device)
        loop = _Loop(module, settings, Halves(settings, data, phase.device), space, self.make, phase)
        found = loop.run_all()
        module.select(None)
        records = tuple(SearchEpoch(**asdict(r), choices_loss=None, choices=()) for r in history)
        left = loop.sampler.entropy()
        return Searched(
            space.logits(found),
            loop.evaluator.measure(found).accuracy,
            records,
            seconds=loop.progress.seconds,
            evaluations=loop.evaluator.asked,
            schemes=len(loop.evaluator.known),
            entropy={} if left is None else {"controller": left},
        )


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
    phase: Phase
    sitting: Sitting = field(init=False)
    sampler: Sampler = field(init=False)
    evaluator: Evaluator = field(init=False)
    progress: _Progress = field(default_factory=_Progress)

    def __post_init__(self) -> None:
        sampling = self.settings.sampling
        assert isinstance(sampling, Sampling), "a sampled search is told how to sample"
        self.sampler = self.make(sampling, self.space, self.phase.seed, self.settings.connect)
        self.evaluator = Evaluator(
            self.module,
            self.space,
            self.halves,
            sampling.accuracy,
            sampling.sparsity,
            FreshStatistics.asked(self.settings, self.module, self.halves, self.phase.seed),
        )
        self.sitting = Sitting(self.phase, self.settings, self.phase.seed, len(self.halves.choices), self.space.rows)

    def run_all(self) -> Scheme:
        """All steps that are left; the answer."""
        told = self.sitting.resume(self)
        if told is not None and self.progress.step < self.sampler.steps:
            told.append(f"going on after step {self.progress.step} of {self.sampler.steps}")
        with interruptible() as interrupt:
            interrupt.tell(self.phase.reporter, told or ())
            self._steps(interrupt)
            scheme = self.sampler.answer() or self.space.parse(self.progress.best)
            self.evaluator.measure(scheme)
        self.progress.seconds = self.sitting.seconds
        return scheme

    def _steps(self, interrupt: Interrupt) -> None:
        progress, steps, reporter = self.progress, self.sampler.steps, self.phase.reporter
        if progress.step < steps:
            with interrupt.deferred():
                reporter.epoch_started(self.phase.name, 0, 1)
        while progress.step < steps:
            line = self._step()
            with interrupt.deferred():
                reporter.step_done(progress.step, steps, 1 - progress.accuracy_sum / self.evaluator.asked)
            last = progress.step == steps
            if last or self.sitting.due(interrupt):
                self.sitting.save(self)
            if last or progress.step % max(1, steps // 10) == 0:
                interrupt.tell(reporter, [line])
            self.phase.stop_if(interrupt)

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
        self.phase.append(
            {
                "step": progress.step - 1,
                "schemes": [space.text(scheme) for scheme in schemes],
                "accuracy": [m.accuracy for m in found],
                "sparsity": [m.sparsity for m in found],
                "reward": [m.reward for m in found],
                **facts,
            }
        )
        mean = sum(m.accuracy for m in found) / len(found)
        sure = f", mean probability {facts['p_bar']:.3f}" if "p_bar" in facts else ""
        return (
            f"{self.phase.name} step {progress.step} of {self.sampler.steps}: accuracy {mean:.4f}{sure};"
            f" best so far {progress.best}, reward {progress.best_reward:.4f}"
        )

    def _check(self, facts: Mapping[str, Any]) -> None:
        numbers = [v for fact in facts.values() for v in (fact if isinstance(fact, list) else [fact])]
        state = self.sampler.state()[0]
        for what, good in (
            ("reward or loss", all(math.isfinite(number) for number in numbers)),
            ("number of the sampler", all_finite(state.values())),
        ):
            if not good:
                raise self._lost(what)

    def _lost(self, what: str) -> GenoError:
        return self.phase.lost(
            "G701",
            f"a {what} is no longer finite in step {self.progress.step + 1} of"
            f" {self.sampler.steps} of `{self.phase.name}`",
            "search again with a lower `lr` or lower weights of the rewards",
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, facts = self.sampler.state()
        return tensors, {"sampler": facts, "evaluator": self.evaluator.state()}

    def restore(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        self.sampler.restore(tensors, meta["sampler"])
        self.evaluator.restore(**meta["evaluator"])
        self.progress = _Progress(**meta["progress"])

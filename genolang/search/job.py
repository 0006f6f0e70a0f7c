"""What a search does with its phases, one after another or several side by side."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from genolang.diagnostics import GenoError
from genolang.search.references import Reference, Rival, describe, references
from genolang.search.requirements import Requirements
from genolang.search.schemes import SchemeSpace
from genolang.search.score import accuracy_of, fresh_module, scored_program, train_score
from genolang.search.space import Genotype, random_genotype
from genolang.search.strategies import STRATEGIES
from genolang.search.strategy import SearchEpoch
from genolang.search.supernet import train_supernet
from genolang.search.workers import Task, Workers
from genolang.semantics.check import Checked
from genolang.semantics.program import Program
from genolang.semantics.settings import SearchSettings
from genolang.semantics.space import count_genotypes
from genolang.train.datasets import Dataset, digests
from genolang.train.phase import Phase
from genolang.train.run_folder import read_journal
from genolang.train.state import copies

RESULTS = "results"
SUPERNET = "supernet"
# Random answers that break a requirement, until no more are drawn.
MOST_REFUSED = 500
REFERENCE = "score-reference-"


@dataclass(frozen=True, slots=True)
class Trial:
    """One search: its seed, its answer, the answer's score, the supernet's validation accuracy."""

    seed: int
    genotype: Genotype
    score: float
    val_accuracy: float
    history: tuple[SearchEpoch, ...]
    entropy: Mapping[str, float] = field(default_factory=dict)
    stopped: str | None = None


@dataclass(slots=True)
class Job:
    """A run through its phases: what each found goes to the journal and is found there again."""

    checked: Checked
    program: Program
    given: Mapping[str, Any]
    settings: SearchSettings
    data: Dataset
    whole: Phase
    workers: Workers | None = None
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[tuple[Genotype, int], float] = field(default_factory=dict)
    offered: set[tuple[Genotype, int]] = field(default_factory=set)
    seconds: float = 0.0
    weights: dict[str, torch.Tensor] | None = None
    requirements: Requirements = field(init=False)

    def __post_init__(self) -> None:
        self.settings = replace(self.settings, seed=self.whole.seed)
        self.requirements = Requirements(self.checked, self.program, self.given)
        if self.workers is not None:
            assert self.whole.run is not None, "side by side is in a run folder"
            self.whole = replace(self.whole, reporter=self.workers.reporting(self.whole.reporter))

    def open(self) -> None:
        """Reads what earlier sittings found; raises G706 if they belong to another search, and G212 if no
        answer can be written."""
        self.requirements.check()
        about = {"fingerprint": self._fingerprint()}
        if self.whole.run is not None and self.whole.resume:
            self.finished = {e["of"]: e for e in read_journal(self.whole.run.path, RESULTS)}
        if "run" not in self.finished:
            self.finish("run", about)
        elif self.finished["run"]["fingerprint"] != about["fingerprint"]:
            raise self.whole.differs("program")
        if self.settings.scoring().network is not None:
            # What is wrong with the network of the scores is said before anything is searched.
            with self.whole.undisturbed():
                genotype = random_genotype(self.program, random.Random(0))
                scored_program(self.checked, self.program, genotype, self.settings, self.given)
        # What a worker has begun is gone on with, also in a run's first sitting.
        self.whole = replace(self.whole, resume=self.whole.resume or self.workers is not None)

    def searched(self, number: int) -> tuple[int, Genotype]:
        """The seed of a search and its answer, whose score is on offer from then on."""
        seed = self.settings.seed + number
        task, count = Task(f"search-{seed}", seed), self.settings.seeds
        if task.phase not in self.finished:
            self.say(f"search {number + 1} of {count}, seed {seed}")
            self.settle(task)
        genotype = Genotype.from_json(self.finished[task.phase]["genotype"])
        self.offer(Task(f"score-{seed}", self.settings.seed, genotype))
        return seed, genotype

    def trial(self, number: int) -> Trial:
        seed, genotype = self.searched(number)
        found = self.finished[f"search-{seed}"]
        history = tuple(SearchEpoch.from_json(record) for record in found["history"])
        self.seconds += found["seconds"] + sum(record.seconds for record in history)
        score = self.score(f"score-{seed}", genotype)
        accuracy = float(found["val_accuracy"])
        self.say(f"seed {seed}: score {score:.4f}, supernet {accuracy:.4f}")
        return Trial(seed, genotype, score, accuracy, history, found.get("entropy", {}), found.get("stopped"))

    def offer(self, task: Task) -> None:
        """Lets a worker train the task, where there are any and nothing like it is known or on offer."""
        if self.workers is None or task.phase in self.finished:
            return
        if task.genotype is not None:
            alike = _unordered(task.genotype), task.seed
            if alike in self.known or alike in self.offered:
                return
            self.offered.add(alike)
        self.workers.offer(task)

    def alone(self) -> None:
        """Ends what is trained elsewhere: nothing else keeps the machine busy from here on."""
        if self.workers is not None:
            self.workers.close()

    def settle(self, task: Task) -> None:
        """Brings a task to its end, here or in a worker."""
        if self.workers is None:
            entry = self.perform(task)
        else:
            entry = self.workers.settle(task, self.perform)
        with self.whole.undisturbed():
            self.finish(task.phase, entry)
            if self.workers is not None:
                self.workers.pass_on()

    def perform(self, task: Task) -> dict[str, Any]:
        """What a task comes to: it follows from the task and the job's settings, wherever it runs."""
        if task.genotype is None:
            return self._searched(self.whole.named(task.phase, task.seed), self.settings)
        with self.whole.undisturbed():
            program = scored_program(self.checked, self.program, task.genotype, self.settings, self.given)
        fitted = train_score(program, self.settings, self.data, self.whole.named(task.phase, task.seed))
        return {
            "genotype": task.genotype.to_json(),
            "score": accuracy_of(fitted),
            "seconds": sum(record.seconds for record in fitted.history),
        }

    def search(self, phase: str, settings: SearchSettings, seed: int, weights: Mapping[str, torch.Tensor]) -> None:
        """One search by the method of the settings, from these weights of the supernet."""
        entry = self._searched(self.whole.named(phase, seed), settings, weights)
        with self.whole.undisturbed():
            self.finish(phase, entry)

    def _searched(
        self, phase: Phase, settings: SearchSettings, weights: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, Any]:
        with phase.undisturbed():
            module = fresh_module(self.program, phase)
            if weights is not None:
                module.load_state_dict(weights)
        searched = STRATEGIES[settings.method](
            module,
            settings,
            self.data,
            phase,
            self.program,
            trained=weights is not None,
            derives=self.requirements.strongest,
        )
        with phase.undisturbed():
            return {
                "seconds": searched.seconds,
                "evaluations": searched.evaluations,
                "schemes": searched.schemes,
                "genotype": self.requirements.strongest(searched.logits).to_json(),
                "val_accuracy": searched.val_accuracy,
                "entropy": dict(searched.entropy),
                "stopped": searched.stopped,
                "history": [record.to_json() for record in searched.history],
            }

    def supernet(self, space: SchemeSpace) -> Mapping[str, torch.Tensor]:
        """The weights of a supernet that several searches share, trained once."""
        if self.weights is not None:
            return self.weights
        with self.whole.undisturbed():
            module = fresh_module(self.program, self.whole)
        phase = self.whole.named(SUPERNET)
        history = train_supernet(module, space, self.settings, self.data, phase).history
        self.weights = copies(module.state_dict())
        if SUPERNET not in self.finished:
            with self.whole.undisturbed():
                self.finish(
                    SUPERNET,
                    {"seconds": sum(record.seconds for record in history), "val_accuracy": history[-1].val_accuracy},
                )
        return self.weights

    def random_answers(self) -> list[Genotype]:
        """The answers of the control, no two of them the same; they follow from the seed."""
        generator = random.Random(f"control {self.settings.seed}")
        wanted = min(self.settings.random, count_genotypes(self.program))
        drawn: dict[Genotype, Genotype] = {}
        # Bounded: where all answers of a small space are wanted, the last ones take many draws; where few
        # answers keep to a requirement, so may the first.
        refused = 0
        for _ in range(1000 * wanted):
            genotype = random_genotype(self.program, generator)
            if self.requirements.broken(genotype):
                refused += 1
                if refused == MOST_REFUSED:
                    break
                continue
            drawn.setdefault(_unordered(genotype), genotype)
            if len(drawn) == wanted:
                break
        return list(drawn.values())

    def rivals(self) -> list[Rival]:
        """The answers that take no search; one that cannot be built is left out, with a line that says so."""
        found: list[Rival] = []
        if not self.settings.compare:
            return found
        space = SchemeSpace(self.program)
        for name, genotype in references(space, self.settings.compare).items():
            text = describe(name, space)
            try:
                with self.whole.undisturbed():
                    program = scored_program(self.checked, self.program, genotype, self.settings, self.given)
            except GenoError as error:
                if any(diagnostic.code == "G710" for diagnostic in error.diagnostics):
                    raise
                self.say(f"{text} is left out of the comparison: {error.diagnostics[0].message}")
            else:
                found.append(Rival(name, text, genotype, program.params, program.block.macs[0]))
        return found

    def measured(self, rival: Rival) -> Reference:
        """A rival with its score."""
        phase = f"{REFERENCE}{rival.name}"
        if phase not in self.finished and self.workers is None:
            self.say(f"for comparison: {rival.text}")
        score = self.score(phase, rival.genotype)
        return Reference(rival.name, rival.text, score, rival.params, rival.macs)

    def control(self, answers: Sequence[Genotype]) -> tuple[float, ...]:
        """The scores of random answers."""
        scores = []
        for number, genotype in enumerate(answers):
            phase = f"score-random-{number}"
            if phase not in self.finished and self.workers is None:
                self.say(f"random answer {number + 1} of {len(answers)}")
            scores.append(self.score(phase, genotype))
        return tuple(scores)

    def score(self, phase: str, genotype: Genotype, seed: int | None = None) -> float:
        """The answer's accuracy, trained from scratch under the run's seed or another one.

        One answer is trained once under one seed.
        """
        seed = self.settings.seed if seed is None else seed
        alike = _unordered(genotype), seed
        if alike in self.known:
            self.say("the same answer has been scored before")
            return self.known[alike]
        if phase not in self.finished:
            self.settle(Task(phase, seed, genotype))
        found = self.finished[phase]
        self.seconds += found["seconds"]
        self.known[alike] = float(found["score"])
        return self.known[alike]

    def finish(self, phase: str, entry: dict[str, Any]) -> None:
        """Keeps what a phase found."""
        self.finished[phase] = entry
        self.whole.named(RESULTS).append({"of": phase, **entry})

    def say(self, text: str) -> None:
        """One line for a person."""
        with self.whole.undisturbed():
            self.whole.reporter.message(text)

    def _fingerprint(self) -> str:
        text, data = self.checked.module.source.text, sorted(digests(self.data).items())
        facts = (self.settings, self.program.name, sorted(self.given.items()), data, text)
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def _unordered(genotype: Genotype) -> Genotype:
    """The genotype with the edges of each cell by number: their order tells only their strength."""
    cells = tuple((name, tuple(sorted(edges, key=lambda chosen: chosen.edge))) for name, edges in genotype.cells)
    return replace(genotype, cells=cells)

"""`genoc search`: searches under several seeds, the best answer by its score, a random control.

A run goes through phases (`search-3`, `score-3`, `score-random-0`, ...). What each found goes to
the journal under the phase `results`, so that a resumed run repeats no finished phase.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from genolang.diagnostics import GenoError, fail
from genolang.search.halves import Halves
from genolang.search.health import Sign, signs
from genolang.search.references import (
    Reference,
    Rival,
    Verdict,
    describe,
    references,
    verdicts,
)
from genolang.search.requirements import Requirements
from genolang.search.schemes import SchemeSpace
from genolang.search.score import accuracy_of, fresh_module, scored_program, train_score
from genolang.search.space import Genotype, random_genotype
from genolang.search.strategies import STRATEGIES
from genolang.search.strategy import SearchEpoch
from genolang.search.supernet import train_supernet
from genolang.search.workers import Task, Workers
from genolang.semantics.check import Checked, expand_network
from genolang.semantics.program import Program
from genolang.semantics.settings import SearchSettings
from genolang.semantics.space import count_genotypes
from genolang.train.datasets import Dataset, digests
from genolang.train.interrupt import interrupted, interruptible
from genolang.train.loop import SAVE_EVERY_S
from genolang.train.reporter import Reporter, SilentReporter
from genolang.train.run_folder import RunFolder, read_journal
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


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best of several searches beside random answers that were trained and measured alike.

    Scores are accuracies from 0 to 1. `baseline` holds those of the random genotypes and
    `baseline_random` their mean; `rank` is 1 plus the number of them that are better; the last two
    are None without a control. `references` are answers that take no search, `verdicts` whether the
    found one beats each of them, and the mean of the random ones, by more than `spread`; `signs`
    that nothing was found, `stopped` why the winning search ended early.
    `val_accuracy` is the winning supernet's, `history` its epochs, `seconds` the wall-clock time of
    all epochs over all sittings, of all processes together.
    """

    genotype: Genotype
    score: float
    seed: int
    baseline: tuple[float, ...]
    baseline_random: float | None
    rank: int | None
    val_accuracy: float
    seconds: float
    history: tuple[SearchEpoch, ...]
    trials: tuple[Trial, ...]
    references: tuple[Reference, ...]
    spread: float
    verdicts: tuple[Verdict, ...]
    signs: tuple[Sign, ...]
    stopped: str | None


def run_search(
    checked: Checked, network_name: str | None, given: Mapping[str, Any], settings: SearchSettings,
    data: Dataset, run: RunFolder | None = None, *, seed: int, device: torch.device,
    resume: bool = False, reporter: Reporter | None = None, save_every_s: float = SAVE_EVERY_S,
    workers: Workers | None = None,
) -> SearchResult:
    """Searches under the seeds `seed`, `seed + 1`, ...; of equally good answers the first counts.

    All scores train under `seed`; one answer is scored once. With `resume` it goes on from the run
    folder at any point, to the same answer. With `workers` the searches and the scores are trained
    side by side, to the same answer too. Raises G505 for a network without choices, G706 for
    another run's folder, G710 when interrupted, and what its parts raise.
    """
    program = expand_network(checked, network_name, given)
    if not program.choices:
        raise fail("G505", f"the network `{program.name}` has no choices to search")
    assert settings.method != "all", "several methods are run by `run_comparison`"
    settings = replace(settings, seed=seed)
    job = Job(checked, program, given, settings, data, run, device, resume,
              reporter or SilentReporter(), save_every_s, workers)
    job.open()
    random_answers, rivals = job.random_answers(), job.rivals()
    if workers is not None:
        for other in range(seed + 1, seed + settings.seeds):
            job.offer(Task(f"search-{other}", other))
        for number, genotype in enumerate(random_answers):
            job.offer(Task(f"score-random-{number}", seed, genotype))
        for rival in rivals:
            job.offer(Task(f"{REFERENCE}{rival.name}", seed, rival.genotype))
        # All searches before the first score, so that the scores can be side by side as well.
        for number in range(settings.seeds):
            job.searched(number)
    trials = [job.trial(number) for number in range(settings.seeds)]
    best = max(trials, key=lambda trial: (trial.score, -trial.seed))
    baseline = job.control(random_answers)
    found = tuple(job.measured(rival) for rival in rivals)
    labels = data.train_labels[Halves(settings, data, device).choices]
    apart, said = verdicts(best.score, found, baseline, len(labels))
    bad = signs(program, settings, best.genotype, best.entropy, best.score, best.val_accuracy, labels)
    return SearchResult(
        best.genotype, best.score, best.seed, baseline,
        baseline_random=sum(baseline) / len(baseline) if baseline else None,
        rank=1 + sum(score > best.score for score in baseline) if baseline else None,
        val_accuracy=best.val_accuracy, seconds=job.seconds, history=best.history,
        trials=tuple(trials), references=found, spread=apart, verdicts=said,
        signs=bad, stopped=best.stopped,
    )


@dataclass(slots=True)
class Job:
    """A run through its phases: what each found goes to the journal and is found there again."""

    checked: Checked
    program: Program
    given: Mapping[str, Any]
    settings: SearchSettings
    data: Dataset
    run: RunFolder | None
    device: torch.device
    resume: bool
    reporter: Reporter
    save_every_s: float
    workers: Workers | None = None
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[tuple[Genotype, int], float] = field(default_factory=dict)
    offered: set[tuple[Genotype, int]] = field(default_factory=set)
    seconds: float = 0.0
    weights: dict[str, torch.Tensor] | None = None
    requirements: Requirements = field(init=False)

    def __post_init__(self) -> None:
        self.requirements = Requirements(self.checked, self.program, self.given)
        if self.workers is not None:
            assert self.run is not None, "side by side is in a run folder"
            self.reporter = self.workers.reporting(self.reporter)

    def open(self) -> None:
        """Reads what earlier sittings found; raises G706 if they belong to another search, and G212 if no
        answer can be written."""
        self.requirements.check()
        about = {"fingerprint": self._fingerprint()}
        if self.run is not None and self.resume:
            entries = read_journal(self.run.path)
            self.finished = {e["of"]: e for e in entries if e["phase"] == RESULTS}
        if "run" not in self.finished:
            self.finish("run", about)
        elif self.finished["run"]["fingerprint"] != about["fingerprint"]:
            assert self.run is not None
            raise fail(
                "G706", f"the run in `{self.run.path}` was made with other settings, another seed, "
                "other data or another program",
                help="undo the change, or start a new run in another folder",
            )
        if self.settings.scoring().network is not None:
            # What is wrong with the network of the scores is said before anything is searched.
            with self.whole():
                genotype = random_genotype(self.program, random.Random(0))
                scored_program(self.checked, self.program, genotype, self.settings, self.given)
        # What a worker has begun is gone on with, also in a run's first sitting.
        self.resume = self.resume or self.workers is not None

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
        with self.whole():
            self.finish(task.phase, entry)
            if self.workers is not None:
                self.workers.pass_on()

    def perform(self, task: Task) -> dict[str, Any]:
        """What a task comes to: it follows from the task and the job's settings, wherever it runs."""
        if task.genotype is None:
            return self._searched(task.phase, self.settings, task.seed)
        with self.whole():
            program = scored_program(self.checked, self.program, task.genotype, self.settings, self.given)
        fitted = train_score(
            program, self.settings, self.data, seed=task.seed, device=self.device,
            run=self.run, phase=task.phase, resume=self.run is not None and self.resume,
            reporter=self.reporter, save_every_s=self.save_every_s,
        )
        return {
            "genotype": task.genotype.to_json(), "score": accuracy_of(fitted),
            "seconds": sum(record.seconds for record in fitted.history),
        }

    def search(
        self, phase: str, settings: SearchSettings, seed: int, weights: Mapping[str, torch.Tensor]
    ) -> None:
        """One search by the method of the settings, from these weights of the supernet."""
        entry = self._searched(phase, settings, seed, weights)
        with self.whole():
            self.finish(phase, entry)

    def _searched(
        self, phase: str, settings: SearchSettings, seed: int,
        weights: Mapping[str, torch.Tensor] | None = None,
    ) -> dict[str, Any]:
        with self.whole():
            module = fresh_module(self.program, seed)
            if weights is not None:
                module.load_state_dict(weights)
        searched = STRATEGIES[settings.method](
            module, settings, self.data, self.run, seed=seed, device=self.device, phase=phase,
            resume=self.run is not None and self.resume, reporter=self.reporter,
            save_every_s=self.save_every_s, program=self.program, trained=weights is not None,
            derives=self.requirements.strongest,
        )
        with self.whole():
            return {
                "seconds": searched.seconds, "evaluations": searched.evaluations,
                "schemes": searched.schemes,
                "genotype": self.requirements.strongest(searched.logits).to_json(),
                "val_accuracy": searched.val_accuracy,
                "entropy": dict(searched.entropy), "stopped": searched.stopped,
                "history": [record.to_json() for record in searched.history],
            }

    def supernet(self, space: SchemeSpace) -> Mapping[str, torch.Tensor]:
        """The weights of a supernet that several searches share, trained once."""
        if self.weights is not None:
            return self.weights
        with self.whole():
            module = fresh_module(self.program, self.settings.seed)
        history = train_supernet(
            module, space, self.settings, self.data, self.run, seed=self.settings.seed,
            device=self.device, phase=SUPERNET, resume=self.run is not None and self.resume,
            reporter=self.reporter, save_every_s=self.save_every_s,
        ).history
        self.weights = copies(module.state_dict())
        if SUPERNET not in self.finished:
            with self.whole():
                self.finish(SUPERNET, {"seconds": sum(record.seconds for record in history),
                                       "val_accuracy": history[-1].val_accuracy})  # fmt: skip
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
                with self.whole():
                    program = scored_program(
                        self.checked, self.program, genotype, self.settings, self.given
                    )
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
        if self.run is not None:
            self.run.append(RESULTS, {"of": phase, **entry})

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What stands between the phases' own loops is finished before an interrupt counts."""
        with interruptible() as interrupt, interrupt.deferred():
            yield
        if interrupt.requested:
            raise interrupted(None if self.run is None else self.run.resume_command)

    def say(self, text: str) -> None:
        """One line for a person."""
        with self.whole():
            self.reporter.message(text)

    def _fingerprint(self) -> str:
        text, data = self.checked.module.source.text, sorted(digests(self.data).items())
        facts = (self.settings, self.program.name, sorted(self.given.items()), data, text)
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def _unordered(genotype: Genotype) -> Genotype:
    """The genotype with the edges of each cell by number: their order tells only their strength."""
    cells = tuple(
        (name, tuple(sorted(edges, key=lambda chosen: chosen.edge)))
        for name, edges in genotype.cells
    )
    return replace(genotype, cells=cells)

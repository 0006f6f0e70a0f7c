"""`method all`: several methods under one budget, from one supernet, and what their answers are worth.

Source: Efficient Attention Network, section 6.2 and Table 4. Beside the methods stand the network
with no slot connected and the one with all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.search.halves import Halves
from genolang.search.health import Sign, signs
from genolang.search.job import SUPERNET, Job
from genolang.search.references import Reference, Verdict, describe, verdicts
from genolang.search.schemes import SchemeSpace
from genolang.search.score import fresh_module
from genolang.search.space import Genotype, schemes
from genolang.search.timing import Increment, measure_increments
from genolang.search.workers import Task, Workers
from genolang.search.writeback import discrete_program
from genolang.semantics.check import Checked, expand_network
from genolang.semantics.methods import AllSettings, Method, Sampling, with_budget
from genolang.semantics.program import Program
from genolang.semantics.settings import SearchSettings
from genolang.train.batches import generator_for
from genolang.train.datasets import Dataset
from genolang.train.phase import Phase

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

BATCH = 50
"""Images of a timed pass. Source: Efficient Attention Network, section 5.1."""

TIMING = "timing"
REFERENCES = {"none": "cheapest", "full": "dearest"}
"""The references by the labels of their rows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one method found, and how good and fast it is.

    `label` names its files and phases, `method` is the method as written. Accuracies are 0 to 1:
    `score` trained from scratch, `supernet_accuracy` in the supernet. `connections` counts slots.
    `seconds` is the search without the supernet's training; `evaluations` and `schemes` how many
    schemes were asked for and how many different ones measured. The references were not searched.
    """

    label: str
    method: str
    genotype: Genotype
    score: float
    supernet_accuracy: float | None
    increment: Increment
    connections: int
    params: int
    macs: int
    seconds: float
    evaluations: int
    schemes: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The methods' answers in the order of the settings, then the references.

    `verdicts` say whether the best answer beats the references by more than `spread`, `signs` that a
    method found nothing. `slots` is how many there are, `plain_seconds` the time of a timed pass with
    none connected, `supernet_seconds` that of the training that all methods share.
    """

    answers: tuple[Answer, ...]
    spread: float
    verdicts: tuple[Verdict, ...]
    signs: tuple[Sign, ...]
    slots: int
    plain_seconds: float
    supernet_seconds: float
    seconds: float

    @property
    def best(self) -> Answer:
        """The searched answer of the highest score, of equals the first."""
        return best_of(self.answers)


def best_of(answers: Sequence[Answer]) -> Answer:
    """The searched answer of the highest score, of equals the first."""
    searched = [answer for answer in answers if answer.label not in REFERENCES]
    return max(searched, key=lambda answer: answer.score)


def run_comparison(
    checked: Checked,
    network_name: str | None,
    given: Mapping[str, Any],
    settings: SearchSettings,
    data: Dataset,
    whole: Phase,
    workers: Workers | None = None,
) -> Comparison:
    """Runs every method of `settings.sampling` under the seed of `whole`; to resume repeats no phase.

    With `workers` the scores are trained side by side with the searches and with one another.

    Raises what `genolang.search.search.run_search` raises.
    """
    program = expand_network(checked, network_name, given)
    if not program.choices:
        raise fail("G505", f"the network `{program.name}` has no choices to search")
    job = Job(checked, program, given, settings, data, whole, workers)
    job.open()
    return _Comparison(job).finish()


class _Comparison:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.space = SchemeSpace(job.program)
        self.words = {label: describe(name, self.space) for label, name in REFERENCES.items()}
        assert isinstance(job.settings.sampling, AllSettings)
        self.all = job.settings.sampling
        self.methods = {label(method): method for method in self.all.methods}
        assert len(self.methods) == len(self.all.methods), "labels tell methods apart"

    def finish(self) -> Comparison:
        job, seed = self.job, self.job.settings.seed
        references = {"none": self.space.genotype(self.space.plain), "full": self.space.genotype(self.space.full)}
        for name, genotype in references.items():
            job.offer(Task(f"score-{name}", seed, genotype))
        genotypes = {}
        for name in self.methods:
            if f"search-{name}" not in job.finished:
                job.say(f"searching by {self.methods[name]}")
                weights = job.supernet(self.space)
                job.search(f"search-{name}", self.settings_of(name), seed, weights)
            genotypes[name] = Genotype.from_json(job.finished[f"search-{name}"]["genotype"])
            job.offer(Task(f"score-{name}", seed, genotypes[name]))
        genotypes |= references
        scores = {}
        for name, genotype in genotypes.items():
            of = f"the answer of {self.methods[name]}" if name in self.methods else self.words[name]
            job.say(f"training {of} from scratch")
            scores[name] = job.score(f"score-{name}", genotype)
        programs = {
            name: discrete_program(job.checked, job.program, genotype, job.given)
            for name, genotype in genotypes.items()
        }
        if TIMING not in job.finished:
            job.alone()
            job.say("timing the answers")
            with job.whole.undisturbed():
                job.finish(TIMING, self.timing(programs, genotypes))
        answers = tuple(
            self.answer(name, genotype, scores[name], programs[name]) for name, genotype in genotypes.items()
        )
        shared = float(job.finished[SUPERNET]["seconds"])
        spent = shared + job.seconds + sum(answer.seconds for answer in answers)
        plain_seconds = float(job.finished[TIMING]["plain_seconds"])
        rivals = [Reference(a.label, a.method, a.score, a.params, a.macs) for a in answers if a.label in REFERENCES]
        apart, said = verdicts(best_of(answers).score, rivals, (), len(self.labels))
        return Comparison(
            answers, apart, said, self.signs(answers), len(self.space.plugs), plain_seconds, shared, spent
        )

    def signs(self, answers: Sequence[Answer]) -> tuple[Sign, ...]:
        """What speaks against each method's answer, by the method's name."""
        found: list[Sign] = []
        for answer in answers:
            entry = self.job.finished.get(f"search-{answer.label}")
            if entry is not None:
                bad = signs(
                    self.job.program,
                    self.settings_of(answer.label),
                    answer.genotype,
                    entry.get("entropy", {}),
                    answer.score,
                    entry["val_accuracy"],
                    self.labels,
                )
                found += [Sign(one.kind, f"{answer.method}: {one.text}") for one in bad]
        return tuple(found)

    @property
    def labels(self) -> Tensor:
        """Those of the images that measure answers."""
        job = self.job
        return job.data.train_labels[Halves(job.settings, job.data, job.whole.device).choices]

    def settings_of(self, name: str) -> SearchSettings:
        """The settings of one method under the common budget.

        A differentiable search measures no schemes: it trains for as many epochs as pass as many
        images, those of the schemes' statistics among them, where a backward pass counts two.
        """
        method, settings = self.methods[name], self.job.settings
        if method.sampling is not None:
            assert isinstance(method.sampling, Sampling)
            sampling = with_budget(method.sampling, self.all.evaluations)
            return replace(settings, method=method.method, sampling=sampling)
        passes = 6 if method.order == 1 else 15
        halves = Halves(settings, self.job.data, self.job.whole.device)
        measured = len(halves.choices) + settings.statistics * min(settings.batch, len(halves.weights))
        epochs = max(1, round(self.all.evaluations * measured / len(halves.weights) / passes))
        return replace(settings, method=method.method, order=method.order, sampling=None, epochs=epochs)

    def timing(self, programs: Mapping[str, Program], genotypes: Mapping[str, Genotype]) -> dict[str, Any]:
        """The increments over the network without connections; one answer is timed once."""
        job = self.job
        firsts: dict[Genotype, str] = {}
        for name, genotype in genotypes.items():
            firsts.setdefault(genotype, name)

        def module_of(name: str) -> NetworkModule:
            return fresh_module(programs[name], job.whole).to(job.whole.device)

        shape = (BATCH, *job.program.input)
        images = torch.randn(shape, generator=generator_for(job.settings.seed, "timing")).to(job.whole.device)
        timed = {name: module_of(name) for name in firsts.values() if name != firsts[genotypes["none"]]}
        increments, seconds = measure_increments(module_of("none"), timed, images)
        increments[firsts[genotypes["none"]]] = Increment(0.0, 0.0, 0.0)
        return {
            "plain_seconds": seconds,
            "batch": BATCH,
            "device": str(job.whole.device),
            "time_increments": {name: asdict(increments[firsts[g]]) for name, g in genotypes.items()},
        }

    def answer(self, name: str, genotype: Genotype, score: float, program: Program) -> Answer:
        found = self.job.finished.get(f"search-{name}", {})
        history = sum(record["seconds"] for record in found.get("history", ()))
        return Answer(
            name,
            str(self.methods[name]) if name in self.methods else self.words[name],
            genotype,
            score,
            found.get("val_accuracy"),
            Increment(**self.job.finished[TIMING]["time_increments"][name]),
            sum(bits.count("1") for bits in schemes(self.job.program, genotype).values()),
            program.params,
            program.block.macs[0],
            found.get("seconds", 0.0) + history,
            found.get("evaluations", 0),
            found.get("schemes", 0),
        )


def label(method: Method) -> str:
    """A method's name for files and phases: `heuristic(every=3, offset=1)` is heuristic-every-3-offset-1."""
    text = method.method if method.sampling is None and method.order == 1 else str(method)
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")

"""`genoc study`: are searched schemes better than random ones, and does the supernet know?

Source: Efficient Attention Network, sections 4.3 and 6.1 and figure 4. Phases are those of a search,
so a study that was stopped goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from genolang.search.evaluator import Evaluator
from genolang.search.halves import Halves
from genolang.search.job import Job
from genolang.search.normalising import FreshStatistics
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.search.score import fresh_module
from genolang.search.significance import Correlation, Welch, correlation, welch
from genolang.search.space import Genotype, schemes
from genolang.search.workers import Task
from genolang.train.batches import generator_for


@dataclass(frozen=True, slots=True)
class Drawn:
    """A scheme as text, how many slots it connects, its accuracy (0 to 1) trained from scratch."""

    scheme: str
    connections: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class SchemesStudy:
    """Searched schemes against random ones with as many connections, and the test of their means."""

    searched: tuple[Drawn, ...]
    random: tuple[Drawn, ...]
    test: Welch


@dataclass(frozen=True, slots=True)
class CorrelationStudy:
    """Random schemes: (scheme, accuracy in the supernet, accuracy trained from scratch)."""

    pairs: tuple[tuple[str, float, float], ...]
    found: Correlation


def study_schemes(job: Job, count: int, random: int) -> SchemesStudy:
    """Searches under `count` seeds from one supernet; trains what was found and `random` others.

    The i-th of either kind is trained under the i-th seed, so that a scheme that is found twice is
    two trials. Random schemes take their numbers of connections from the searched ones in turn; in
    a space without slots they are drawn without a condition. Raises what a search raises.
    """
    assert min(count, random) >= 2, "a test needs two of each kind"
    space = SchemeSpace(job.program)
    seed = job.settings.seed
    searched: list[Genotype] = []
    for number in range(count):
        phase = f"search-{number}"
        if phase not in job.finished:
            job.say(f"search {number + 1} of {count}")
            job.search(phase, job.settings, seed + number, job.supernet(space))
        searched.append(Genotype.from_json(job.finished[phase]["genotype"]))
    drawn = []
    for number in range(random):
        generator = generator_for(seed, "study", number)
        wanted = _connections(job, searched[number % count])
        scheme = space.draw_with(wanted, generator) if space.plugs else space.draw(generator=generator)
        drawn.append(space.genotype(scheme))
    kinds = {"searched": searched, "random": drawn}
    for kind, genotypes in kinds.items():
        for number, genotype in enumerate(genotypes):
            job.offer(Task(f"score-{kind}-{number}", seed + number, genotype))
    scored: dict[str, list[Drawn]] = {kind: [] for kind in kinds}
    for kind, genotypes in kinds.items():
        for number, genotype in enumerate(genotypes):
            job.say(f"{kind} scheme {number + 1} of {len(genotypes)}")
            accuracy = job.score(f"score-{kind}-{number}", genotype, seed + number)
            scored[kind].append(Drawn(_text(job, genotype), _connections(job, genotype), accuracy))
    test = welch(*([one.accuracy for one in ones] for ones in scored.values()))
    return SchemesStudy(tuple(scored["searched"]), tuple(scored["random"]), test)


def study_correlation(job: Job, count: int) -> CorrelationStudy:
    """Measures random schemes, no two of them the same, in the supernet and trained from scratch.

    Raises what a search raises.
    """
    assert count >= 3, "two pairs always lie on a line"
    space = SchemeSpace(job.program)
    drawn: dict[Scheme, None] = {}
    generator = generator_for(job.settings.seed, "study")
    # Bounded: of a small space all schemes may be wanted.
    for _ in range(1000 * count):
        drawn.setdefault(space.draw(job.settings.connect, generator))
        if len(drawn) == count:
            break
    for number, scheme in enumerate(drawn):
        job.offer(Task(f"score-{number}", job.settings.seed, space.genotype(scheme)))
    phase = f"measured-{len(drawn)}"
    if phase not in job.finished:
        job.finish(phase, {"accuracies": _measured(job, space, list(drawn))})
    pairs = []
    measured = job.finished[phase]["accuracies"]
    for number, (scheme, inside) in enumerate(zip(drawn, measured, strict=True)):
        job.say(f"scheme {number + 1} of {len(drawn)}")
        alone = job.score(f"score-{number}", space.genotype(scheme))
        pairs.append((space.text(scheme), float(inside), alone))
    return CorrelationStudy(tuple(pairs), correlation(*zip(*(pair[1:] for pair in pairs), strict=True)))


def _measured(job: Job, space: SchemeSpace, wanted: list[Scheme]) -> list[float]:
    weights = job.supernet(space)
    with job.whole.undisturbed():
        module = fresh_module(job.program, job.whole)
        module.load_state_dict(weights)
        module.to(job.whole.device)
    halves = Halves(job.settings, job.data, job.whole.device)
    statistics = FreshStatistics.asked(job.settings, module, halves, job.settings.seed)
    evaluator = Evaluator(module, space, halves, 1.0, 0.0, statistics)
    found = []
    for number, scheme in enumerate(wanted):
        with job.whole.undisturbed():
            found.append(evaluator(scheme).accuracy)
        if number % 10 == 9:
            job.say(f"{number + 1} of {len(wanted)} schemes measured in the supernet")
    return found


def _connections(job: Job, genotype: Genotype) -> int:
    return sum(bits.count("1") for bits in schemes(job.program, genotype).values())


def _text(job: Job, genotype: Genotype) -> str:
    bits = schemes(job.program, genotype)
    return "|".join(bits.values()) if bits else str(genotype.to_json())

"""`genoc search`: searches under several seeds, the best answer by its score, a random control.

A run goes through phases (`search-3`, `score-3`, `score-random-0`, ...). What each found goes to
the journal under the phase `results`, so that a resumed run repeats no finished phase.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genolang.diagnostics import fail
from genolang.search.halves import Halves
from genolang.search.health import Sign, signs
from genolang.search.job import REFERENCE, Job, Trial
from genolang.search.references import Reference, Verdict, verdicts
from genolang.search.space import Genotype
from genolang.search.strategy import SearchEpoch
from genolang.search.workers import Task, Workers
from genolang.semantics.check import Checked, expand_network
from genolang.semantics.settings import SearchSettings
from genolang.train.datasets import Dataset
from genolang.train.phase import Phase


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
    checked: Checked,
    network_name: str | None,
    given: Mapping[str, Any],
    settings: SearchSettings,
    data: Dataset,
    whole: Phase,
    workers: Workers | None = None,
) -> SearchResult:
    """Searches under the seeds of `whole`, one more, ...; of equally good answers the first counts.

    All scores train under the first seed; one answer is scored once. To resume goes on from the run's
    folder at any point, to the same answer. With `workers` the searches and the scores are trained
    side by side, to the same answer too. Raises G505 for a network without choices, G706 for
    another run's folder, G710 when interrupted, and what its parts raise.
    """
    program = expand_network(checked, network_name, given)
    if not program.choices:
        raise fail("G505", f"the network `{program.name}` has no choices to search")
    assert settings.method != "all", "several methods are run by `run_comparison`"
    job = Job(checked, program, given, settings, data, whole, workers)
    seed, settings = whole.seed, job.settings
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
    labels = data.train_labels[Halves(settings, data, whole.device).choices]
    apart, said = verdicts(best.score, found, baseline, len(labels))
    bad = signs(program, settings, best.genotype, best.entropy, best.score, best.val_accuracy, labels)
    return SearchResult(
        best.genotype,
        best.score,
        best.seed,
        baseline,
        baseline_random=sum(baseline) / len(baseline) if baseline else None,
        rank=1 + sum(score > best.score for score in baseline) if baseline else None,
        val_accuracy=best.val_accuracy,
        seconds=job.seconds,
        history=best.history,
        trials=tuple(trials),
        references=found,
        spread=apart,
        verdicts=said,
        signs=bad,
        stopped=best.stopped,
    )

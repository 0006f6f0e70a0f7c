from dataclasses import replace

import pytest
import torch
from search.slot_space import CHOICES, SLOTS, settings_for
from search.tiny_space import COMMAND, CPU, StopAfter, checked_text, small_digits

from genolang.diagnostics import GenoError
from genolang.search.evaluator import Evaluator
from genolang.search.halves import Halves
from genolang.search.job import Job
from genolang.search.schemes import SchemeSpace
from genolang.search.score import fresh_module
from genolang.search.significance import correlation, welch
from genolang.search.studies import study_correlation, study_schemes
from genolang.semantics.check import expand_network
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder, read_journal


def job_of(run=None, text=SLOTS, name="ean", resume=False, reporter=None, **changes):
    whole = Phase(3, CPU, run, resume=resume, reporter=reporter or SilentReporter())
    checked = checked_text(text)
    program = expand_network(checked, "slots" if text is SLOTS else None, {})
    settings = replace(settings_for(name, **changes), seed=3)
    job = Job(checked, program, {}, settings, small_digits(), whole)
    job.open()
    return job


def test_searched_schemes_stand_against_random_ones_with_as_many_connections():
    found = study_schemes(job_of(), count=2, random=4)
    assert [one.connections for one in found.random] == 2 * [one.connections for one in found.searched]
    for one in (*found.searched, *found.random):
        assert one.connections == one.scheme.count("1") and len(one.scheme) == 7
    assert found.test == welch(*([one.accuracy for one in kind] for kind in (found.searched, found.random)))


def test_a_scheme_that_is_found_twice_is_trained_under_two_seeds(monkeypatch):
    job = job_of(name="heuristic")
    trained = []
    usual = job.score.__func__
    monkeypatch.setattr(
        Job,
        "score",
        lambda self, phase, genotype, seed=None: (trained.append((phase, seed)), usual(self, phase, genotype, seed))[1],
    )
    found = study_schemes(job, count=3, random=2)
    assert len({one.scheme for one in found.searched}) == 1
    assert trained == [
        ("score-searched-0", 3),
        ("score-searched-1", 4),
        ("score-searched-2", 5),
        ("score-random-0", 3),
        ("score-random-1", 4),
    ]
    assert len(job.known) == 5


def test_the_supernet_is_trained_once_for_all_searches(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        study_schemes(job_of(folder, name="random"), count=2, random=2)
    phases = [entry["phase"] for entry in read_journal(tmp_path)]
    assert phases.count("supernet") == 1
    steps = [[e["schemes"] for e in read_journal(tmp_path) if e["phase"] == f"search-{n}"] for n in (0, 1)]
    assert steps[0] != steps[1] and len(steps[0]) == len(steps[1]) == 12


def test_pairs_are_the_supernets_accuracy_and_the_one_from_scratch():
    job = job_of()
    found = study_correlation(job, 5)
    assert len({scheme for scheme, _, _ in found.pairs}) == 5
    space = SchemeSpace(job.program)
    module = fresh_module(job.program, job.whole)
    module.load_state_dict(job.supernet(space))
    evaluator = Evaluator(module, space, Halves(job.settings, job.data, CPU), 1.0, 0.0)
    for scheme, inside, alone in found.pairs:
        parsed = space.parse(scheme)
        assert evaluator(parsed).accuracy == inside
        assert job_of().score("score-again", space.genotype(parsed)) == alone
    assert found.found == correlation([p[1] for p in found.pairs], [p[2] for p in found.pairs])


def test_a_small_space_gives_no_more_pairs_than_it_has_schemes():
    found = study_correlation(job_of(text=CHOICES, name="random"), 40)
    assert found.found.n == 12


@pytest.mark.parametrize("work", [lambda job: study_schemes(job, 2, 2), lambda job: study_correlation(job, 3)])
def test_a_study_that_was_stopped_goes_on_to_the_same_numbers(work, tmp_path):
    counter = StopAfter(0)
    expected = work(job_of(reporter=counter))
    calls = -counter.left // 2
    with RunFolder.create(tmp_path, "", COMMAND) as folder, pytest.raises(GenoError) as error:
        work(job_of(folder, reporter=StopAfter(calls)))
    assert error.value.diagnostics[0].code == "G710"
    with RunFolder.resume(tmp_path) as folder:
        assert work(job_of(folder, resume=True)) == expected


def test_random_schemes_of_a_number_of_connections_are_all_as_likely():
    space = SchemeSpace(expand_network(checked_text(SLOTS), "slots", {}))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([space.draw_with(2, generator) for _ in range(600)]).double()
    assert set(drawn.sum(1).tolist()) == {2.0} and (drawn.mean(0) - 1 / 3).abs().max() < 0.07

from dataclasses import replace

import pytest
import torch
from search.slot_space import SLOTS, TWELVE
from search.tiny_space import COMMAND, CPU, SETTINGS, StopAfter, checked_text, small_digits
from torch import nn

from genolang.diagnostics import GenoError
from genolang.search import comparison, job, timing
from genolang.search.comparison import label, run_comparison
from genolang.search.timing import Increment, measure_increments
from genolang.semantics.check import expand_network
from genolang.semantics.methods import AllSettings, HeuristicSettings, Method
from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder, read_journal

METHODS = (
    *(Method(name.partition("-")[0], sampling=made) for name, made in TWELVE.items()),
    Method("darts"),
    Method("heuristic", sampling=HeuristicSettings(3, 1)),
)
SEVERAL = replace(SETTINGS, method="all", sampling=AllSettings(12, METHODS), epochs=1, score_epochs=1)


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch):
    monkeypatch.setattr(comparison, "BATCH", 2)
    monkeypatch.setattr(timing, "SHORTEST_S", 0.0)


def compare(run=None, settings=SEVERAL, **options):
    return run_comparison(checked_text(SLOTS), "slots", {}, settings, small_digits(), Phase(3, CPU, run, **options))


def timeless(found):
    """Without what depends on the clock."""
    still = Increment(0.0, 0.0, 0.0)
    answers = tuple(replace(a, seconds=0.0, increment=still) for a in found.answers)
    return replace(found, answers=answers, plain_seconds=0.0, supernet_seconds=0.0, seconds=0.0)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    path = tmp_path_factory.mktemp("all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "BATCH", 2)
        patch.setattr(timing, "SHORTEST_S", 0.0)
        with RunFolder.create(path, "", COMMAND) as folder:
            return path, compare(folder)


def test_every_method_has_its_row_and_beside_them_stand_none_and_all(compared):
    _, found = compared
    assert [answer.label for answer in found.answers] == [*(label(method) for method in METHODS), "none", "full"]
    none, full = found.answers[-2:]
    assert (none.connections, full.connections, found.slots) == (0, 6, 6)
    assert full.params > none.params and full.macs > none.macs
    assert none.increment == Increment(0.0, 0.0, 0.0)
    assert found.best.score == max(answer.score for answer in found.answers[:-2])


def test_every_sampled_method_measured_as_many_schemes(compared):
    _, found = compared
    asked = {answer.label: answer.evaluations for answer in found.answers}
    assert [asked[label(method)] for method in METHODS] == [12] * 6 + [0, 1]
    assert all(0 < answer.schemes <= answer.evaluations for answer in found.answers if answer.evaluations)


def test_all_methods_search_one_supernet_that_is_trained_once(compared):
    path, _ = compared
    phases = [entry["phase"] for entry in read_journal(path)]
    assert phases.count("supernet") == 1 and not any("-supernet" in phase for phase in phases)
    lines = [e for e in read_journal(path) if e["phase"].startswith("search-") and "schemes" in e]
    measured: dict[str, set[float]] = {}
    for line in lines:
        for scheme, accuracy in zip(line["schemes"], line["accuracy"], strict=True):
            measured.setdefault(scheme, set()).add(accuracy)
    # One scheme is as good in every search.
    assert all(len(values) == 1 for values in measured.values())
    assert len({line["phase"] for line in lines}) == len(METHODS) - 1  # `darts` measures no schemes


@pytest.mark.parametrize("batches, epochs", [(0, [50, 20]), (3, [100, 40])])
def test_a_differentiable_search_passes_as_many_images(batches, epochs):
    class Job:
        settings = replace(
            SEVERAL, sampling=AllSettings(300, (Method("darts"), Method("darts", 2))), statistics=batches
        )
        program = expand_network(checked_text(SLOTS), "slots", {})
        data, whole = small_digits(), Phase(3, CPU)

    # Three batches of eight for every scheme are as many images as those that measure it.
    assert len(Job.data.train_labels) == 48
    found = comparison._Comparison(Job())
    assert [found.settings_of(name).epochs for name in ("darts", "darts-order-2")] == epochs


def test_a_comparison_stopped_anywhere_comes_to_the_same_end(compared, tmp_path):
    _, expected = compared
    settings = replace(SEVERAL, sampling=AllSettings(12, METHODS[:1] + METHODS[-1:]))
    counter = StopAfter(0)
    whole = timeless(compare(settings=settings, reporter=counter))
    assert {a.label: a.score for a in whole.answers}.items() <= {a.label: a.score for a in expected.answers}.items()
    for calls in (-counter.left // 3, -counter.left - 3):
        path = tmp_path / str(calls)
        with RunFolder.create(path, "", COMMAND) as folder, pytest.raises(GenoError) as error:
            compare(folder, settings, reporter=StopAfter(calls))
        assert error.value.diagnostics[0].code == "G710"
        with RunFolder.resume(path) as folder:
            assert timeless(compare(folder, settings, resume=True)) == whole


def test_a_finished_comparison_is_read_back(compared, monkeypatch):
    path, expected = compared
    monkeypatch.setattr(job, "train_supernet", None)
    monkeypatch.setattr(comparison, "measure_increments", None)
    with RunFolder.resume(path) as folder:
        assert compare(folder, resume=True) == expected


def test_labels_are_names_for_files():
    assert [label(method) for method in METHODS] == [
        "ean-steps-4-buffer-2-replay-from-1",
        "ean-preset-text-steps-12-replay-from-1",
        "enas-steps-4",
        "genetic-evaluations-12-population-5",
        "evolution-evaluations-12-population-5-sample-2",
        "random-evaluations-12",
        "darts",
        "heuristic-every-3-offset-1",
    ]


class Clock(nn.Module):
    """A network that takes a given time by a clock of its own."""

    now = 0.0

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.calls, self.modes = seconds, 0, set()

    def forward(self, x):
        self.calls += 1
        self.modes.add((self.training, torch.is_grad_enabled()))
        # Whoever comes first in a round is slower, by half.
        Clock.now += self.seconds * (1.5 if self.calls == 3 else 1.0)
        return x


def test_an_increment_is_relative_to_the_plain_network_of_the_same_round(monkeypatch):
    monkeypatch.setattr(timing.time, "perf_counter", lambda: Clock.now)
    plain, slow, same = Clock(2.0), Clock(2.5), Clock(2.0)
    found, seconds = measure_increments(plain, {"slow": slow, "same": same}, torch.zeros(1), rounds=7, limit_s=1e9)
    assert found["slow"].median == pytest.approx(0.25) and found["same"].median == pytest.approx(0.0)
    assert found["slow"].low <= 0.25 <= found["slow"].high and seconds == 2.0
    assert plain.calls == 9 and slow.calls == 8 and slow.modes == {(False, False)}


def test_rounds_end_early_but_not_before_five(monkeypatch):
    monkeypatch.setattr(timing.time, "perf_counter", lambda: Clock.now)
    plain, slow = Clock(10.0), Clock(20.0)
    measure_increments(plain, {"slow": slow}, torch.zeros(1), rounds=50, limit_s=1.0)
    assert slow.calls == 6

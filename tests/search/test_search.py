import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from search.tiny_space import COMMAND, CPU, SETTINGS, SMALL, TEXT, StopAfter, checked_text, program_of, small_digits

from genolang.diagnostics import GenoError, Source
from genolang.search import job
from genolang.search.search import run_search
from genolang.search.space import Genotype, derive, random_genotype
from genolang.search.strategy import Searched, SearchEpoch
from genolang.search.writeback import discrete_text
from genolang.semantics.check import check_source, expand_network
from genolang.semantics.space import count_genotypes
from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder, read_journal


def run(folder=None, *, text=TEXT, settings=SETTINGS, seed=3, data=None, **options):
    checked = checked_text(text)
    return run_search(checked, None, {}, settings, data or small_digits(), Phase(seed, CPU, folder, **options))


def timeless(result):
    def plain(history):
        return tuple(replace(record, seconds=0.0) for record in history)

    trials = tuple(replace(trial, history=plain(trial.history)) for trial in result.trials)
    return replace(result, seconds=0.0, history=plain(result.history), trials=trials)


def test_a_search_ends_with_an_answer_that_is_a_network(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        result = run(folder)
    assert result.seed in (3, 4) and 0 <= result.score <= 1
    assert len(result.baseline) == 2 and len(result.trials) == 2 and len(result.history) == 2
    assert result.baseline_random == pytest.approx(sum(result.baseline) / 2)
    assert result.rank == 1 + sum(score > result.score for score in result.baseline)
    assert result.seconds > 0
    text = discrete_text(checked_text(), program_of(), result.genotype)
    found = check_source(Source("found.geno", text))
    assert found.ok and not expand_network(found, None, {}).choices
    phases = {entry["phase"] for entry in read_journal(tmp_path)}
    assert phases >= {"search-3", "score-3", "search-4", "score-random-0", "results"}


def test_two_choices_on_an_edge_are_searched_side_by_side(tmp_path):
    text = (
        TEXT.replace("import std.ops", "import std.ops, std.attention")
        .replace("cell normal", "choice gate = identity | se\n\ncell normal", 1)
        .replace("operation -> drop_path", "operation -> gate -> drop_path")
    )
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        result = run(folder, text=text)
    (first, *_) = read_journal(tmp_path, "search-3")
    assert {key: len(rows[0]) for key, rows in first["logits"].items()} == {"normal.operation": 4, "normal.gate": 2}
    found = discrete_text(checked_text(text), program_of(text), result.genotype)
    program = expand_network(check_source(Source("found.geno", found)), None, {})
    assert not program.choices


def test_two_runs_give_the_same_result_with_and_without_a_folder(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        assert timeless(run(folder)) == timeless(run())


def test_the_answer_is_derived_from_the_last_epochs_logits(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        result = run(folder)
    for trial in result.trials:
        lines = [e for e in read_journal(tmp_path) if e["phase"] == f"search-{trial.seed}"]
        assert derive(program_of(), lines[-1]["logits"]) == trial.genotype


def test_without_a_control_there_is_no_baseline():
    result = run(settings=replace(SETTINGS, seeds=1, random=0))
    assert (result.baseline, result.baseline_random, result.rank) == ((), None, None)


def test_a_network_without_choices_is_refused():
    text = discrete_text(checked_text(), program_of(), run().genotype)
    with pytest.raises(GenoError) as error:
        run(text=text)
    assert error.value.diagnostics[0].code == "G505"


class Scripted:
    """Searches and scores by a script instead of by training."""

    def __init__(self, monkeypatch, answers, scores):
        self.trained = []
        program = program_of()

        def strategy(module, settings, data, phase, program, *, trained, derives):
            seed, rows = phase.seed, answers[phase.seed]
            record = SearchEpoch(0, 1.0, 0.5, 1.0, 0.1 * seed, 0.1, 1.0, 1.0, ())
            return Searched({"normal.operation": rows}, 0.1 * seed, (record,))

        def score(found, settings, data, phase):
            self.trained.append((phase.name, phase.seed))
            record = SimpleNamespace(val_accuracy=scores.get(phase.name, 0.5), seconds=2.0)
            return SimpleNamespace(history=(record,))

        monkeypatch.setattr(job, "STRATEGIES", {"darts": strategy})
        monkeypatch.setattr(job, "train_score", score)
        self.program = program


def rows(best, count=5):
    return [[1.0 if option == best else 0.0 for option in range(4)] for _ in range(count)]


def test_the_best_score_wins_whatever_the_supernet_says(monkeypatch):
    answers = {3: rows(1), 4: rows(2), 5: rows(3)}
    scores = {"score-3": 0.6, "score-4": 0.8, "score-5": 0.7}
    Scripted(monkeypatch, answers, scores)
    result = run(settings=replace(SETTINGS, seeds=3))
    assert (result.seed, result.score, result.val_accuracy) == (4, 0.8, 0.4)
    assert result.genotype == derive(program_of(), {"normal.operation": rows(2)})
    assert [trial.score for trial in result.trials] == [0.6, 0.8, 0.7]
    assert result.seconds == 3 * 1.0 + 5 * 2.0


def test_of_equal_scores_the_earlier_seed_wins(monkeypatch):
    Scripted(monkeypatch, {3: rows(1), 4: rows(2), 5: rows(3)}, {"score-3": 0.6, "score-4": 0.8, "score-5": 0.8})
    assert run(settings=replace(SETTINGS, seeds=3)).seed == 4


def test_all_answers_are_scored_under_one_seed_and_the_same_answer_once(monkeypatch):
    script = Scripted(monkeypatch, {3: rows(1), 4: rows(1), 5: rows(2)}, {"score-3": 0.7})
    result = run(settings=replace(SETTINGS, seeds=3, random=0))
    assert script.trained == [("score-3", 3), ("score-5", 3)]
    assert [trial.score for trial in result.trials] == [0.7, 0.7, 0.5]


def test_the_order_of_an_answers_edges_does_not_make_it_another(monkeypatch):
    strong = rows(1)
    strong[1][1] = 2.0
    script = Scripted(monkeypatch, {3: rows(1), 4: strong}, {"score-3": 0.7})
    result = run(settings=replace(SETTINGS, seeds=2, random=0))
    assert result.trials[0].genotype != result.trials[1].genotype
    assert script.trained == [("score-3", 3)]


def test_the_rank_counts_the_random_answers_that_are_better(monkeypatch):
    scores = {"score-3": 0.6, "score-random-0": 0.7, "score-random-1": 0.6, "score-random-2": 0.9}
    Scripted(monkeypatch, {3: rows(1)}, scores)
    result = run(settings=replace(SETTINGS, seeds=1, random=3))
    assert result.baseline == (0.7, 0.6, 0.9) and result.rank == 3
    assert result.baseline_random == pytest.approx(2.2 / 3)


def test_random_answers_are_distinct_and_as_many_as_there_are(monkeypatch):
    script = Scripted(monkeypatch, {3: [[0.0, 1.0, 0.0, 0.0, 0.0]]}, {})
    settings = replace(SETTINGS, seeds=1, random=50)
    result = run(text=SMALL, settings=settings)
    assert count_genotypes(program_of(SMALL)) == 4 == len(result.baseline)
    # One of the four is the searched answer itself.
    assert len(script.trained) == 4


def test_random_answers_come_from_the_seed_alone(monkeypatch, tmp_path):
    def drawn(name, seeds, seed=3):
        with RunFolder.create(tmp_path / name, "", COMMAND) as folder:
            Scripted(monkeypatch, {s: rows(1) for s in range(9)}, {})
            run(folder, seed=seed, settings=replace(SETTINGS, seeds=seeds, random=4))
        found = [e for e in read_journal(tmp_path / name) if "random" in e.get("of", "")]
        return [Genotype.from_json(entry["genotype"]) for entry in found]

    first = drawn("a", 1)
    assert len(set(first)) == 4 and first == drawn("b", 2) != drawn("c", 1, seed=4)


def test_a_genotype_survives_the_journal():
    program = program_of()
    for number in range(20):
        genotype = random_genotype(program, random.Random(number))
        assert Genotype.from_json(genotype.to_json()) == genotype


def test_a_run_stopped_after_every_single_step_comes_to_the_same_end(tmp_path):
    settings = replace(SETTINGS, epochs=1, score_epochs=1)
    expected = timeless(run(settings=settings))
    RunFolder.create(tmp_path, "", COMMAND).close()
    sittings = 0
    for _ in range(60):
        sittings += 1
        with RunFolder.resume(tmp_path) as folder:
            try:
                stop = StopAfter(1, at_messages=False)
                result = run(folder, settings=settings, resume=True, reporter=stop)
                break
            except GenoError as error:
                assert error.diagnostics[0].code == "G710"
    assert sittings > 15 and timeless(result) == expected


@pytest.mark.parametrize(("order", "stride"), [(1, 3), (2, 8)])
def test_a_run_stopped_anywhere_goes_on_and_repeats_nothing(tmp_path, order, stride):
    settings = replace(SETTINGS, epochs=1, order=order)
    reporter = StopAfter(0)
    expected = timeless(run(settings=settings, reporter=reporter))
    for calls in range(1, -reporter.left + 1, stride):
        path = tmp_path / str(calls)
        first, second = StopAfter(calls), StopAfter(0)
        with RunFolder.create(path, "", COMMAND) as folder, pytest.raises(GenoError) as error:
            run(folder, settings=settings, reporter=first)
        assert error.value.diagnostics[0].code == "G710"
        with RunFolder.resume(path) as folder:
            result = run(folder, settings=settings, resume=True, reporter=second)
        assert timeless(result) == expected
        finished = dict(first.phases[:-1])
        assert not finished.keys() & dict(second.phases).keys()
        done = [e["of"] for e in read_journal(path) if e["phase"] == "results"]
        assert len(done) == len(set(done)) == 7


def test_a_finished_run_is_read_back_without_training(tmp_path, monkeypatch):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        expected = run(folder)
    monkeypatch.setattr(job, "fresh_module", None)
    monkeypatch.setattr(job, "train_score", None)
    with RunFolder.resume(tmp_path) as folder:
        assert run(folder, resume=True) == expected


def other_image():
    data = small_digits()
    images = data.train_images.clone()
    images[7, 0, 3, 3] += 1
    return replace(data, train_images=images)


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"text": SMALL}, {"settings": replace(SETTINGS, random=3)}, {"data": other_image()}]
)
def test_resuming_another_search_is_refused(tmp_path, change):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        run(folder)
        with pytest.raises(GenoError) as error:
            run(folder, resume=True, **change)
    assert error.value.diagnostics[0].code == "G706"

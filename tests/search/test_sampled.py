"""Sampled search on a small network with slots: pre-training, evaluation, stopping, answers."""

import math
from dataclasses import replace

import pytest
import torch
from search.slot_space import METHODS, SLOTS, TWELVE, settings_for
from search.tiny_space import COMMAND, CPU, TEXT, StopAfter, checked_text, small_digits

from genolang.compiler import driver
from genolang.diagnostics import GenoError
from genolang.search.evaluator import Evaluator
from genolang.search.halves import Halves
from genolang.search.sampled import Memoryless, SampledSearch
from genolang.search.schemes import SchemeSpace
from genolang.search.search import run_search
from genolang.search.strategies import STRATEGIES
from genolang.search.supernet import train_supernet
from genolang.search.writeback import discrete_program
from genolang.semantics.check import expand_network
from genolang.semantics.settings import OptimizerSettings, Schedule
from genolang.train.evaluate import evaluate
from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder, read_journal
from genolang.train.state import copies

PROGRAM = expand_network(checked_text(SLOTS), "slots", {})
SPACE = SchemeSpace(PROGRAM)
GATE = "stage1.residual"


def module_of(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return driver.to_module(PROGRAM)


def search(name="ean", run=None, *, module=None, settings=None, **options):
    module = module or module_of()
    settings = settings or settings_for(name)
    found = STRATEGIES[settings.method](
        module, settings, small_digits(), Phase(7, CPU, run, "search", **options), PROGRAM
    )
    return module, found


def timeless(found):
    return replace(found, seconds=0.0, history=tuple(replace(r, seconds=0.0) for r in found.history))


def trained(settings, **options):
    module = module_of()
    before = copies(module.state_dict())
    fitted = train_supernet(module, SPACE, settings, small_digits(), Phase(7, CPU, name="supernet", **options))
    moved = {name for name, t in module.state_dict().items() if not torch.equal(t, before[name])}
    return module, fitted, moved


@pytest.mark.parametrize("connect, moves", [(0.0, False), (1.0, True)])
def test_pre_training_connects_slots_with_the_given_probability(connect, moves):
    _, _, moved = trained(settings_for("ean", connect=connect))
    gates = {name for name in module_of().state_dict() if "residual" in name}
    assert gates and gates & moved == (gates if moves else set())
    assert all(name in moved for name in module_of().state_dict() if "residual" not in name and "running" not in name)


def test_a_step_trains_one_scheme_for_the_whole_batch_and_every_step_another(monkeypatch):
    module, drawn = module_of(), []
    usual = module.select
    monkeypatch.setattr(module, "select", lambda s: (drawn.append((module.training, s)), usual(s)))
    train_supernet(module, SPACE, replace(settings_for("ean"), epochs=12), small_digits(), Phase(7, CPU))
    schemes = [tuple(bit for bits in s.values() for bit in bits) for training, s in drawn if training]
    assert len(schemes) == 12 * 3 and len(set(schemes)) > 20
    assert 0.4 < sum(map(sum, schemes)) / (6 * len(schemes)) < 0.6
    assert all({bit for bits in s.values() for bit in bits} == {1} for training, s in drawn if not training)


def test_the_monitored_accuracy_is_that_of_all_slots_connected():
    settings = settings_for("ean")
    module, fitted, _ = trained(settings)
    module.select(SPACE.selection(SPACE.full))
    measured = evaluate(module, Halves(settings, small_digits(), CPU).measured())
    assert fitted.history[-1].val_accuracy == measured.accuracy


def test_what_a_scheme_leaves_out_is_not_stepped():
    plain = OptimizerSettings(lr=Schedule("constant", 0.1), decay=0.5)
    settings = replace(settings_for("ean", connect=0.0, weights=plain))
    _, _, moved = trained(settings)
    assert not any("residual" in name for name in moved)


def test_a_scheme_is_measured_as_the_network_that_it_is():
    settings, data = settings_for("ean"), small_digits()
    module, _, _ = trained(settings)
    evaluator = Evaluator(module, SPACE, Halves(settings, data, CPU), 100.0, 2.0)
    for scheme in ((0, 1, 1, 0, 0, 1), (0,) * 6):
        program = discrete_program(checked_text(SLOTS), PROGRAM, SPACE.genotype(scheme), {})
        alone = driver.to_module(program)
        alone.load_state_dict(module.state_dict(), strict=False)
        expected = evaluate(alone, Halves(settings, data, CPU).measured()).accuracy
        found = evaluator(scheme)
        assert (found.accuracy, found.sparsity) == (expected, 1 - sum(scheme) / 6)
        assert found.reward == pytest.approx(100 * expected + 2 * found.sparsity)


def test_a_scheme_is_measured_once_however_often_it_is_asked_for(monkeypatch):
    settings, calls = settings_for("ean"), []
    halves = Halves(settings, small_digits(), CPU)
    monkeypatch.setattr(halves, "measured", lambda m=halves.measured: (calls.append(1), m())[1])
    evaluator = Evaluator(module_of(), SPACE, halves, 1.0, 1.0)
    for scheme in ((0,) * 6, (1,) * 6, (0,) * 6, (0,) * 6):
        evaluator(scheme)
    assert (len(calls), evaluator.asked, len(evaluator.known)) == (2, 4, 2)


@pytest.mark.parametrize("name", METHODS)
def test_the_answer_is_the_measured_scheme_of_the_highest_reward(name, tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        module, found = search(name, folder)
    lines = [e for e in read_journal(tmp_path) if e["phase"] == "search"]
    asked = [pair for line in lines for pair in zip(line["schemes"], line["reward"], line["accuracy"], strict=True)]
    best = max(reward for _, reward, _ in asked)
    text, _, accuracy = next(one for one in asked if one[1] == best)
    assert SPACE.parse(text) == SPACE.parse(
        "|".join("".join(str(row.index(max(row))) for row in rows) for rows in found.logits.values())
    )
    assert found.val_accuracy == accuracy
    assert found.evaluations == len(asked) == (12 if name in TWELVE else 1)
    assert found.schemes == len({text for text, _, _ in asked})
    assert [line["step"] for line in lines] == list(range(len(lines)))
    # The mixture is back.
    assert module._runs == module_of()._runs


@pytest.mark.parametrize("name", ["ean", "enas"])
def test_the_likeliest_scheme_is_the_answer_where_that_is_asked_for(name):
    settings = settings_for(name)
    settings = replace(settings, sampling=replace(settings.sampling, answer="probability", steps=1))
    _, found = search(settings=settings)
    assert found.evaluations == 3 and found.schemes in (3, 4)


@pytest.mark.parametrize("name", METHODS)
def test_two_searches_are_equal_with_and_without_a_folder(name, tmp_path):
    state = torch.random.get_rng_state()
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        first = timeless(search(name, folder)[1])
    assert first == timeless(search(name)[1])
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", METHODS)
def test_a_search_stopped_anywhere_goes_on_to_the_same_end(name, tmp_path):
    counter = StopAfter(0, at_messages=False)
    with RunFolder.create(tmp_path / "whole", "", COMMAND) as folder:
        expected = timeless(search(name, folder, reporter=counter)[1])
        whole = folder.restore("search")
    lines = [e for e in read_journal(tmp_path / "whole") if e["phase"] == "search"]
    for calls in sorted({1, 4, 5, -counter.left - 1} - {0}):
        path = tmp_path / str(calls)
        with RunFolder.create(path, "", COMMAND) as folder, pytest.raises(GenoError) as error:
            search(name, folder, reporter=StopAfter(calls, at_messages=False))
        assert error.value.diagnostics[0].code == "G710"
        with RunFolder.resume(path) as folder:
            assert timeless(search(name, folder, resume=True)[1]) == expected
            again = folder.restore("search")
        assert [e for e in read_journal(path) if e["phase"] == "search"] == lines
        assert again.tensors.keys() == whole.tensors.keys()
        assert all(torch.equal(again.tensors[key], whole.tensors[key]) for key in whole.tensors)
        assert again.meta["evaluator"] == whole.meta["evaluator"]


def test_other_settings_are_another_search(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        search("ean", folder)
        settings = settings_for("ean")
        settings = replace(settings, sampling=replace(settings.sampling, clip=0.2))
        with pytest.raises(GenoError) as error:
            search(settings=settings, run=folder, resume=True)
    assert error.value.diagnostics[0].code == "G706"


class Lost(Memoryless):
    """A sampler that loses its numbers in the third step."""

    def __init__(self, settings, space, seed, connect):
        self.steps = 5

    def propose(self, step):
        return [(0, 1, 0, 1, 0, 1)]

    def learn(self, step, schemes, found):
        return {"loss": math.nan if step == 2 else 0.5}


class LostWeights(Lost):
    def learn(self, step, schemes, found):
        self.value = torch.tensor([math.inf if step == 2 else 1.0])
        return {}

    def state(self):
        return {"value": self.value}, {}


@pytest.mark.parametrize("made", [Lost, LostWeights])
def test_a_number_that_is_lost_stops_the_search_and_names_the_step(made, tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder, pytest.raises(GenoError) as error:
        SampledSearch(made)(
            module_of(),
            settings_for("random"),
            small_digits(),
            Phase(7, CPU, folder, "search", save_every_s=0.0),
            PROGRAM,
        )
    (found,) = error.value.diagnostics
    assert found.code == "G701" and "step 3 of 5 of `search`" in found.message
    assert "search-000001.json" in found.notes[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_whole_run_scores_its_answer_and_writes_it_back(name):
    result = run_search(checked_text(SLOTS), "slots", {}, settings_for(name), small_digits(), Phase(3, CPU))
    program = discrete_program(checked_text(SLOTS), PROGRAM, result.genotype, {})
    assert not program.choices and 0 <= result.score <= 1
    assert result.seconds > sum(record.seconds for record in result.history)


def test_darts_searches_slots_like_any_mixture():
    settings = replace(settings_for("random"), method="darts", sampling=None)
    result = run_search(checked_text(SLOTS), "slots", {}, settings, small_digits(), Phase(3, CPU))
    logits = result.trials[0].genotype.others
    assert len(logits) == 6 and {option for _, option in logits} <= {0, 1}


def test_cells_are_searched_by_samples_too():
    result = run_search(checked_text(TEXT), None, {}, settings_for("ean"), small_digits(), Phase(3, CPU))
    ((_, edges),) = result.genotype.cells
    assert len(edges) == 4

import math
from dataclasses import replace

import pytest
import torch
from search.tiny_space import COMMAND, CPU, SETTINGS, SMALL, StopAfter, program_of, small_digits, supernet

from genolang.diagnostics import GenoError
from genolang.search.halves import Halves
from genolang.search.strategies import STRATEGIES, darts
from genolang.search.strategies.darts import search_one
from genolang.semantics.settings import OptimizerSettings, Schedule
from genolang.train.batches import Batches
from genolang.train.evaluate import evaluate
from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder, read_journal
from genolang.train.state import select

ONE_STEP = replace(SETTINGS, epochs=1, augment=())
SLOW = OptimizerSettings(lr=Schedule("constant", 1e-3))


def searched(run=None, *, module=None, settings=SETTINGS, data=None, **options):
    module = module or supernet()
    result = search_one(
        module, settings, data or small_digits(), Phase(7, CPU, run, **{"name": "search", **options}), program_of()
    )
    return module, result


def everything(module):
    return {**module.state_dict(), **{f"choices/{k}": t for k, t in module.choices.items()}}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def timeless(result):
    return replace(result, history=tuple(replace(r, seconds=0.0) for r in result.history))


def diagnostic(error):
    return error.value.diagnostics[0]


def test_it_is_the_strategy_called_darts():
    assert STRATEGIES["darts"] is search_one


@pytest.mark.parametrize("order", [1, 2])
def test_two_searches_are_equal_bit_for_bit_and_leave_the_callers_generator_alone(order):
    state = torch.random.get_rng_state()
    (first, one), (second, two) = (searched(settings=replace(SETTINGS, order=order)) for _ in range(2))
    assert same(everything(first), everything(second)) and timeless(one) == timeless(two)
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_seed_draws_the_first_logits_at_the_settings_scale():
    settings = replace(ONE_STEP, choices_start=9, init=0.01)
    first, one = searched(settings=settings)
    logits = first.choices["normal.operation"]
    assert 0.003 < logits.std() < 0.03
    other = search_one(supernet(), settings, small_digits(), Phase(8, CPU), program_of())
    assert other.logits != one.logits
    _, wide = searched(settings=replace(settings, init=0.02))
    assert torch.allclose(torch.tensor(wide.logits["normal.operation"]), 2 * logits)


def test_the_answer_is_the_last_epochs_logits_and_accuracy():
    module, result = searched()
    assert result.logits == {key: t.tolist() for key, t in module.choices.items()}
    measured = evaluate(module, Halves(SETTINGS, small_digits(), CPU).measured())
    assert result.val_accuracy == measured.accuracy == result.history[-1].val_accuracy
    assert [record.epoch for record in result.history] == [0, 1]


def test_a_search_lowers_the_loss_and_prefers_operations_that_are_not_linear():
    settings = replace(SETTINGS, epochs=12, init=0.0, augment=())
    data = small_digits(300)
    _, result = searched(module=supernet(SMALL), settings=settings, data=data)
    assert result.history[-1].train_loss < 0.8 * result.history[0].train_loss
    (row,) = result.logits["normal.operation"]
    none, max_pool, avg_pool, skip, conv = row
    assert min(max_pool, conv) > max(none, avg_pool, skip)


def first_statistics(module):
    return next(m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d))


@pytest.mark.parametrize(("order", "train_passes", "val_passes"), [(1, 1, 1), (2, 4, 0)])
def test_running_statistics_move_as_published(order, train_passes, val_passes):
    settings, data = replace(ONE_STEP, order=order), small_digits(16)
    module, _ = searched(module=supernet(SMALL), settings=settings, data=data)
    halves = Halves(settings, data, CPU)
    train = halves.batches(halves.weights, 7, "weights").batch(0, 0)[0].mean()
    val = halves.batches(halves.choices, 7, "choices").random_batch(0, 0)[0].mean()
    expected = torch.zeros(())
    for mean in [val] * val_passes + [train] * train_passes:
        expected = 0.9 * expected + 0.1 * mean
    assert torch.allclose(first_statistics(module).running_mean[0], expected, atol=1e-6)


def test_clipping_is_of_the_weights_alone_in_their_own_step():
    # A first step of plain descent shows the gradients: the logits' are not clipped.
    data, descent = small_digits(16), OptimizerSettings(lr=Schedule("constant", 1.0), momentum=0.0)

    def moved(order, clip):
        settings = replace(ONE_STEP, order=order, init=0.0, choices=descent, weights=replace(descent, clip=clip))
        module = supernet()
        before = torch.cat([p.detach().flatten().clone() for p in module.parameters()])
        searched(module=module, settings=settings, data=data)
        after = torch.cat([p.detach().flatten() for p in module.parameters()])
        return module.choices["normal.operation"].detach(), (after - before).norm()

    for order in (1, 2):
        free, far = moved(order, None)
        clipped, near = moved(order, 1e-3)
        assert torch.equal(free, clipped) and free.norm() > 1e-4
        assert far > 0.1 and near == pytest.approx(1e-3, rel=1e-2)


def test_the_logits_decay_in_the_l2_form():
    plain = OptimizerSettings("sgd", Schedule("constant", 1.0), momentum=0.0)
    data, moved = small_digits(16), []
    for decay in (0.0, 0.5):
        settings = replace(ONE_STEP, init=1.0, choices=replace(plain, decay=decay))
        module, _ = searched(settings=settings, data=data)
        moved.append(module.choices["normal.operation"].detach())
    start, _ = searched(settings=replace(ONE_STEP, init=1.0, choices_start=1), data=data)
    expected = moved[0] - 0.5 * start.choices["normal.operation"].detach()
    assert torch.allclose(moved[1], expected, atol=1e-6)


def test_the_choices_step_comes_first_and_the_weights_see_it(monkeypatch):
    order = []
    for name in ("_move_choices", "_move_weights"):
        whole = getattr(darts._Loop, name)

        def spied(loop, batch, name=name, whole=whole):
            order.append((name, batch[1].tolist()))
            return whole(loop, batch)

        monkeypatch.setattr(darts._Loop, name, spied)
    searched()
    assert [name for name, _ in order] == ["_move_choices", "_move_weights"] * 6
    assert all(order[i][1] == order[i + 1][1] for i in range(0, 12, 2))


def test_the_learning_rate_of_epoch_49_is_that_of_the_public_logs():
    settings = replace(SETTINGS, epochs=50, batch=24, weights=OptimizerSettings(lr=Schedule("cosine", 0.025, 0.001)))
    _, result = searched(module=supernet(SMALL), settings=settings)
    assert result.history[0].lr == 0.025
    assert result.history[49].lr == pytest.approx(1.023679e-3, rel=1e-6)


def test_choices_do_not_move_before_their_first_epoch():
    settings = replace(SETTINGS, epochs=3, choices_start=2)
    _, still = searched(settings=replace(settings, epochs=2))
    _, moved = searched(settings=settings)
    _, never = searched(settings=replace(settings, choices_start=5))
    assert still.logits == never.logits != moved.logits
    assert [r.choices_loss is None for r in moved.history] == [True, True, False]


@pytest.mark.parametrize("split", [0.5, 0.8])
def test_validation_batches_are_fresh_draws_or_one_pass(monkeypatch, split):
    asked = []
    batch, fresh = Batches.batch, Batches.random_batch

    def spy(name, whole):
        def spied(self, epoch, step):
            if self._key[1] == "choices":
                asked.append((name, epoch, step))
            return whole(self, epoch, step)

        return spied

    monkeypatch.setattr(Batches, "batch", spy("pass", batch))
    monkeypatch.setattr(Batches, "random_batch", spy("fresh", fresh))
    settings = replace(SETTINGS, split=split)
    steps = {0.5: 3, 0.8: 5}[split]
    searched(settings=settings)
    assert asked == [("fresh", e, s) for e in range(2) for s in range(steps)]
    asked.clear()
    searched(settings=replace(settings, fresh_validation=False))
    length = {0.5: 3, 0.8: 2}[split]
    assert [place[2] for place in asked] == [s % length for s in range(steps)] * 2
    # No order of the half is used twice.
    assert len(set(asked)) == len(asked)


def test_the_journal_has_every_epochs_logits_and_summary(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        _, result = searched(run, name="search-7")
    entries = read_journal(tmp_path)
    assert [entry["phase"] for entry in entries] == ["search-7"] * 2
    assert entries[-1]["logits"] == result.logits and entries[0]["logits"] != result.logits
    (summary,) = entries[0]["choices"]
    assert summary["key"] == "normal.operation"
    assert [text for text, _ in summary["weights"]] == ["none", "max_pool(3)", "skip", "relu_conv_bn(6)"]
    assert sum(weight for _, weight in summary["weights"]) == pytest.approx(1)
    assert 1.3 < summary["entropy"] <= math.log(4) + 1e-12


def test_the_reporter_hears_the_strongest_choices():
    reporter = StopAfter(0)
    searched(reporter=reporter)
    assert reporter.messages[0].startswith("normal.operation: ")
    assert "skip 0.2" in reporter.messages[0] and "entropy 1.3" in reporter.messages[0]


def test_logits_are_no_parameters_but_are_in_the_checkpoint(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        module, _ = searched(run)
        tensors = run.restore("search").tensors
    logits = module.choices["normal.operation"]
    assert not any(parameter is logits for parameter in module.parameters())
    named = {*dict(module.named_parameters()), *dict(module.named_buffers())}
    assert module.state_dict().keys() == named
    assert torch.equal(select("choices", tensors)["normal.operation"], logits)
    assert {name.split("/")[0] for name in tensors} == {"module", "choices", "weights_optimizer", "choices_optimizer"}


@pytest.mark.parametrize("order", [1, 2])
def test_a_search_stopped_at_any_boundary_goes_on_to_the_same_end(tmp_path, order):
    settings = replace(SETTINGS, order=order)
    straight, expected = searched(settings=settings)
    for calls in range(1, 10):
        path = tmp_path / str(calls)
        with RunFolder.create(path, "", COMMAND) as run, pytest.raises(GenoError) as error:
            searched(run, settings=settings, reporter=StopAfter(calls))
        assert diagnostic(error).code == "G710"
        assert f"`genoc search tiny.geno --resume {path}`" in diagnostic(error).help
        with RunFolder.resume(path) as run:
            module, result = searched(run, module=supernet(seed=9), settings=settings, resume=True)
        assert same(everything(module), everything(straight))
        assert timeless(result) == timeless(expected)
        assert [entry["epoch"] for entry in read_journal(path)] == [0, 1]


def test_a_search_stopped_after_every_single_step_comes_to_the_same_end(tmp_path):
    straight, expected = searched()
    RunFolder.create(tmp_path, "", COMMAND).close()
    for sitting in range(40):
        with RunFolder.resume(tmp_path) as run:
            module = supernet(seed=sitting)
            try:
                _, result = searched(run, module=module, resume=True, reporter=StopAfter(1))
                break
            except GenoError:
                continue
    assert sitting > 3
    assert same(everything(module), everything(straight)) and timeless(result) == timeless(expected)


def test_saving_does_not_change_the_result(tmp_path):
    straight, _ = searched()
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        module, _ = searched(run, save_every_s=0.0)
    assert same(everything(module), everything(straight))


def test_resuming_under_other_settings_is_refused(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        searched(run)
        with pytest.raises(GenoError) as error:
            searched(run, resume=True, settings=replace(SETTINGS, order=2))
    assert diagnostic(error).code == "G706"


@pytest.mark.parametrize(("half", "what"), [("weights", "the loss is nan"), ("choices", "the validation loss is nan")])
def test_a_lost_loss_of_either_half_is_told_and_not_saved(tmp_path, half, what):
    data = small_digits()
    broken = replace(data, train_images=data.train_images.clone())
    broken.train_images[getattr(Halves(SETTINGS, data, CPU), half)] = math.nan
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        with pytest.raises(GenoError) as error:
            searched(run, data=broken, save_every_s=0.0)
        assert diagnostic(error).code == "G701" and what in diagnostic(error).message
        assert run.last_checkpoint("search") is None


def test_a_search_that_diverges_names_the_last_good_checkpoint_and_how_to_go_on(tmp_path):
    # The rate climbs over the epochs, so that the first of them is good.
    wild = OptimizerSettings(lr=Schedule("exponential", 1e-3, factor=1e9), momentum=0.0)
    settings = replace(SETTINGS, epochs=3, weights=wild)
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        with pytest.raises(GenoError) as error:
            searched(run, settings=settings)
        assert diagnostic(error).code in ("G701", "G702")
        assert "epoch 2 of 3" in diagnostic(error).message
        assert str(run.last_checkpoint("search")) in diagnostic(error).notes[0]
        assert all(t.isfinite().all() for t in run.restore("search").tensors.values())


def test_logits_that_are_lost_while_the_losses_are_finite_are_not_saved(tmp_path):
    settings = replace(SETTINGS, choices=replace(SLOW, lr=Schedule("constant", math.inf)))
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        with pytest.raises(GenoError) as error:
            searched(run, settings=replace(settings, batch=24))
        assert diagnostic(error).code == "G701" and run.last_checkpoint("search") is None

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train.tiny import CPU, SETTINGS, FixedBatches, TinyNet, held_out

from genolang.diagnostics import GenoError
from genolang.semantics.settings import OptimizerSettings, Schedule
from genolang.train import loop
from genolang.train.loop import fit
from genolang.train.phase import Phase
from genolang.train.precision import Precision
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder, read_journal

COMMAND = ("genoc", "train", "nets.geno")


class StopAfter(SilentReporter):
    """Presses Ctrl-C at the end of the given call, counted over steps and epochs."""

    def __init__(self, calls):
        self.left = calls
        self.messages = []

    def step_done(self, step, steps, loss):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def epoch_done(self, record):
        self.step_done(0, 0, 0.0)

    def message(self, text):
        self.messages.append(text)


def fitted(run=None, *, module=None, settings=SETTINGS, batches=None, held=held_out, **options):
    module = module or TinyNet()
    result = fit(module, settings, batches or FixedBatches(), held, Phase(3, CPU, run, **options))
    return module, result


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def diagnostic(error):
    return error.value.diagnostics[0]


def timeless(records):
    return [replace(record, seconds=0.0) for record in records]


def test_two_runs_are_equal_bit_for_bit_and_leave_the_callers_generator_alone():
    state = torch.random.get_rng_state()
    (first, one), (second, two) = fitted(), fitted()
    assert same(first.state_dict(), second.state_dict())
    assert timeless(one.history) == timeless(two.history)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_run_learns():
    settings = replace(SETTINGS, epochs=25, drop_path=Schedule(), label_smoothing=0.0)
    _, result = fitted(settings=settings)
    assert result.history[-1].train_loss < 0.7 * result.history[0].train_loss
    assert result.best_score > 0.6


def test_a_run_stopped_at_any_boundary_goes_on_to_the_same_end(tmp_path):
    straight, expected = fitted()
    for calls in range(1, 16):
        path = tmp_path / str(calls)
        with RunFolder.create(path, "", COMMAND) as run, pytest.raises(GenoError) as error:
            fitted(run, reporter=StopAfter(calls))
        assert diagnostic(error).code == "G710"
        assert f"`genoc train nets.geno --resume {path}`" in diagnostic(error).help
        with RunFolder.resume(path) as run:
            module, result = fitted(run, module=TinyNet(seed=9), resume=True)
        assert same(module.state_dict(), straight.state_dict())
        assert same(result.best_weights, expected.best_weights)
        assert timeless(result.history) == timeless(expected.history)
        assert [entry["epoch"] for entry in read_journal(path)] == [0, 1, 2]


def test_a_run_stopped_after_every_single_step_comes_to_the_same_end(tmp_path):
    straight, _ = fitted()
    RunFolder.create(tmp_path, "", COMMAND).close()
    for sitting in range(40):
        with RunFolder.resume(tmp_path) as run:
            module = TinyNet(seed=sitting)
            try:
                fitted(run, module=module, resume=True, reporter=StopAfter(1))
                break
            except GenoError:
                continue
    assert same(module.state_dict(), straight.state_dict())


def test_a_real_ctrl_c_finishes_the_step_and_saves(tmp_path):
    class PressCtrlC(SilentReporter):
        def step_done(self, step, steps, loss):
            if step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    with RunFolder.create(tmp_path, "", COMMAND) as run, pytest.raises(GenoError) as error:
        fitted(run, reporter=PressCtrlC())
    assert diagnostic(error).code == "G710"
    with RunFolder.resume(tmp_path) as run:
        progress = run.restore("train").meta["progress"]
    assert (progress["epoch"], progress["step"]) == (0, 3)


def test_a_damaged_newest_checkpoint_costs_time_but_not_the_result(tmp_path):
    straight, _ = fitted()
    with RunFolder.create(tmp_path, "", COMMAND) as run, pytest.raises(GenoError):
        fitted(run, reporter=StopAfter(11))
    newest = max((tmp_path / "checkpoints").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    reporter = StopAfter(0)
    with RunFolder.resume(tmp_path) as run:
        module, _ = fitted(run, module=TinyNet(seed=9), resume=True, reporter=reporter)
    assert same(module.state_dict(), straight.state_dict())
    assert newest.stem in reporter.messages[0]


def test_resuming_with_other_settings_or_another_network_is_refused(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        fitted(run)
        for options in ({"settings": replace(SETTINGS, epochs=9)}, {"batches": FixedBatches(15)}):
            with pytest.raises(GenoError) as error:
                fitted(run, resume=True, **options)
            assert diagnostic(error).code == "G706"


def test_checkpoints_inside_an_epoch_are_spaced_by_time(tmp_path, monkeypatch):
    saves = []
    monkeypatch.setattr(RunFolder, "save", lambda self, *given: saves.append(given))
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        fitted(run)
        assert len(saves) == 3
        fitted(run, save_every_s=0.0)
        assert len(saves) == 3 + 3 * 4 + 3


def test_saving_does_not_change_the_result(tmp_path):
    straight, _ = fitted()
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        module, _ = fitted(run, save_every_s=0.0)
    assert same(module.state_dict(), straight.state_dict())


def test_without_a_run_folder_an_interrupt_says_that_nothing_is_kept():
    with pytest.raises(GenoError) as error:
        fitted(reporter=StopAfter(1))
    assert diagnostic(error).code == "G710" and "--out" in diagnostic(error).help


@pytest.mark.parametrize(("poison", "code"), [(float("nan"), "G701"), (float("inf"), "G701"), (1e8, "G702")])
def test_a_lost_loss_names_the_last_good_checkpoint_and_how_to_go_on(tmp_path, poison, code):
    batches = FixedBatches()
    plain = batches.batch

    def poisoned(epoch, step):
        images, labels = plain(epoch, step)
        return (images, labels) if (epoch, step) < (1, 2) else (images, labels * 0 + 2)

    module = TinyNet()
    forward = module.forward
    module.forward = lambda images: forward(images)
    batches.batch = poisoned

    def broken(images):
        output = forward(images)
        if len(module.drops) > 6 and module.training:
            return output[0] * torch.tensor([1.0, 1.0, -poison]), output[1]
        return output

    module.forward = broken
    with RunFolder.create(tmp_path, "", COMMAND) as run, pytest.raises(GenoError) as error:
        fitted(run, module=module, batches=batches)
    found = diagnostic(error)
    assert found.code == code and "epoch 2 of 3" in found.message
    last = max((tmp_path / "checkpoints").glob("*.json"))
    assert str(last) in found.notes[0] and "--resume" in found.notes[1]


def test_weights_that_are_lost_while_the_loss_is_finite_are_not_saved(tmp_path):
    module = TinyNet()
    # In the last step of the first epoch the gradient, and so the weight, becomes nan.
    module.head.bias.register_hook(lambda gradient: gradient * float("nan") if len(module.drops) == 4 else gradient)
    settings = replace(SETTINGS, optimizer=OptimizerSettings())
    with RunFolder.create(tmp_path, "", COMMAND) as run, pytest.raises(GenoError) as error:
        fitted(run, module=module, settings=settings)
    assert diagnostic(error).code == "G701" and "weight" in diagnostic(error).message
    assert not list((tmp_path / "checkpoints").iterdir())


def test_best_is_the_earliest_of_equals(monkeypatch):
    accuracies = iter([0.5, 0.75, 0.75, 0.25])
    monkeypatch.setattr(loop, "evaluate", lambda module, batches, task, answer: loop_evaluation(accuracies))
    _, result = fitted(settings=replace(SETTINGS, epochs=4))
    assert (result.best_epoch, result.best_score) == (1, 0.75)
    _, alone = fitted(settings=replace(SETTINGS, epochs=4), held=None)
    assert alone.best_score == max(record.train_accuracy for record in alone.history)
    assert alone.history[0].val_loss is None


def loop_evaluation(accuracies):
    from genolang.train.evaluate import Evaluation

    return Evaluation(1.0, {"accuracy": next(accuracies)}, 9)


def test_patience_counts_epochs_without_a_better_accuracy(monkeypatch):
    accuracies = iter([0.5, 0.75, 0.75, 0.5, 0.9])
    monkeypatch.setattr(loop, "evaluate", lambda module, batches, task, answer: loop_evaluation(accuracies))
    _, result = fitted(settings=replace(SETTINGS, epochs=9, patience=2))
    assert len(result.history) == 4


def test_drop_path_follows_its_schedule():
    module, _ = fitted()
    assert module.drops[::4] == pytest.approx([0.1, 0.2, 0.3])


def test_the_auxiliary_loss_has_its_weight_and_smoothing_is_applied():
    settings = replace(SETTINGS, epochs=1, batch=20, drop_path=Schedule())
    losses = {}
    for weight in (0.4, 0.8):
        batches = FixedBatches(20, 20)
        _, result = fitted(module=TinyNet(weight), settings=settings, batches=batches)
        losses[weight] = result.history[0].train_loss
    images, labels = FixedBatches(20, 20).batch(0, 0)
    main, auxiliary = TinyNet()(images)
    smoothed = [
        torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1).item() for logits in (main, auxiliary)
    ]
    assert losses[0.4] == pytest.approx(smoothed[0] + 0.4 * smoothed[1], rel=1e-5)
    assert losses[0.8] == pytest.approx(smoothed[0] + 0.8 * smoothed[1], rel=1e-5)


def test_a_gpu_that_is_full_is_a_diagnostic():
    module = TinyNet()

    def full(images):
        raise torch.OutOfMemoryError

    module.forward = full
    with pytest.raises(GenoError) as error:
        fitted(module=module)
    assert diagnostic(error).code == "G711"


def test_seconds_count_all_sittings(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as run, pytest.raises(GenoError):
        fitted(run, reporter=StopAfter(2))
    with RunFolder.resume(tmp_path) as run:
        stored = run.restore("train").meta["progress"]["seconds"]
        _, result = fitted(run, resume=True)
    assert result.history[0].seconds >= stored > 0


def test_a_cpu_computes_in_float32():
    assert Precision(CPU, "auto").dtype == torch.float32


def test_no_file_of_the_run_is_a_pickle(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        fitted(run)
    suffixes = {path.suffix for path in Path(tmp_path).rglob("*") if path.is_file()}
    assert suffixes == {".json", ".jsonl", ".geno", ".safetensors", ""}

"""The training loop on labels per pixel: segmentation and counting."""

import json
import math
from dataclasses import replace

import pytest
import torch
from train.dense import COUNTING, SEGMENTATION, SETTINGS_OF, DenseNet, small
from train.refused import refused
from train.tiny import CPU

from genolang.diagnostics import GenoError
from genolang.semantics.settings import OptimizerSettings, Schedule
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder, read_journal
from genolang.train.tasks import IGNORED, TASKS
from genolang.train.training import train_network

torch.set_num_threads(1)

COMMAND = ("genoc", "train", "dense.geno")
OTHERS = {"segmentation": {"mean_accuracy", "miou"}, "counting": {"mae", "rmse"}}
BOTH = pytest.mark.parametrize("task", ["segmentation", "counting"])


class StopAfter(SilentReporter):
    """Presses Ctrl-C after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def step_done(self, step, steps, loss):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def trained(task, run=None, *, seed=0, settings=None, data=None, **options):
    module = DenseNet(task, seed)
    given = settings or SETTINGS_OF[task]
    return module, train_network(module, given, data or small(task), Phase(5, CPU, run, **options))


def timeless(result):
    return replace(result, seconds=0.0, history=tuple(replace(r, seconds=0.0) for r in result.history))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@BOTH
def test_a_run_stopped_anywhere_goes_on_to_the_same_end_bit_for_bit(task, tmp_path):
    straight, expected = trained(task)
    for steps in (1, 5, 9):
        path = tmp_path / str(steps)
        with RunFolder.create(path, "", COMMAND) as run, pytest.raises(GenoError) as error:
            trained(task, run, reporter=StopAfter(steps))
        assert error.value.diagnostics[0].code == "G710"
        with RunFolder.resume(path) as run:
            module, result = trained(task, run, seed=9, resume=True)
        assert same(module.state_dict(), straight.state_dict())
        assert timeless(result) == timeless(expected)


@BOTH
def test_results_have_every_metric_of_the_task_beside_the_accuracies(task, tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        _, result = trained(task, run)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert (written["task"], written["metric"]) == (task, TASKS[task].metric)
    for part in ("train", "val", "test"):
        for name in OTHERS[task]:
            assert written[f"{part}_{name}"] == result.metrics[f"{part}_{name}"] >= 0
        accuracy = written[f"{part}_accuracy"]
        assert accuracy is None if task == "counting" else 0 <= accuracy <= 1
    best = written["history"][written["best_epoch"]]
    assert written[f"val_{written['metric']}"] == best["metrics"][f"val_{written['metric']}"]
    lines = read_journal(tmp_path)
    assert [line["metrics"] for line in lines] == [epoch["metrics"] for epoch in written["history"]]
    assert set(lines[0]["metrics"]) == {f"{part}_{n}" for part in ("train", "val") for n in OTHERS[task]}


def test_the_best_epoch_has_the_highest_mean_intersection_or_the_lowest_error():
    for task, settings, name, best in (
        ("segmentation", SEGMENTATION, "val_miou", max),
        ("counting", COUNTING, "val_mae", min),
    ):
        _, result = trained(task, settings=replace(settings, epochs=6))
        values = [record.metrics[name] for record in result.history]
        assert len(set(values)) > 1
        assert result.best_epoch == values.index(best(values)) and result.metrics[name] == best(values)


def test_patience_looks_at_the_metric_of_the_task():
    frozen = OptimizerSettings("sgd", Schedule("constant", 0.0), momentum=0.0)
    # Without a step of the weights only running statistics move: no error falls for long.
    settings = replace(COUNTING, optimizer=frozen, epochs=30, patience=2)
    _, result = trained("counting", settings=settings)
    assert result.epochs == result.best_epoch + 3 < 30


def test_nothing_held_out_leaves_the_metrics_of_validation_empty():
    _, result = trained("segmentation", settings=replace(SEGMENTATION, split=0.0, epochs=2))
    assert result.val_accuracy is None and result.metrics["val_miou"] is None
    assert result.metrics["test_miou"] is not None
    values = [record.metrics["train_miou"] for record in result.history]
    assert result.best_epoch == values.index(max(values))


def test_no_test_images_leave_the_metrics_of_the_test_empty():
    data = small("counting")
    data = replace(data, test_images=data.test_images[:0], test_labels=data.test_labels[:0])
    _, result = trained("counting", data=data, settings=replace(COUNTING, epochs=1))
    assert result.metrics["test_mae"] is None and result.metrics["train_mae"] is not None


def test_images_that_are_all_void_make_results_that_json_can_hold(tmp_path):
    data = small("segmentation")
    data = replace(data, test_labels=torch.full_like(data.test_labels, IGNORED))
    with RunFolder.create(tmp_path, "", COMMAND) as run:
        _, result = trained("segmentation", run, data=data, settings=replace(SEGMENTATION, epochs=1))
    assert result.test_accuracy is None and result.metrics["test_miou"] is None


def test_a_segmentation_learns():
    settings = replace(
        SEGMENTATION, epochs=12, label_smoothing=0.0, optimizer=OptimizerSettings("adam", Schedule("constant", 0.02))
    )
    _, result = trained("segmentation", settings=settings)
    first, last = result.history[0], result.history[-1]
    assert last.train_loss < 0.5 * first.train_loss
    assert result.test_accuracy > 0.8


def test_a_counter_learns_to_do_better_than_the_mean_count():
    data = small("counting")
    settings = replace(
        COUNTING, epochs=40, augment=(), optimizer=OptimizerSettings("adam", Schedule("cosine", 0.02, 0.0))
    )
    _, result = trained("counting", data=data, settings=settings)
    counts = data.train_labels.sum((1, 2))
    assert result.metrics["train_mae"] < 0.7 * (counts - counts.mean()).abs().mean()


def test_the_auxiliary_loss_has_its_weight_on_maps_too():
    data, settings = small("segmentation"), replace(SEGMENTATION, epochs=1, batch=30, augment=())
    losses = {}
    for weight in (0.0, 0.4, 0.8):
        module = DenseNet("segmentation", auxiliary_weight=weight)
        found = train_network(module, settings, data, Phase(5, CPU))
        losses[weight] = found.history[0].train_loss
    assert losses[0.8] - losses[0.4] == pytest.approx(losses[0.4] - losses[0.0], rel=1e-4)


@pytest.mark.parametrize("task", ["segmentation", "counting"])
def test_an_ordinary_start_is_no_explosion_and_an_absurd_one_is(task):
    module, data = DenseNet(task), small(task)
    forward = module.forward
    module.forward = lambda images: tuple(1e5 * o for o in forward(images))
    with refused("G702", "loss has grown"):
        train_network(module, SETTINGS_OF[task], data, Phase(5, CPU))
    assert math.isfinite(trained(task)[1].history[0].train_loss)


def test_smoothing_has_no_meaning_for_densities():
    with refused("G503", "label_smoothing"):
        trained("counting", settings=replace(COUNTING, label_smoothing=0.1))

"""Training with recorded steps is training: the same numbers, whatever happens to the recordings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from recording import Rerun, out_of_memory, recording, state_of
from train.tiny import CPU, SETTINGS, FixedBatches, TinyNet, held_out, random_images

from genolang.diagnostics import GenoError
from genolang.semantics.settings import OptimizerSettings, Schedule
from genolang.train.batches import Batches
from genolang.train.loop import Fitted, fit
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder

COMMAND = ("genoc", "train", "nets.geno")
# Seven steps and a smaller last one; the rate changes in every step, the drop path in every epoch.
STEADY = replace(SETTINGS, epochs=6, drop_path=Schedule("constant", 0.3))
ADAM = OptimizerSettings("adamw", Schedule("cosine", 0.05, 0.001, warmup=2), clip=0.5)


class Listener(SilentReporter):
    """Hears messages, and presses Ctrl-C after some steps."""

    def __init__(self, stop_after: int = 0) -> None:
        self.left, self.messages = stop_after, list[str]()

    def step_done(self, step: int, steps: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)


def batches() -> Batches:
    images, labels = random_images(38)
    return Batches(images, labels, torch.arange(38), 5, 3, (0.0,), (1.0,), (), CPU, "train")


def fitted(module: TinyNet, settings: Any = STEADY, run: Any = None, **options: Any) -> Fitted:
    return fit(module, settings, batches(), held_out, Phase(3, CPU, run, **options))


def same(one: TinyNet, other: TinyNet) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def timeless(found: Fitted) -> list[Any]:
    return [replace(record, seconds=0.0) for record in found.history]


def rerun(monkeypatch: pytest.MonkeyPatch, module: TinyNet, refused: Exception | None = None) -> Rerun:
    recorder: Rerun = recording(monkeypatch, Rerun(state_of(module), refused))
    return recorder


@pytest.mark.parametrize(
    ("settings", "recordings"),
    [
        # Steps of 5 and, from the fourth epoch on, of 3 images; answers to 6 and to 3 images.
        (STEADY, 4),
        (replace(STEADY, optimizer=ADAM), 4),
        # Another drop path in every epoch is another recording of the steps of 5.
        (SETTINGS, 3),
        # Another one in every step: only what is answered is recorded.
        (replace(STEADY, drop_path=Schedule("constant", 0.3, warmup=6)), 2),
    ],
)
def test_recorded_training_is_the_same_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, settings: Any, recordings: int
) -> None:
    plain, module = TinyNet(), TinyNet()
    expected = fitted(plain, settings)
    recorder = rerun(monkeypatch, module)
    found = fitted(module, settings)
    assert same(module, plain) and timeless(found) == timeless(expected)
    assert all(torch.equal(found.best_weights[name], t) for name, t in expected.best_weights.items())
    assert recorder.asked == recordings and recorder.replayed > recordings


def test_a_recorded_run_stopped_anywhere_goes_on_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    straight = TinyNet()
    expected = fitted(straight)
    for steps in (2, 5, 13, 29):
        path = tmp_path / str(steps)
        module = TinyNet()
        rerun(monkeypatch, module)
        with RunFolder.create(path, "", COMMAND) as run, pytest.raises(GenoError):
            fitted(module, run=run, reporter=Listener(steps))
        module = TinyNet(seed=9)
        recorder = rerun(monkeypatch, module)
        with RunFolder.resume(path) as run:
            found = fitted(module, run=run, resume=True)
        assert same(module, straight) and timeless(found) == timeless(expected)
        assert recorder.replayed > 0


def test_a_device_that_refuses_costs_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, module, reporter = TinyNet(), TinyNet(), Listener()
    expected = fitted(plain)
    recorder = rerun(monkeypatch, module, refused=RuntimeError("an operation waits for the device"))
    found = fitted(module, reporter=reporter)
    assert same(module, plain) and timeless(found) == timeless(expected)
    assert recorder.asked == 1
    assert reporter.messages == [
        "no CUDA graphs from here on: steps cannot be recorded (an operation waits for the device)"
    ]


def test_a_smaller_batch_that_finds_no_memory_beside_the_recordings_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, module, reporter = TinyNet(), TinyNet(), Listener()
    expected = fitted(plain)
    recorder = rerun(monkeypatch, module)
    warm = recorder.warm

    def narrow(work: Any, times: int = 1) -> Any:
        found = warm(work, times)
        if recorder.replayed:
            raise out_of_memory()
        return found

    monkeypatch.setattr(recorder, "warm", narrow)
    found = fitted(module, reporter=reporter)
    assert same(module, plain) and timeless(found) == timeless(expected)
    assert recorder.replayed == 4, "until the last batch of the first epoch"
    assert reporter.messages[1:] == ["no CUDA graphs from here on: the GPU's memory is too small for them"]


def test_a_batch_that_fits_in_no_way_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    module = TinyNet()
    recorder = rerun(monkeypatch, module)

    def narrow(work: Any, times: int = 1) -> Any:
        raise out_of_memory()

    monkeypatch.setattr(recorder, "warm", narrow)
    with pytest.raises(GenoError) as error:
        fitted(module)
    assert error.value.diagnostics[0].code == "G711"


def test_what_a_network_does_not_allow_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    module = TinyNet()
    module.captured = False
    recorder = rerun(monkeypatch, module)
    fit(module, SETTINGS, FixedBatches(), held_out, Phase(3, CPU))
    assert recorder.asked == recorder.warmed == 0

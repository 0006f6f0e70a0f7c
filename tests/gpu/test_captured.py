"""Steps as CUDA graphs on a real GPU: trainings and searches are what they are without.

Run by `benches/gpu.sh`; without a GPU every test is skipped.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from search.tiny_space import SETTINGS as SEARCH
from search.tiny_space import StopAfter, program_of, small_digits, supernet
from torch import Tensor
from train.tiny import SETTINGS, TinyNet, random_images

from genolang.search.strategies.darts import search_one
from genolang.semantics.settings import Schedule
from genolang.train.batches import Batches
from genolang.train.captured import WARM, Recordings
from genolang.train.loop import fit
from genolang.train.phase import Phase

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")


def trained(captured: bool, settings: Any, reporter: Any) -> tuple[TinyNet, Any]:
    module = TinyNet().to(CUDA)
    module.captured = captured
    images, labels = random_images(38)
    batches = Batches(images, labels, torch.arange(38), 5, 3, (0.0,), (1.0,), (), CUDA, "train")
    held = [(images[:9].to(CUDA), labels[:9].to(CUDA)), (images[9:13].to(CUDA), labels[9:13].to(CUDA))]
    return module, fit(module, settings, batches, lambda: held, Phase(3, CUDA, reporter=reporter))


@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize("drop_path", [Schedule("constant", 0.3), Schedule("linear", 0.1, 0.4)])
def test_recorded_training_is_the_same_training(precision: Any, drop_path: Schedule) -> None:
    settings = replace(SETTINGS, epochs=6, drop_path=drop_path, precision=precision)
    plain, expected = trained(False, settings, StopAfter(0))
    reporter = StopAfter(0)
    module, found = trained(True, settings, reporter)
    assert any("steps of 5 images: recorded" in line for line in reporter.messages), reporter.messages
    assert not any("no CUDA graphs" in line for line in reporter.messages), reporter.messages
    for mine, theirs in zip(found.history, expected.history, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-3)
    for one, other in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


def test_a_recorded_search_is_the_same_search() -> None:
    settings = replace(SEARCH, epochs=3, choices_start=1, precision="float32")
    results, messages = [], []
    for captured in (False, True):
        module, reporter = supernet(), StopAfter(0)
        module.captured = captured
        results.append(search_one(module, settings, small_digits(88), Phase(7, CUDA, reporter=reporter), program_of()))
        messages.append([line for line in reporter.messages if "CUDA" in line])
    plain, found = results
    assert len(messages[1]) == 3 and not messages[0], messages
    for mine, theirs in zip(found.history, plain.history, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-2)
    for key, rows in plain.logits.items():
        torch.testing.assert_close(torch.tensor(found.logits[key]), torch.tensor(rows), rtol=0.05, atol=0.01)


def test_work_that_waits_for_the_device_runs_on_and_random_numbers_are_drawn_as_ever() -> None:
    weight = torch.ones(3, device=CUDA, requires_grad=True)

    def run(x: Tensor) -> tuple[Tensor, ...]:
        dropped = torch.nn.functional.dropout(weight * x, 0.5)
        loss = dropped.sum() * float(dropped.sum() > -1e9)
        loss.backward()
        return (loss.detach(),)

    def seed() -> None:
        torch.cuda.manual_seed(5)

    home = Recordings(CUDA, True)
    work = home.work("steps", run, seed, [weight])
    x = torch.arange(12.0, device=CUDA).view(4, 3)
    losses = [work(x)[0] for _ in range(WARM + 3)]
    assert all(torch.equal(loss, losses[0]) for loss in losses)
    (line,) = home.news()
    assert line.startswith("no CUDA graphs from here on: steps cannot be recorded (")
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert torch.rand(1000, device=CUDA).std() > 0.2

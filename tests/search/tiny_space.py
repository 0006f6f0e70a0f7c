"""A tiny search space, data and settings that serve the tests of this folder."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch

from genolang.compiler import driver
from genolang.compiler.torch.module import NetworkModule
from genolang.diagnostics import Source
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.program import Program
from genolang.semantics.settings import Augmentation, OptimizerSettings, Schedule, SearchSettings
from genolang.train.datasets import Dataset, load_data
from genolang.train.reporter import SilentReporter

# Maps this small are slower on several threads, and much slower on a busy machine.
torch.set_num_threads(1)

CPU = torch.device("cpu")
COMMAND = ("genoc", "search", "tiny.geno")

TEXT = """geno 1
import std.ops

choice operation = none | max_pool(3) | skip | relu_conv_bn(6)

cell normal(prev2, prev1, channels=6) {
  inputs s0 = prev2 -> fit(channels, like=prev1), s1 = prev1 -> relu_conv_bn(channels)
  nodes  n1, n2
  edges  earlier -> each : operation -> drop_path
  keep   2 edges per node by operation
  return concat(n1, n2)
}

network tiny(channels=6, depth=2, classes=3) {
  input  image(1, 8, 8)
  stem   conv(3, channels) -> batch_norm
  cells  depth of normal
  head   global_avg_pool -> linear(classes)
}

search { method darts }
"""

# Four answers and only four: one edge, one choice; the first layer's statistics depend on no weight.
SMALL = """geno 1
import std.ops

choice operation = none | max_pool(3) | avg_pool(3) | skip | relu_conv_bn(4)

cell normal(prev, channels=4) {
  inputs s0 = prev
  nodes  n1
  edges  s0 -> n1 : operation
  keep   1 edges per node by operation
  return n1
}

network small(classes=3) {
  input  image(1, 8, 8)
  stem   batch_norm -> conv(3, 4)
  cells  2 of normal
  head   global_avg_pool -> linear(classes)
}

search { method darts }
"""

SETTINGS = SearchSettings(
    epochs=2,
    batch=8,
    seed=3,
    seeds=2,
    random=2,
    compare=(),
    score_epochs=1,
    init=1e-3,
    augment=(Augmentation("flip"), Augmentation("crop", 1)),
    weights=OptimizerSettings(lr=Schedule("cosine", 0.1, 0.01), decay=3e-4, clip=5.0),
    choices=OptimizerSettings("adam", Schedule("constant", 0.05), betas=(0.5, 0.999), decay=1e-3),
    score=OptimizerSettings(lr=Schedule("cosine", 0.1, 0.01), decay=3e-4, clip=5.0),
)


def checked_text(text: str = TEXT) -> Checked:
    return _checked(text)


@cache
def _checked(text: str) -> Checked:
    checked = check_source(Source("tiny.geno", text))
    assert checked.ok, [d.message for d in checked.diagnostics]
    return checked


def program_of(text: str = TEXT, **given: Any) -> Program:
    return expand_network(checked_text(text), None, given)


def supernet(text: str = TEXT, seed: int = 0, **given: Any) -> NetworkModule:
    program = program_of(text, **given)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return driver.to_module(program)


def small_digits(count: int = 48) -> Dataset:
    """The first images of the real digits, with labels folded into three classes."""
    data = load_data("digits")
    return replace(
        data,
        train_images=data.train_images[:count],
        train_labels=data.train_labels[:count] % 3,
        test_images=data.test_images[:20],
        test_labels=data.test_labels[:20] % 3,
        classes=3,
    )


class StopAfter(SilentReporter):
    """Presses Ctrl-C at the end of the given call, counted over steps, epochs and messages.

    What a resumed phase says first does not count.
    """

    def __init__(self, calls: int, *, at_messages: bool = True) -> None:
        self.left = calls
        self.at_messages = at_messages
        self.messages: list[str] = []
        self.phases: list[tuple[str, int]] = []

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def epoch_started(self, phase: str, epoch: int, epochs: int) -> None:
        self.phases.append((phase, epoch))

    def step_done(self, step: int, steps: int, loss: float) -> None:
        self.count()

    def epoch_done(self, record: Any) -> None:
        self.count()

    def message(self, text: str) -> None:
        self.messages.append(text)
        if self.at_messages and not text.startswith("going on"):
            self.count()

"""Kernels, or a network of any spec, under pytest-benchmark: not part of the tests.

    pytest benches
    pytest benches --spec darts/v2 --network cifar --forms plain,fused,compiled --benchmark-save before
    pytest benches --spec mine.geno --device cuda --benchmark-compare

Subjects and checks are those of `genoc bench`: what does not compute what the plain form does fails and is
not timed. Forms are timed apart here; for ratios that a busy machine does not spoil take `genoc bench`,
which runs them in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from typing import NamedTuple

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benches.conftest import FORMS, FOUND
from genolang.bench.forms import Form
from genolang.bench.subject import EAGER, Checked, Subject


class Ready(NamedTuple):
    """A subject whose forms were compared with the plain one."""

    subject: Subject
    checked: Checked

    def form(self, word: str) -> Form:
        """The form to time; without one the test fails with the reason, or is skipped where there is none."""
        name = FORMS[word]
        if reason := self.checked.failed.get(EAGER) or self.checked.failed.get(name):
            pytest.fail(f"not timed: {reason}", pytrace=False)
        if name not in self.checked.forms:
            pytest.skip(f"there is no form `{word}` of it")
        return self.checked.forms[name]


def timed(benchmark: BenchmarkFixture, ready: Ready, form: str, what: str, work: Callable[[int], object]) -> None:
    """Time some work on one set of leaves after the other, and say what it was."""
    subject = ready.subject
    how = what if subject.training else "inference"
    benchmark.group = f"{subject.name} {subject.shape} {subject.dtype}, {how}"
    benchmark.extra_info |= {
        "form": form,
        "device": str(subject.device),
        "why": subject.why,
        "distance": ready.checked.distances[FORMS[form]],
    }
    gpu, turns = subject.device.type == "cuda", cycle(range(len(ready.checked.forms[EAGER].sets)))

    def once() -> None:
        work(next(turns))
        if gpu:
            torch.cuda.synchronize(subject.device)

    benchmark(once)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    makers, forms = metafunc.config.stash[FOUND]
    metafunc.parametrize("ready", [pytest.param(make, id=name) for name, make in makers], indirect=True, scope="module")
    metafunc.parametrize("form", forms)


@pytest.fixture(scope="module")
def ready(request: pytest.FixtureRequest) -> Iterator[Ready]:
    """A subject with the forms that were asked for, compared with the plain one."""
    subject: Subject = request.param()
    wanted = {EAGER, *(FORMS[word] for word in request.config.stash[FOUND][1])}
    forms = {name: make for name, make in subject.forms.items() if name in wanted}
    subject = replace(subject, forms=forms)
    yield Ready(subject, subject.checked())


def test_forward(benchmark: BenchmarkFixture, ready: Ready, form: str) -> None:
    made = ready.form(form)
    timed(benchmark, ready, form, "forward", made.forward)


def test_forward_and_backward(benchmark: BenchmarkFixture, ready: Ready, form: str) -> None:
    if not ready.subject.training:
        pytest.skip("a network that answers has no backward")
    made = ready.form(form)

    def work(turn: int) -> object:
        return made.backward(turn, made.forward(turn))

    timed(benchmark, ready, form, "forward and backward", work)

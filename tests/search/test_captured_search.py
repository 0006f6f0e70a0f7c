"""Searches with recorded steps are the same searches; what has no fixed form is not recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from recording import Rerun, recording, state_of
from search.slot_space import SLOTS
from search.tiny_space import CPU, SETTINGS, StopAfter, checked_text, program_of, small_digits, supernet

from genolang.diagnostics import GenoError
from genolang.search.schemes import SchemeSpace
from genolang.search.score import fresh_module
from genolang.search.strategies.darts import search_one
from genolang.search.strategy import Searched
from genolang.search.supernet import RandomSchemes, train_supernet
from genolang.semantics.check import expand_network
from genolang.train import captured
from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder

COMMAND = ("genoc", "search", "tiny.geno")
# Five steps on eight images and one on four in an epoch; the choices begin in the second.
LONGER = replace(SETTINGS, epochs=3, choices_start=1, init=0.1)


def searched(module: Any, settings: Any = LONGER, run: Any = None, **options: Any) -> Searched:
    return search_one(module, settings, small_digits(88), Phase(7, CPU, run, "search", **options), program_of())


def everything(module: Any) -> dict[str, Any]:
    return {**module.state_dict(), **{f"choices/{k}": t for k, t in module.choices.items()}}


def same(one: Any, other: Any) -> bool:
    a, b = everything(one), everything(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def timeless(result: Searched) -> Searched:
    return replace(result, history=tuple(replace(r, seconds=0.0) for r in result.history))


def rerun(monkeypatch: pytest.MonkeyPatch, module: Any, refused: Exception | None = None) -> Rerun:
    found: Rerun = recording(monkeypatch, Rerun(state_of(module), refused))
    return found


def test_a_recorded_first_order_search_is_the_same_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, module = supernet(), supernet()
    expected = searched(plain)
    recorder, reporter = rerun(monkeypatch, module), StopAfter(0)
    assert timeless(searched(module, reporter=reporter)) == timeless(expected)
    assert same(module, plain)
    said = [line for line in reporter.messages if "recorded" in line]
    assert said == [
        f"{name} of 8 images: recorded as a CUDA graph"
        for name in ("steps of the weights", "answers", "steps of the choices")
    ]
    assert recorder.replayed > 10 and recorder.warmed >= 3 * captured.WARM


def test_a_recorded_search_stopped_anywhere_goes_on_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    straight = supernet()
    expected = searched(straight)
    for calls in (4, 11, 16):
        path, module = tmp_path / str(calls), supernet()
        rerun(monkeypatch, module)
        with RunFolder.create(path, "", COMMAND) as run, pytest.raises(GenoError):
            searched(module, run=run, reporter=StopAfter(calls, at_messages=False))
        module = supernet(seed=9)
        rerun(monkeypatch, module)
        with RunFolder.resume(path) as run:
            found = searched(module, run=run, resume=True)
        assert same(module, straight) and timeless(found) == timeless(expected)


def test_a_search_whose_steps_cannot_be_recorded_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, module, reporter = supernet(), supernet(), StopAfter(0)
    expected = searched(plain)
    recorder = rerun(monkeypatch, module, refused=RuntimeError("it waits"))
    assert timeless(searched(module, reporter=reporter)) == timeless(expected)
    assert same(module, plain) and recorder.asked == 1
    said = [line for line in reporter.messages if "CUDA" in line]
    assert said == ["no CUDA graphs from here on: steps of the weights cannot be recorded (it waits)"]


def test_steps_of_second_order_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    module = supernet()
    recorder = rerun(monkeypatch, module)
    searched(module, replace(LONGER, order=2, epochs=1))
    assert recorder.asked == recorder.warmed == 0


def test_a_supernet_under_random_schemes_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    program = expand_network(checked_text(SLOTS), "slots", {})
    module = fresh_module(program, Phase(3, CPU))
    assert module.captured and not RandomSchemes.captured
    recorder = rerun(monkeypatch, module)
    train_supernet(module, SchemeSpace(program), replace(SETTINGS, epochs=1), small_digits(), Phase(3, CPU))
    assert recorder.asked == recorder.warmed == 0

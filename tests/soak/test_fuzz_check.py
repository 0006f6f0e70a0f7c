"""No text makes the checker raise or hang. The long form runs for SOAK_SECONDS (`make soak`)."""

import os
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wrong_specs import SPECS, WORDS, assert_answered, mutant, soup, twisted

from genolang.diagnostics import GenoError, Source
from genolang.lang.formatter import format_source

SHORT_S = 4.0
LONG_S = float(os.environ.get("SOAK_SECONDS", "600"))
Maker = Callable[[random.Random], str]


def run(make: Maker, seconds: float, seed: int) -> None:
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        key = f"{seed}.{number}"
        text = make(random.Random(key))
        try:
            assert_answered(text)
        except BaseException as error:
            error.add_note(f"{make.__name__}(random.Random({key!r})):\n{text}")
            raise
        number += 1
    assert number > 10


@pytest.mark.parametrize("make", [soup, mutant, twisted])
def test_wrong_specs_end_in_diagnostics(make: Maker) -> None:
    run(make, SHORT_S, 1)


@pytest.mark.soak
@pytest.mark.parametrize("make", [soup, mutant, twisted])
def test_wrong_specs_end_in_diagnostics_for_long(make: Maker) -> None:
    run(make, LONG_S / 3, random.SystemRandom().randrange(10**9))


def hard(text: str) -> None:
    assert_answered("geno 1\n" + text)
    assert_answered(text)


CALM = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=150, deadline=None, suppress_health_check=CALM)
@given(st.text(max_size=200))
def test_any_text_ends_in_diagnostics(text: str) -> None:
    hard(text)


@settings(max_examples=150, deadline=None, suppress_health_check=CALM)
@given(st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))
def test_any_words_end_in_diagnostics(text: str) -> None:
    hard(text)


@settings(max_examples=100, deadline=None, suppress_health_check=CALM)
@given(st.sampled_from(SPECS), st.data())
def test_spec_cut_off_anywhere_ends_in_diagnostics(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    hard(text[: data.draw(st.integers(start, len(text)))][start // 2 :])


@settings(max_examples=100, deadline=None, suppress_health_check=CALM)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
def test_formatting_any_words_ends_in_text_or_diagnostics(text: str) -> None:
    try:
        format_source(Source("fuzz.geno", "geno 1\n" + text))
    except GenoError as error:
        assert error.diagnostics

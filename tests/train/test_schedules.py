import math

import pytest

from genolang.semantics.settings import Schedule
from genolang.train.schedules import schedule_value, step_value


def test_cosine_of_darts_is_as_published_in_its_last_epoch():
    lr = schedule_value(Schedule("cosine", 0.025, 0.001), 49, 50)
    assert lr == pytest.approx(1.023679e-3, abs=5e-10)


def test_every_kind_begins_at_its_start():
    for kind in ("constant", "cosine", "linear", "step", "exponential"):
        assert schedule_value(Schedule(kind, 0.3, 0.1, 0.5, (2,)), 0, 7) == 0.3


def test_linear_reaches_two_thirds_after_a_third():
    assert schedule_value(Schedule("linear", 0.3, 0.0), 3, 9) == pytest.approx(0.2)


def test_step_multiplies_from_each_named_epoch_on():
    schedule = Schedule("step", 1.0, factor=0.1, at=(2, 5))
    values = [schedule_value(schedule, epoch, 7) for epoch in range(7)]
    assert values == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_exponential_multiplies_every_epoch():
    assert schedule_value(Schedule("exponential", 2.0, factor=0.5), 3, 7) == 0.25


def test_warmup_climbs_per_step_and_ends_at_the_start():
    schedule = Schedule("cosine", 0.4, 0.0, warmup=2.0)
    values = [step_value(schedule, epoch, 6, step, 2) for epoch in range(2) for step in range(2)]
    assert values == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert schedule_value(schedule, 2, 6) == 0.4
    assert schedule_value(schedule, 4, 6) == pytest.approx(0.4 * (1 + math.cos(math.pi / 2)) / 2)


def test_warmup_may_end_within_an_epoch_or_fill_the_run():
    assert schedule_value(Schedule("linear", 1.0, 0.0, warmup=0.5), 0, 3, 0.75) == 1.0
    assert schedule_value(Schedule("cosine", 1.0, 0.0, warmup=3.0), 2, 3, 1.0) == 1.0


def test_outside_a_warmup_the_step_does_not_matter():
    schedule = Schedule("cosine", 0.4, 0.1)
    assert step_value(schedule, 3, 6, 0, 9) == step_value(schedule, 3, 6, 8, 9)

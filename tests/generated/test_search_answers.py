"""An answer is what was decided: the supernet at one-hot logits, the selected module and the network of the
file that was written back give the same outputs, whatever the spec looks like.

`WAITING` in `search_specs.py` names what does not hold yet. A feature that is taken out of it is on
everywhere: its own test here must then pass (a strict xfail says so), and mixtures and the long run have it.
"""

import os
import random
from collections.abc import Iterable

import pytest
import torch
from generated.search_answers import Answer, checked_spec, count_by_hand, problems
from generated.search_maker import Spec
from generated.search_specs import FEATURES, WAITING, spec
from hypothesis import HealthCheck, Phase, assume, given, note, seed, settings
from hypothesis import strategies as st

from genolang.search.schemes import SchemeSpace
from genolang.semantics.check import expand_network
from genolang.semantics.space import count_genotypes

CALM = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
SOAK = int(os.environ.get("SOAK_SPECS", "2000"))
ON = [feature for feature in FEATURES if feature not in WAITING]


def hold(data: st.DataObject, features: Iterable[str]) -> Spec:
    """Draw a spec and one of its answers, and compare; a small space is counted too."""
    made = spec(data.draw, features)
    note(made.text)
    checked = checked_spec(made)
    assert not problems(checked), problems(checked)
    program = expand_network(checked, made.network, {})
    assume(program.choices)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 9)))
    answer = Answer(checked, program, SchemeSpace(program).draw(generator=generator))
    note(answer.text)
    answer.check_names()
    answer.check(fused=data.draw(st.booleans()))
    counted = count_by_hand(checked, program, 40)
    assert counted in (None, count_genotypes(program))
    return made


def each() -> list[object]:
    return [
        pytest.param(
            name.split("+"),
            id=name,
            marks=[pytest.mark.xfail(strict=True, reason=WAITING[name])] if name in WAITING else [],
        )
        for name in [*FEATURES, *(name for name in WAITING if "+" in name)]
    ]


def mixture(data: st.DataObject) -> list[str]:
    """Some features that hold, without pairs that do not."""
    features = data.draw(st.lists(st.sampled_from(ON), max_size=5, unique=True))
    assume(not any(set(pair.split("+")) <= set(features) for pair in WAITING))
    return features


@pytest.mark.parametrize("features", each())
def test_an_answer_is_what_was_decided(features: list[str]) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=CALM,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        hold(data, features)

    run()


@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=CALM)
@given(st.data())
def test_an_answer_is_what_was_decided_where_features_meet(data: st.DataObject) -> None:
    hold(data, mixture(data))


@settings(max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=CALM)
@given(st.data())
def test_a_space_has_as_many_answers_as_there_are_files_to_write(data: st.DataObject) -> None:
    made = spec(data.draw, mixture(data))
    note(made.text)
    checked = checked_spec(made)
    program = expand_network(checked, made.network, {})
    counted = count_by_hand(checked, program, 150)
    assume(counted is not None and counted > 1)
    assert counted == count_genotypes(program)


@pytest.mark.soak
def test_an_answer_is_what_was_decided_at_length() -> None:
    """As many specs as `SOAK_SPECS` says, 2000 by default, all different, under a seed of the day."""
    seen: set[str] = set()
    number = random.SystemRandom().randrange(10**9)

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data: st.DataObject) -> None:
        seen.add(hold(data, mixture(data)).text)

    while len(seen) < SOAK:
        seed(number := number + 1)(run)()
    print(f"{len(seen)} different specs")

"""What every sampler must do, on a table of rewards instead of a network."""

from dataclasses import replace

import pytest
import torch
from search.slot_space import CHOICES, METHODS, SLOTS
from search.tiny_space import TEXT, checked_text

from genolang.search.evaluator import Measured
from genolang.search.schemes import SchemeSpace
from genolang.search.strategies import STRATEGIES
from genolang.semantics.check import expand_network
from genolang.semantics.methods import (
    EAN_TEXT,
    EanSettings,
    EnasSettings,
    EvolutionSettings,
    GeneticSettings,
    HeuristicSettings,
)

BEST = (1, 0, 1, 1, 0, 0, 0, 1)
ADAPTIVE = {
    "ean": EanSettings(steps=120),
    "ean-text": replace(EAN_TEXT, steps=200),
    "enas": EnasSettings(steps=120),
    "genetic": GeneticSettings(evaluations=360),
    "evolution": EvolutionSettings(evaluations=360, population=30, sample=8),
}


def space_of(text=SLOTS):
    return SchemeSpace(expand_network(checked_text(text), "slots" if "slots" in text else None, {}))


def wide():
    """Eight slots."""
    text = SLOTS.replace("repeat(2, unit(out))", "repeat(3, unit(out))")
    return space_of(text)


def sampler_of(name, settings=None, space=None, seed=3):
    made = STRATEGIES[name.partition("-")[0]].make
    return made(settings or METHODS[name], space or space_of(), seed, 0.5)


def table(settings, scheme):
    """Each right decision is worth two percent."""
    right = sum(a == b for a, b in zip(scheme, BEST, strict=True))
    accuracy = 0.6 + 0.02 * right
    return Measured(accuracy, 0.0, settings.accuracy * accuracy)


def wide_table(settings, scheme):
    """Rewards from nothing to everything."""
    accuracy = sum(a == b for a, b in zip(scheme, BEST, strict=True)) / len(BEST)
    return Measured(accuracy, 0.0, settings.accuracy * accuracy)


def play(sampler, settings, reward=table):
    asked, facts = [], {}
    for step in range(sampler.steps):
        schemes = sampler.propose(step)
        facts = sampler.learn(step, schemes, [reward(settings, s) for s in schemes])
        asked += schemes
    return asked, facts


@pytest.mark.parametrize("name", ADAPTIVE)
def test_every_adaptive_method_finds_the_known_best_of_256_schemes(name):
    settings = ADAPTIVE[name]
    # Without a baseline every reward pushes the same way, and two searches of six miss it.
    seed, reward = (0, wide_table) if name == "ean-text" else (3, table)
    asked, _ = play(sampler_of(name, settings, wide(), seed), settings, reward)
    assert BEST in asked


@pytest.mark.parametrize("name", ["ean", "enas", "genetic", "evolution"])
def test_an_adaptive_method_converges_and_its_last_schemes_beat_its_first(name):
    settings = ADAPTIVE[name]
    asked, facts = play(sampler_of(name, settings, wide()), settings)
    rewards = [table(settings, scheme).reward for scheme in asked]
    assert sum(rewards[-60:]) / 60 > sum(rewards[:60]) / 60 + 3
    assert facts["p_bar"] > 0.75


def test_a_method_that_learns_nothing_is_what_it_says():
    asked, _ = play(sampler_of("random"), METHODS["random"], lambda *_: None)
    assert len(set(asked)) > 6
    for every, offset, bits in ((2, 0, "101|010"), (2, 1, "010|101"), (3, 0, "100|100"), (3, 4, "010|010")):
        (scheme,), _ = play(sampler_of("heuristic", HeuristicSettings(every, offset)), None, lambda *_: None)
        assert space_of().text(scheme) == bits
    (scheme,), _ = play(sampler_of("heuristic", HeuristicSettings(2), space_of(CHOICES)), None, lambda *_: None)
    assert scheme == (1, 0, 0)  # 5x5, no gate, 1x1


@pytest.mark.parametrize("name", [name for name in METHODS if name != "heuristic"])
def test_a_budget_of_twelve_is_twelve_schemes(name):
    settings = METHODS[name]
    assert len(play(sampler_of(name), settings, lambda *_: Measured(0.5, 0.5, 51.0))[0]) == 12


@pytest.mark.parametrize("text", [SLOTS, CHOICES, TEXT])
@pytest.mark.parametrize("name", METHODS)
def test_schemes_are_legal_whatever_the_space(name, text):
    space = space_of(text)
    asked, _ = play(sampler_of(name, space=space), METHODS[name], lambda *_: Measured(0.5, 0.5, 51.0))
    for scheme in asked:
        assert len(scheme) == len(space.rows)
        assert all(option in row.options for option, row in zip(scheme, space.rows, strict=True))
        for kept in space.kept:
            assert sum(scheme[row] != kept.zero for row in kept.rows) == kept.keep


@pytest.mark.parametrize("name", METHODS)
def test_schemes_come_from_the_seed_and_the_callers_generator_is_left_alone(name):
    state = torch.random.get_rng_state()
    reward = lambda _, scheme: Measured(0.1 * sum(scheme), 0.5, 10.0 * sum(scheme))  # noqa: E731
    runs = [play(sampler_of(name, seed=seed), METHODS[name], reward) for seed in (3, 3, 4)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert runs[0] == runs[1] and (runs[0] != runs[2] or name == "heuristic")


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_a_sampler_goes_on_from_its_state_bit_for_bit(name, stop):
    settings, reward = METHODS[name], lambda _, scheme: Measured(0.1 * sum(scheme), 0.5, 10.0 * sum(scheme))
    whole, facts = play(sampler_of(name), settings, reward)
    first = sampler_of(name)
    for step in range(min(stop, first.steps)):
        schemes = first.propose(step)
        first.learn(step, schemes, [reward(None, s) for s in schemes])
    second = sampler_of(name, seed=3)
    second.restore(*first.state())
    asked, told = [], {}
    for step in range(stop, second.steps):
        schemes = second.propose(step)
        told = second.learn(step, schemes, [reward(None, s) for s in schemes])
        asked += schemes
    assert whole[len(whole) - len(asked) :] == asked and (not asked or told == facts)


def test_an_lstm_decides_by_what_it_decided_before():
    sampler = sampler_of("enas", replace(EnasSettings(), samples=1))
    with torch.no_grad():
        log_p, entropy, _ = sampler.walk([(0, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0)])
    assert torch.equal(log_p[0, :1], log_p[1, :1]) and not torch.equal(log_p[0, 2:], log_p[1, 2:])
    # Before anything is learnt all is nearly even: log 2 per decision.
    assert entropy.tolist() == pytest.approx([6 * 0.6931] * 2, rel=0.01)


def test_an_enas_step_is_reinforce_with_a_moving_baseline():
    settings = EnasSettings(samples=2, entropy=0.0, baseline=0.9)
    sampler = sampler_of("enas", settings)
    schemes = [(0, 1, 0, 1, 0, 1), (1, 1, 1, 0, 0, 0)]
    for step, rewards in enumerate(((60.0, 64.0), (70.0, 50.0))):
        with torch.no_grad():
            log_p = sampler.walk(schemes)[0].sum(1)
        before = [p.detach().clone() for p in sampler.controller.parameters()]
        facts = sampler.learn(step, schemes, [Measured(0.0, 0.0, r) for r in rewards])
        base = 62.0 if step == 0 else 0.9 * 62.0 + 0.1 * 60.0
        assert facts["baseline"] == pytest.approx(base)
        assert facts["loss"] == pytest.approx(-float((log_p * (torch.tensor(rewards) - base)).mean()), rel=1e-4)
        moved = [(p.detach() - b).abs().max() for p, b in zip(sampler.controller.parameters(), before, strict=True)]
        assert max(moved) == pytest.approx(settings.lr, rel=0.05)


def test_the_best_scheme_of_a_population_survives():
    settings = GeneticSettings(evaluations=60, population=6, mutation=1.0, tournament=1)
    sampler = sampler_of("genetic", settings)
    reward = lambda _, scheme: Measured(0.0, 0.0, float(scheme == best))  # noqa: E731
    schemes = sampler.propose(0)
    best = schemes[2]
    for step in range(10):
        sampler.learn(step, schemes, [reward(None, s) for s in schemes])
        schemes = sampler.propose(step + 1)
        assert (1.0, best) in sampler.population


def test_evolution_changes_one_decision_of_the_best_and_the_oldest_dies_however_good_it_is():
    settings = EvolutionSettings(evaluations=40, population=4, sample=4)
    sampler = sampler_of("evolution", settings, wide())
    for step in range(4):
        sampler.learn(step, sampler.propose(step), [Measured(0.0, 0.0, [0.0, 9.0, 1.0, 2.0][step])])
    leaders = []
    for step in range(4, 12):
        leader = max(sampler.population, key=lambda one: one[0])
        (child,) = sampler.propose(step)
        assert sum(a != b for a, b in zip(child, leader[1], strict=True)) == 1
        younger = sampler.population[1:]
        sampler.learn(step, [child], [Measured(0.0, 0.0, step / 10)])
        assert sampler.population == [*younger, (step / 10, child)]
        leaders.append(leader[0])
    assert leaders[:4] == [9.0, 9.0, 2.0, 2.0]


def test_without_crossover_and_mutation_children_are_their_parents():
    settings = GeneticSettings(evaluations=40, population=8, mutation=0.0, crossover=0.0)
    sampler = sampler_of("genetic", settings)
    parents = sampler.propose(0)
    sampler.learn(0, parents, [Measured(0, 0, float(number)) for number in range(8)])
    children = sampler.propose(1)
    assert set(children) <= set(parents)
    # A tournament of three prefers the better ones.
    assert sum(parents.index(child) for child in children) / 8 > 3.5

"""Statistics of a selection: the averages that torch would keep without a momentum, whatever was kept before."""

from dataclasses import replace

import pytest
import torch
from search.slot_space import SLOTS, settings_for
from search.tiny_space import CPU, SETTINGS, SMALL, TEXT, checked_text, small_digits
from torch import nn

from genolang.compiler import driver
from genolang.search.evaluator import Evaluator
from genolang.search.halves import Halves
from genolang.search.normalising import FreshStatistics, fresh_accuracy
from genolang.search.schemes import SchemeSpace
from genolang.search.strategies import STRATEGIES
from genolang.search.supernet import train_supernet
from genolang.semantics.check import expand_network
from genolang.train.evaluate import evaluate
from genolang.train.phase import Phase
from genolang.train.state import copies

# A module with a batch norm of its own, which the slots of a stage share: several calls a pass.
NORMED = SLOTS.replace("op unit", "attention normed = x * sigmoid(x -> conv(1) -> batch_norm)\n\nop unit").replace(
    "se(r=2) at", "normed at"
)
SPACES = {"slots": (SLOTS, "slots"), "normed": (NORMED, "slots"), "cells": (TEXT, None), "small": (SMALL, None)}
HALVES = Halves(SETTINGS, small_digits(), CPU)


def made(name, *, fused=True):
    """A network of the space whose statistics are those of nothing that it could compute."""
    program = expand_network(checked_text(SPACES[name][0]), SPACES[name][1], {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = driver.to_module(program, fused=fused)
        for norm in norms_of(module).values():
            norm.running_mean.normal_(3.0, 2.0)
            norm.running_var.uniform_(2.0, 9.0)
    return program, module


def norms_of(module):
    return {name: m for name, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}


def expected(name, selection, batches):
    """The statistics by a network without kernels, from what each norm was given at each of its calls."""
    _, module = made(name, fused=False)
    module.select(selection)
    given = {key: [] for key in norms_of(module)}
    for key, norm in norms_of(module).items():
        norm.register_forward_pre_hook(lambda _, maps, key=key: given[key].append(maps[0].double()))
    module.eval()
    for norm in norms_of(module).values():
        norm.training = True
    drawn = HALVES.batches(HALVES.weights, 7, "statistics")
    with torch.no_grad():
        for number in range(batches):
            module(drawn.batch(*divmod(number, len(drawn)))[0])
    found = {
        key: (
            torch.stack([x.mean((0, 2, 3)) for x in maps]).mean(0),
            torch.stack([x.var((0, 2, 3)) for x in maps]).mean(0),
        )
        for key, maps in given.items()
        if maps
    }
    return found, [len(maps) for maps in given.values()]


def schemes_of(program):
    space = SchemeSpace(program)
    generator = torch.Generator().manual_seed(1)
    return [space.full, space.plain, *(space.draw(generator=generator) for _ in range(3))], space


@pytest.mark.parametrize("batches", [1, 3, 8])
@pytest.mark.parametrize("name", SPACES)
def test_a_norm_has_the_average_of_its_calls_and_those_left_out_have_what_they_had(name, batches):
    program, module = made(name)
    schemes, space = schemes_of(program)
    statistics, before = FreshStatistics(module, HALVES, 7, batches), copies(module.state_dict())
    shared = set()
    for selection in (None, *map(space.selection, schemes)):
        module.select(selection)
        wanted, calls = expected(name, selection, batches)
        shared |= set(calls)
        with statistics.of_selection():
            found = copies(module.state_dict())
            assert not any(norm.training for norm in norms_of(module).values())
        for key, norm in norms_of(module).items():
            mean, variance = wanted.get(key, (before[f"{key}.running_mean"], before[f"{key}.running_var"]))
            torch.testing.assert_close(found[f"{key}.running_mean"].double(), mean.double(), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found[f"{key}.running_var"].double(), variance.double(), rtol=1e-4, atol=1e-5)
            assert norm.momentum == 0.1
        assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    # Not once a pass alone, where slots share a norm.
    assert shared >= ({0, batches, 2 * batches, 3 * batches} if name == "normed" else {batches})


def test_the_module_is_as_it_was_after_an_error_too():
    _, module = made("slots")
    module.train()
    before = copies(module.state_dict())
    with pytest.raises(ZeroDivisionError), FreshStatistics(module, HALVES, 7, 2).of_selection():
        assert not torch.equal(
            module.state_dict()["stem.batch_norm.running_mean"], before["stem.batch_norm.running_mean"]
        )
        raise ZeroDivisionError
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    assert all(part.training for part in module.modules())


def test_two_seeds_have_other_batches_and_one_seed_always_the_same():
    _, module = made("slots")

    def found(seed):
        with FreshStatistics(module, HALVES, seed, 2).of_selection():
            return copies(module.state_dict())["stem.batch_norm.running_mean"]

    state = torch.random.get_rng_state()
    assert torch.equal(found(7), found(7)) and not torch.equal(found(7), found(8))
    assert torch.equal(state, torch.random.get_rng_state())


def test_what_a_scheme_is_worth_does_not_depend_on_what_the_supernet_kept():
    program, module = made("normed")
    schemes, space = schemes_of(program)
    train_supernet(module, space, replace(settings_for("random"), epochs=12), small_digits(), Phase(7, CPU))
    statistics = FreshStatistics.asked(replace(SETTINGS, statistics=2), module, HALVES, 7)
    first = Evaluator(module, space, HALVES, 1.0, 0.0, statistics)
    before = [first(scheme).accuracy for scheme in schemes]
    for norm in norms_of(module).values():
        norm.running_mean.fill_(17.0)
        norm.running_var.fill_(0.5)
    again, stored = (Evaluator(module, space, HALVES, 1.0, 0.0, kept) for kept in (statistics, None))
    assert [again(scheme).accuracy for scheme in schemes] == before and len(set(before)) > 1
    assert [stored(scheme).accuracy for scheme in schemes] != before


@pytest.mark.parametrize("name", ["random", "ean", "enas", "genetic", "heuristic", "darts"])
def test_every_method_measures_its_answer_by_fresh_statistics_where_told_to(name):
    program, _ = made("normed")
    settings = settings_for("random" if name == "darts" else name, statistics=3)
    if name == "darts":
        settings = replace(settings, method="darts", sampling=None)
    answers, data = [], small_digits()
    for batches in (3, 0):
        _, module = made("normed")
        found = STRATEGIES[settings.method](module, replace(settings, statistics=batches), data, Phase(7, CPU), program)
        if name != "darts":
            space = SchemeSpace(program)
            scheme = tuple(row.index(max(row)) for rows in found.logits.values() for row in rows)
            module.select(space.selection(scheme))
        asked = replace(settings, statistics=batches)
        halves = Halves(asked, data, CPU)
        alone = fresh_accuracy(asked, module, halves, 7)
        answers.append((found.val_accuracy, alone if batches else evaluate(module, halves.measured()).accuracy))
    assert all(inside == alone for inside, alone in answers)

"""How good an answer is: its network trained from scratch on one half, measured on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from genolang.compiler import driver
from genolang.diagnostics import fail
from genolang.search.halves import Halves
from genolang.search.space import Genotype
from genolang.search.writeback import discrete_program
from genolang.semantics.check import Checked
from genolang.semantics.program import Program
from genolang.semantics.recipes import network_of_score
from genolang.semantics.settings import SearchSettings
from genolang.train.batches import generator_for
from genolang.train.datasets import Dataset
from genolang.train.loop import Fitted, fit
from genolang.train.phase import Phase

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule


def scored_program(
    checked: Checked, searched: Program, genotype: Genotype, settings: SearchSettings, given: Mapping[str, Any]
) -> Program:
    """The network in which an answer is scored. Error: G506 where it has choices of its own."""
    choice = settings.scoring().network
    name, arguments = network_of_score(checked.module, choice, searched.name, given)
    program = discrete_program(checked, searched, genotype, arguments, name)
    if program.choices:
        raise fail(
            "G506",
            f"answers are scored in the network `{name}`, which has choices that the search of"
            f" `{searched.name}` does not make: {', '.join(program.choices)}",
            help=f"`score train(network={searched.name})`, or search `{name}`",
        )
    return program


def train_score(program: Program, settings: SearchSettings, data: Dataset, phase: Phase) -> Fitted:
    """Trains a discrete program as `score` says, from weights drawn by the phase's seed.

    It sees the weights' half of the search.

    The choices' half serves as the validation images; `settings.seed` draws the halves. Two runs
    with one seed have the same batches, whatever the program. Raises what
    `genolang.train.loop.fit` raises.
    """
    training = replace(settings.scoring(), seed=phase.seed)
    module = fresh_module(program, phase)
    module.to(phase.device)
    halves = Halves(settings, data, phase.device)
    return fit(module, training, halves.batches(halves.weights, phase.seed, "score", training), halves.measured, phase)


def accuracy_of(fitted: Fitted) -> float:
    """The last epoch's validation accuracy: the best one would be chosen on the measuring images."""
    accuracy = fitted.history[-1].val_accuracy
    assert accuracy is not None, "a score is measured on held-out images"
    return accuracy


def fresh_module(program: Program, phase: Phase) -> NetworkModule:
    """A program's module on the CPU, its weights drawn by the phase's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_for(phase.seed, "network").initial_seed())
        return driver.to_module(program, without=phase.without)

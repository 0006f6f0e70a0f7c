import random

import pytest
import torch
from search.slot_space import CHOICES, SLOTS
from search.tiny_space import TEXT, checked_text

from genolang.search.schemes import SchemeSpace
from genolang.search.space import random_genotype
from genolang.search.writeback import discrete_program
from genolang.semantics.check import expand_network


def space_of(text: str) -> SchemeSpace:
    name = "slots" if text is SLOTS else None
    return SchemeSpace(expand_network(checked_text(text), name, {}))


def draws(space: SchemeSpace, count: int, connect: float = 0.5) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [space.draw(connect, generator) for _ in range(count)]


def test_a_scheme_has_a_bit_for_every_slot():
    space = space_of(SLOTS)
    assert space.plugs == (0, 1, 2, 3, 4, 5)
    assert space.selection((0, 1, 1, 1, 0, 0)) == {
        "slots.residual.stage1": [0, 1, 1],
        "slots.residual.stage2": [1, 0, 0],
    }
    assert (space.full, space.plain) == ((1,) * 6, (0,) * 6)
    assert space.text((0, 1, 1, 1, 0, 0)) == "011|100"


def test_sparsity_is_the_share_of_slots_without_a_connection():
    space = space_of(SLOTS)
    assert [space.sparsity(s) for s in (space.full, space.plain, (1, 0, 0, 0, 0, 1))] == [0, 1, 1 - 2 / 6]
    assert space.connections((1, 0, 0, 0, 0, 1)) == 2


def test_without_slots_sparsity_is_the_share_of_macs_saved():
    space = space_of(CHOICES)
    # 3x3, 5x5, nothing; a gate of 4 -> 2 -> 4 channels; 1x1, nothing: on 4 channels of 8x8.
    conv = {0: 9 * 16 * 64, 1: 25 * 16 * 64, 2: 0}
    kinds = (conv, {0: 0, 1: 16}, {0: 16 * 64, 1: 0})
    scheme = (0, 1, 0)
    order = [list(space.program.choices).index(row.key) for row in space.rows]
    saved = [max(kind.values()) - kind[option] for kind, option in zip(kinds, scheme, strict=True)]
    assert order == sorted(order)
    assert space.sparsity(scheme) == pytest.approx(sum(saved) / sum(max(kind.values()) for kind in kinds))
    assert space.sparsity(space.full) == 0 and space.sparsity(space.plain) == 1


@pytest.mark.parametrize("text", [SLOTS, CHOICES, TEXT])
def test_a_schemes_cost_is_that_of_the_network_that_it_becomes(text):
    space = space_of(text)
    for scheme in draws(space, 6):
        found = discrete_program(checked_text(text), space.program, space.genotype(scheme), {})
        assert space.macs(scheme) == found.block.macs[0]


@pytest.mark.parametrize("text", [SLOTS, CHOICES, TEXT])
def test_every_scheme_is_an_answer_and_comes_back_from_its_text(text):
    space = space_of(text)
    for scheme in draws(space, 30):
        assert space.parse(space.text(scheme)) == scheme
        genotype = space.genotype(scheme)
        said = genotype.options
        for row, option in zip(space.rows, scheme, strict=True):
            zero = space.program.choices[row.key].options[option].zero
            assert said.get((row.key, row.row)) == (None if zero else option)


def test_a_scheme_of_a_cell_keeps_as_many_edges_as_its_answer():
    space = space_of(TEXT)
    zero, counts = 0, []
    for scheme in draws(space, 200):
        assert [sum(scheme[row] != zero for row in kept.rows) for kept in space.kept] == [2]
        counts.append(scheme)
    # Two edges enter the first node and stay; of the second node's three every pair comes.
    assert all(zero not in scheme[:2] for scheme in counts)
    assert {tuple(option != zero for option in scheme[2:]) for scheme in counts} == {
        (True, True, False),
        (True, False, True),
        (False, True, True),
    }


def test_a_node_of_many_edges_keeps_no_more_than_its_share():
    space = space_of(TEXT.replace("nodes  n1, n2", "nodes  n1, n2, n3, n4").replace("keep   2", "keep   1"))
    for scheme in draws(space, 60):
        assert [sum(scheme[row] != 0 for row in kept.rows) for kept in space.kept] == [1, 1, 1, 1]


def test_slots_are_connected_with_the_given_probability_and_the_rest_is_drawn_evenly():
    space = space_of(SLOTS)
    for connect in (0.0, 0.2, 0.5, 1.0):
        drawn = torch.tensor(draws(space, 500, connect)).double()
        assert (drawn.mean(0) - connect).abs().max() < 0.07
    first = torch.tensor(draws(space_of(CHOICES), 900, 0.9))[:, 0].bincount()
    assert first.min() > 250


def test_draws_come_from_the_generator_alone():
    space = space_of(TEXT)
    assert draws(space, 5) == draws(space, 5)
    state = torch.random.get_rng_state()
    draws(space, 5)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(0)
    first = space.draw()
    torch.manual_seed(0)
    assert space.draw() == first


def test_a_legal_scheme_stays_as_it_is():
    space = space_of(TEXT)
    for number in range(20):
        genotype = random_genotype(space.program, random.Random(number))
        ((_, edges),) = genotype.cells
        scheme = [0] * 5
        for edge in edges:
            ((_, scheme[edge.edge]),) = edge.options
        assert space.legal(tuple(scheme), torch.Generator().manual_seed(0)) == tuple(scheme)

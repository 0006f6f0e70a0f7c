"""The answer that logits stand for: the strongest, and of equals the first."""

import random

import pytest
from search.tiny_space import checked_text

from genolang.search.space import derive, softmax
from genolang.semantics.check import expand_network
from genolang.semantics.program import Program

TEXT = """geno 1
import std.ops
choice operation = none | max_pool(3) | skip | avg_pool(3)
cell a(p, q, channels=4) {
  inputs s0 = p -> conv(1, channels), s1 = q -> conv(1, channels)
  nodes  n1, n2
  edges  earlier -> each : operation
  keep   2 edges per node by operation
  return concat(n1, n2)
}
network s {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm
  cells 1 of a
  head  global_avg_pool -> linear(3)
}
"""
# `none` is no answer.
USABLE = (1, 2, 3)


def program() -> Program:
    return expand_network(checked_text(TEXT), None, {})


@pytest.mark.parametrize("seed", range(40))
def test_the_strongest_edges_and_options_are_kept_and_of_equals_the_first(seed: int) -> None:
    generator = random.Random(seed)
    # Rows come from a few, so that edges tie, and have few values, so that options do.
    some = [[generator.choice((0.0, 0.5, 1.0)) for _ in range(4)] for _ in range(1 + seed % 4)]
    rows = [generator.choice(some) for _ in range(5)]
    (key,) = program().choices
    ((_, edges),) = derive(program(), {key: rows}).cells

    def weight(edge: int) -> float:
        return max(softmax(rows[edge])[n] for n in USABLE)

    for into, kept in ((range(2), edges[:2]), (range(2, 5), edges[2:])):
        numbers = [edge.edge for edge in kept]
        assert numbers == sorted(into, key=lambda n: (-weight(n), n))[:2]
    for edge in edges:
        ((_, option),) = edge.options
        row = rows[edge.edge]
        assert option == next(n for n in USABLE if row[n] == max(row[m] for m in USABLE))

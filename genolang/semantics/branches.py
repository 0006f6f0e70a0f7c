"""What the alternatives of a decision are made of: how many weights, and whether they change anything."""

from __future__ import annotations

from genolang.records import record
from genolang.semantics.program import Block, BlockNode, Decision, Program


@record(frozen=True)
class Branch:
    """An alternative where it stands: its learnable numbers, whether it hands on its input as it is."""

    params: int
    skip: bool


def branches(program: Program) -> dict[Decision, tuple[Branch, ...]]:
    """The alternatives of every decision.

    Of a decision that stands at several places the largest counts, and it skips where it does at each.
    """
    found: dict[Decision, tuple[Branch, ...]] = {}
    for block in program.block.walk(open=True):
        for node in block.nodes:
            if node.mix is None:
                continue
            options = program.choices[node.mix.key].options
            here = _of_mix(block, node, [option.zero for option in options])
            at = node.mix.decision
            there = found.get(at, here)
            found[at] = tuple(
                Branch(max(a.params, b.params), a.skip and b.skip) for a, b in zip(here, there, strict=True)
            )
    for at in program.decisions:
        # What no output reads is in no block.
        found.setdefault(at, (Branch(0, False),) * len(program.choices[at.key].options))
    return found


def _of_mix(block: Block, node: BlockNode, zeros: list[bool]) -> tuple[Branch, ...]:
    needs = [set(block.needed((source,))) for source in node.inputs]
    # What all alternatives read is no part of any.
    real = [need for need, zero in zip(needs, zeros, strict=True) if not zero]
    common = set[int]().union(*real[:1]).intersection(*real)
    found = []
    for need, zero in zip(needs, zeros, strict=True):
        own = [block.nodes[index] for index in need - common]
        found.append(Branch(sum(block.params_of(one) for one in own), not own and not zero))
    return tuple(found)

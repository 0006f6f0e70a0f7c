"""The pipeline: passes in the order in which they run, each exact, each with one sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from genolang.compiler.ir import Graph, Verified, verify
from genolang.compiler.passes.inline import inline
from genolang.compiler.passes.prune import prune
from genolang.compiler.passes.share import share
from genolang.compiler.passes.zeros import drop_zeros


@dataclass(frozen=True, slots=True)
class Pass:
    """A change of the graph that keeps its results and the state dict's names and order."""

    name: str
    sentence: str
    run: Callable[[Graph], Graph]


PIPELINE: tuple[Pass, ...] = (
    Pass("inline", "puts definitions in the place of their calls, inside each cell or block", inline),
    Pass("zeros", "leaves zeros out of sums and mixed operations", drop_zeros),
    Pass("share", "computes once what has no weights and the same inputs", share),
    Pass("prune", "drops what no output reads", prune),
)


def run_pipeline(graph: Graph, *, without: Collection[str] = ()) -> Graph:
    """All passes in order but those named in `without`, the graph verified after each."""
    known: Verified = {}
    verify(graph, "building", known)
    for step in PIPELINE:
        if step.name not in without:
            graph = step.run(graph)
            verify(graph, step.name, known)
    return graph


__all__ = ["PIPELINE", "Pass", "run_pipeline"]

"""The pipeline: passes in the order in which they run, each exact, each with one sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from genolang.compiler.ir import Graph, Verified, verify
from genolang.compiler.passes.batch import batch
from genolang.compiler.passes.capture import ELSEWHERE, capture
from genolang.compiler.passes.depthwise import formulate
from genolang.compiler.passes.factor import factor_out
from genolang.compiler.passes.fuse import fuse
from genolang.compiler.passes.inline import inline
from genolang.compiler.passes.layout import lay_out
from genolang.compiler.passes.moments import fold_moments
from genolang.compiler.passes.opened import open_calls
from genolang.compiler.passes.patterns import recognise
from genolang.compiler.passes.pointwise import multiply_out
from genolang.compiler.passes.prune import prune
from genolang.compiler.passes.share import share
from genolang.compiler.passes.statistics import share_statistics
from genolang.compiler.passes.zeros import drop_zeros


@dataclass(frozen=True, slots=True)
class Pass:
    """A change of the graph that keeps its results and the state dict's names and order.

    `together` marks those that count on every alternative being computed, which a selection does not;
    `elsewhere` is what to say of one that comes to nothing without a GPU.
    """

    name: str
    sentence: str
    run: Callable[[Graph], Graph]
    together: bool = False
    elsewhere: str = ""


PIPELINE: tuple[Pass, ...] = (
    Pass("inline", "puts definitions in the place of their calls, inside each cell or block", inline),
    Pass("open", "puts a called module in its place where a kernel's pattern spans the call", open_calls),
    Pass("zeros", "leaves zeros out of sums and mixed operations", drop_zeros),
    Pass("share", "computes once what has no weights and the same inputs", share),
    Pass("prune", "drops what no output reads", prune),
    Pass("layout", "lays maps out with their channels last on a CPU", lay_out),
    Pass("depthwise", "computes depthwise convolutions in a form with fast gradients", formulate),
    Pass("moments", "reads a batch norm's statistics off the map before its 1x1 convolution", fold_moments),
    Pass("pointwise", "computes other 1x1 convolutions as products of matrices", multiply_out),
    Pass("fuse", "normalises, weights and adds all candidates into a node at once", fuse, together=True),
    Pass("factor", "multiplies a map by the sum of its masks", factor_out, together=True),
    Pass("statistics", "normalises once what several batch norms read", share_statistics, together=True),
    Pass("batch", "runs operations of one kind that leave the same map together", batch, together=True),
    Pass("recognise", "calls a kernel where its pattern stands, the largest one", recognise, together=True),
    Pass("capture", "records each step of training and search as a CUDA graph, while shapes stay", capture,
         together=True, elsewhere=ELSEWHERE),
)


def run_pipeline(graph: Graph, *, without: Collection[str] = ()) -> tuple[Graph, Graph]:
    """All passes in order but those named in `without`, the graph verified after each.

    Gives the graph that selections can be made from, and the one that holds while there is none.
    """
    known = Verified()
    verify(graph, "building", known)
    selectable = graph
    for step in PIPELINE:
        if step.name not in without:
            graph = step.run(graph)
            verify(graph, step.name, known)
        if not step.together:
            selectable = graph
    return selectable, graph


__all__ = ["PIPELINE", "Pass", "run_pipeline"]

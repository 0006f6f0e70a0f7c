"""The passes in the order in which they run, each exact, each with one sentence.

A pass is a file, and in it a function of the same name that makes one graph of another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from genolang.compiler.ir import Graph, flatten
from genolang.compiler.ir.verify import Law, Verified, all_is_read, only_outermost_calls, only_used_weights, verify
from genolang.compiler.passes import (
    batch,
    capture,
    channels_last,
    decide,
    depthwise,
    factor,
    fold,
    fuse,
    inline,
    join,
    layout,
    moments,
    open,
    pointwise,
    prune,
    recognise,
    share,
    statistics,
    zeros,
)
from genolang.semantics.program import ChoiceSet


@dataclass(frozen=True, slots=True)
class Pass:
    """A change of the graph that keeps its results and, in training, the state dict's names and order.

    `together` marks those that count on every alternative being computed, which a selection does not;
    `elsewhere` is what to say of one that comes to nothing without a GPU; `laws` hold from here on.
    """

    run: Callable[[Graph], Graph]
    sentence: str
    laws: tuple[Law, ...] = ()
    together: bool = False
    elsewhere: str = ""

    @property
    def name(self) -> str:
        return self.run.__name__


TRAINING: tuple[Pass, ...] = (
    Pass(
        inline.inline,
        "puts definitions in the place of their calls, inside each cell or block",
        (only_outermost_calls,),
    ),
    Pass(open.open, "puts a called module in its place where a kernel's pattern spans the call"),
    Pass(zeros.zeros, "leaves zeros out of sums and mixed operations"),
    Pass(share.share, "computes once what has no weights and the same inputs"),
    Pass(prune.prune, "drops what no output reads", (all_is_read,)),
    Pass(layout.layout, "lays maps out with their channels last on a CPU"),
    Pass(depthwise.depthwise, "computes depthwise convolutions in a form with fast gradients"),
    Pass(moments.moments, "reads a batch norm's statistics off the map before its 1x1 convolution"),
    Pass(pointwise.pointwise, "computes other 1x1 convolutions as products of matrices"),
    Pass(fuse.fuse, "normalises, weights and adds all candidates into a node at once", together=True),
    Pass(factor.factor, "multiplies a map by the sum of its masks", together=True),
    Pass(statistics.statistics, "normalises once what several batch norms read", together=True),
    Pass(batch.batch, "runs operations of one kind that leave the same map together", together=True),
    Pass(recognise.recognise, "calls a kernel where its pattern stands, the largest one", together=True),
    Pass(
        capture.capture,
        "records each step of training and search as a CUDA graph, while shapes stay",
        together=True,
        elsewhere=capture.ELSEWHERE,
    ),
)

# What selects from choices has happened before, and no call is left.
INFERENCE: tuple[Pass, ...] = (
    Pass(zeros.zeros, "leaves zeros out of sums and mixed operations"),
    Pass(share.share, "computes once what has no weights and the same inputs"),
    Pass(prune.prune, "drops what no output reads", (all_is_read,)),
    Pass(fold.fold, "folds batch norms into the layers before them", (only_used_weights,)),
    Pass(recognise.recognise, "calls a kernel where its pattern stands, the largest one"),
    Pass(join.join, "adds and rectifies on the way out of a layer"),
    Pass(channels_last.channels_last, "lays maps out with their channels last"),
)


def for_training(graph: Graph, *, without: Collection[str] = ()) -> tuple[Graph, Graph]:
    """All passes in order but those named in `without`, the graph verified after each.

    Gives the graph that selections can be made from, and the one that holds while there is none.
    """
    known = Verified()
    verify(graph, "building", known)
    selectable = graph
    for step in TRAINING:
        if step.name not in without:
            graph = step.run(graph)
            known.laws += step.laws
            verify(graph, step.name, known)
        if not step.together:
            selectable = graph
    return selectable, graph


def for_inference(graph: Graph, sets: Mapping[str, ChoiceSet], selected: Mapping[str, Sequence[int]]) -> Graph:
    """A network's graph as it answers fastest: every cell written out, what is selected in the place of
    choices, no auxiliary head, and no weights but those that the answer needs."""
    graph = flatten(graph)
    graph.outputs = graph.outputs[:1]
    graph = decide.decide(graph, sets, selected)
    known = Verified()
    for step in INFERENCE:
        graph = step.run(graph)
        known.laws += step.laws
        verify(graph, step.name, known)
    return graph

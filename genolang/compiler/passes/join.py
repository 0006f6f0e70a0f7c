"""Let layers do on their way, or in their own memory, what alone reads them: an addition, a ReLU."""

from __future__ import annotations

from dataclasses import replace

from genolang.compiler.ir import Graph, substitute, uses
from genolang.compiler.ir.made import Answering


def join(graph: Graph) -> Graph:
    """A convolution, a dense layer or a batch norm takes in what follows it; `graph` calls nothing."""
    found = uses(graph)
    changed: dict[int, tuple[Answering, tuple[int, ...]]] = {}
    for number, node, arguments in graph:
        if node.layer in ("conv", "linear"):
            changed[number] = Answering(node.path), arguments
        elif node.layer == "relu" and found.reads[arguments[0]] == 1:
            before = graph.node(arguments[0])
            if arguments[0] in changed:
                made, reads = changed[arguments[0]]
                changed[number] = replace(made, relu=True), reads
            elif before.layer == "batch_norm":
                changed[number] = Answering(before.path, relu=True), graph.arguments(arguments[0])
        elif node.is_sum and len(arguments) == 2:
            for one, other in (arguments, arguments[::-1]):
                alike = graph.node(other).type == graph.node(one).type
                if graph.node(one).layer == "conv" and found.reads[one] == 1 and alike:
                    changed[number] = replace(changed[one][0], added=True), (*changed[one][1], other)
                    break
    return substitute(graph, changed)

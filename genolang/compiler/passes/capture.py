"""Let whole steps be recorded where the device can."""

from __future__ import annotations

from genolang.compiler.ir import Graph, renewed

# What there is to say where there is no GPU.
ELSEWHERE = "not a GPU: nothing to record"


def capture(graph: Graph) -> Graph:
    """Marks the network: every shape in it follows from that of its images, and no layer asks what a map
    holds, so a step can be recorded once and run again. Recording is the training's: it knows the device.
    """
    if graph.captured:
        return graph
    marked = renewed(graph, lambda node: node)
    marked.captured = True
    return marked

"""The graph, how it is built and rewritten, what makes it legal, and its text form."""

from genolang.compiler.ir.build import build_graph
from genolang.compiler.ir.calls import by_height, calls, definitions, with_counts
from genolang.compiler.ir.graph import Graph, Node
from genolang.compiler.ir.rewrite import (
    Changed,
    Rewriting,
    copy_body,
    flatten,
    map_bodies,
    renewed,
    rewrite,
    substitute,
)
from genolang.compiler.ir.text import to_text
from genolang.compiler.ir.uses import Uses, uses
from genolang.compiler.ir.verify import Law, Verified, verify

__all__ = [
    "Changed",
    "Graph",
    "Law",
    "Node",
    "Rewriting",
    "Uses",
    "Verified",
    "build_graph",
    "by_height",
    "calls",
    "copy_body",
    "definitions",
    "flatten",
    "map_bodies",
    "renewed",
    "rewrite",
    "substitute",
    "to_text",
    "uses",
    "verify",
    "with_counts",
]

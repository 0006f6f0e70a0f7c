"""The graph, how it is built, what makes it legal, and its text form."""

from genolang.compiler.ir.build import build_graph
from genolang.compiler.ir.graph import Graph, Node, rebased
from genolang.compiler.ir.text import to_text
from genolang.compiler.ir.verify import Verified, verify

__all__ = ["Graph", "Node", "Verified", "build_graph", "rebased", "to_text", "verify"]

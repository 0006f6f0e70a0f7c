"""Networks as networkx graphs, and back: the attributes are written down in `docs/graph.md`."""

from genolang.compiler.interchange.files import from_bytes, read_file, to_bytes
from genolang.compiler.interchange.read import to_program
from genolang.compiler.interchange.written import to_networkx

__all__ = ["from_bytes", "read_file", "to_bytes", "to_networkx", "to_program"]

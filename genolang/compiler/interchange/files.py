"""Graphs as text: node-link JSON, and GraphML, in which values that are no text or number are JSON."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from genolang.compiler.interchange.values import Values, shown, wrong
from genolang.diagnostics import fail, printable
from genolang.lang.limits import limit, limit_note
from genolang.lang.reading import read_plain

if TYPE_CHECKING:
    import networkx as nx

# The attributes that are JSON text in GraphML.
STRUCTURED = frozenset(("definitions", "choices", "attributes", "shape", "place", "outputs"))
DEEPEST = 20
# What networkx raises for what it does not expect.
_FOREIGN = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


def to_bytes(graph: nx.MultiDiGraph[str], ending: str) -> bytes:
    """A graph of `to_networkx` in the form that a file's ending names."""
    import networkx as nx

    if ending == ".json":
        return (json.dumps(nx.node_link_data(graph, edges="edges"), allow_nan=False) + "\n").encode()
    flat: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    flat.graph.update(_as_text(graph.graph))
    flat.add_nodes_from((name, _as_text(facts)) for name, facts in graph.nodes(data=True))
    # Edges have numbers of their own: other readers want no two edges of one name.
    for number, (start, end, facts) in enumerate(graph.edges(data=True)):
        flat.add_edge(start, end, key=f"e{number}", **facts)
    return ("\n".join(nx.generate_graphml(flat)) + "\n").encode()


def read_file(path: str | os.PathLike[str]) -> nx.MultiDiGraph[Any]:
    """The graph in a file: GraphML if its name ends so, else node-link JSON. Errors: G001, G003, G611."""
    try:
        content = read_plain(path, limit("graph_bytes"))
    except (OSError, ValueError) as error:
        raise fail("G001", f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > limit("graph_bytes"):
        raise fail("G003", f"{path} has more than {limit('graph_bytes'):,} bytes", notes=(limit_note("graph_bytes"),))
    ending = ".graphml" if str(path).lower().endswith(".graphml") else ".json"
    return from_bytes(content, ending, str(path))


def from_bytes(content: bytes, ending: str, where: str) -> nx.MultiDiGraph[Any]:
    """The graph that stands in a file, whose edges have the argument's position as their key.

    Its attributes are as the file has them. Error: G611 where it is no graph at all.
    """
    import networkx as nx

    try:
        found = _from_json(content) if ending == ".json" else _from_graphml(content, where)
    except (nx.NetworkXException, expat.ExpatError, *_FOREIGN) as error:
        reason = printable(f"{type(error).__name__}: {error}")[:200]
        raise wrong(where, f"it cannot be read as a graph: {reason}") from None
    made: nx.MultiDiGraph[Any] = nx.MultiDiGraph()
    made.graph.update(Values(where, found.graph).values)
    made.add_nodes_from(found.nodes(data=True))
    for start, end, facts in found.edges(data=True):
        key = Values(f"edge from {shown(start)} to {shown(end)}", facts).whole("argument")
        made.add_edge(start, end, key=key)
        made.edges[start, end, key].update(facts)
    return made


def _as_text(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value, allow_nan=False) if name in STRUCTURED else value for name, value in facts.items()}


def _as_values(facts: dict[str, Any]) -> None:
    facts |= {name: _parsed(value) for name, value in facts.items() if name in STRUCTURED}


def _parsed(text: str | bytes) -> Any:
    """JSON, in which there is neither infinity nor what is no number."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number")

    return json.loads(text, parse_constant=refuse)


def _from_json(content: bytes) -> nx.MultiDiGraph[Any]:
    import networkx as nx

    found = nx.node_link_graph(_parsed(content), directed=True, multigraph=True, edges="edges")
    return nx.MultiDiGraph(found)


def _from_graphml(content: bytes, where: str) -> nx.MultiDiGraph[Any]:
    import networkx as nx

    text = content.decode("utf-8-sig")
    _look_through(text, where)
    with warnings.catch_warnings():
        # Of what other programs put beside nodes and edges nothing is read.
        warnings.simplefilter("ignore")
        read = nx.parse_graphml(text, edge_key_type=str, force_multigraph=True)
    found: nx.MultiDiGraph[Any] = nx.MultiDiGraph(read)
    for name in ("node_default", "edge_default"):
        found.graph.pop(name, None)
    _as_values(found.graph)
    for _, facts in found.nodes(data=True):
        _as_values(facts)
    return found


def _look_through(text: str, where: str) -> None:
    """Refuse XML that could grow, before networkx reads it, whose parser puts in all entities there."""
    depth = 0

    def declared(*_: object) -> None:
        raise wrong(where, "it declares a document type, which a graph has no need of")

    def opened(name: str, attributes: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise wrong(where, f"its elements are nested more than {DEEPEST} deep")

    def closed(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = declared
    parser.EntityDeclHandler = declared
    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.Parse(text, True)

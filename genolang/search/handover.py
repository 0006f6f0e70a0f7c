"""Which weights of a supernet the network of an answer takes over, by name.

The answer is the supernet without what was not chosen, so their weights are the same ones under nearly the
same names: an answer's name has no words of choices, and a number behind a word counts only what is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from genolang.lang import syntax as s
from genolang.search.space import Genotype
from genolang.semantics.check import Checked
from genolang.semantics.program import Block, BlockNode, Path, Program

if TYPE_CHECKING:
    from torch import Tensor


def names_of_answer(checked: Checked, program: Program, genotype: Genotype, answer: Program) -> dict[str, str]:
    """Names of layers in the answer's network -> in the supernet, for all that the answer computes with.

    `checked` is the searched spec, `program` its network, `answer` what `discrete_program` made. Batch norms
    that stand in a search alone have no counterpart. Raises ValueError where the two compute anything else.
    """
    supernet, found = _Supernet(checked, program, genotype), _Network(answer)
    pairs = list(zip(supernet.ends(), found.ends(), strict=True))
    names: dict[str, str] = {}
    seen: set[tuple[_Place, _Place]] = set()
    while pairs:
        there, here = pairs.pop()
        node, made = there.node, here.node
        if node.layer == "batch_norm" != made.layer and not (node.attrs or {})["affine"]:
            # `norm` of a search, where the answer has none.
            pairs.append((supernet.inputs(there)[0], here))
            continue
        if (there, here) in seen:
            continue
        seen.add((there, here))
        (constant, terms), (other, found_terms) = supernet.terms(there), found.terms(here)
        if not _alike(node, made) or not math.isclose(constant, other) or len(terms) != len(found_terms):
            raise ValueError(f"the answer has {made.layer} where {node.layer} was decided")
        if node.path:
            old, new = ".".join(there.path), ".".join(here.path)
            if names.setdefault(new, old) != old:
                raise ValueError(f"the answer's {new} is {names[new]} and {old} of the supernet")
        if node.layer != "zeros":
            pairs += zip(terms, found_terms, strict=True)
    if len(set(names.values())) < len(names):
        raise ValueError("two layers of the answer share one of the supernet")
    return names


def weights_of_answer(
    names: Mapping[str, str], supernet: Mapping[str, Tensor], answer: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The answer's state dict with the supernet's weights under `names`; scales and shifts that a search
    leaves out, and layers that compute nothing, keep the answer's own."""

    def taken(name: str) -> str:
        layer, _, tensor = name.rpartition(".")
        return f"{names.get(layer, layer)}.{tensor}"

    return {
        name: supernet[taken(name)].clone() if name.rpartition(".")[0] in names and taken(name) in supernet else own
        for name, own in answer.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """One block in use: under which name, called by whom with which nodes."""

    block: Block
    prefix: Path = ()
    caller: _Body | None = None
    given: tuple[int, ...] = ()
    called: dict[int, _Body] = field(default_factory=dict)

    def call(self, index: int) -> _Body:
        if index not in self.called:
            node = self.block.nodes[index]
            assert node.body is not None
            self.called[index] = _Body(node.body, (*self.prefix, *node.path), self, node.inputs)
        return self.called[index]


@dataclass(frozen=True, slots=True)
class _Place:
    body: _Body
    index: int

    @property
    def node(self) -> BlockNode:
        return self.body.block.nodes[self.index]

    @property
    def path(self) -> Path:
        return (*self.body.prefix, *self.node.path)


class _Network:
    """A network as one graph of layers: calls are looked into, `drop_path`, which an answer may lack
    behind an identity, is looked through."""

    def __init__(self, program: Program) -> None:
        self.root = _Body(program.block)

    def ends(self) -> list[_Place]:
        return [self.layer(self.root, index) for index in self.root.block.outputs]

    def inputs(self, place: _Place) -> list[_Place]:
        return [self.layer(place.body, index) for index in self.kept(place)]

    def terms(self, place: _Place) -> tuple[float, list[_Place]]:
        """The number and the maps that a layer joins. A sum or product that begins with another one is
        one with it, as `(a + b) + c` is to a reader of the text."""
        layer, terms = place.node.layer, self.inputs(place)
        if layer not in ("add", "multiply"):
            return 0.0, terms
        numbers = [float((place.node.attrs or {})["constant"])]
        while terms[0].node.layer == layer:
            numbers.append(float((terms[0].node.attrs or {})["constant"]))
            terms[:1] = self.inputs(terms[0])
        return sum(numbers) if layer == "add" else math.prod(numbers), terms

    def kept(self, place: _Place) -> tuple[int, ...]:
        return place.node.inputs

    def selected(self, node: BlockNode) -> int:
        raise ValueError(f"the answer leaves {node.mix} open")

    def layer(self, body: _Body, index: int) -> _Place:
        """The layer whose value a node has."""
        while True:
            node = body.block.nodes[index]
            if node.kind == "input" and body.caller is not None:
                body, index = body.caller, body.given[index]
            elif node.mix is not None:
                index = self.selected(node)
            elif node.body is not None:
                body = body.call(index)
                index = body.block.outputs[0]
            elif node.layer == "drop_path":
                index = node.inputs[0]
            else:
                inputs = self.kept(_Place(body, index))
                if node.layer != "add" or len(inputs) != 1 or len(node.inputs) == 1:
                    return _Place(body, index)
                index = inputs[0]


class _Supernet(_Network):
    """A supernet of which only what a genotype chose is there."""

    def __init__(self, checked: Checked, program: Program, genotype: Genotype) -> None:
        super().__init__(program)
        self.chosen = genotype.options
        # By the place of a node's name: which of its edges are kept, in the order in which they are written.
        self.edges: dict[object, tuple[int, ...]] = {}
        nodes = dict(_nodes(checked))
        spaces = {cell.definition: cell for cell in program.cells}
        for cell, edges in genotype.cells:
            space = spaces[cell].edges
            for name in nodes[cell]:
                mine = [number for number, edge in enumerate(space) if edge.end == name.id]
                self.edges[name.span] = tuple(mine.index(e.edge) for e in edges if e.edge in mine)

    def selected(self, node: BlockNode) -> int:
        assert node.mix is not None
        return node.inputs[self.chosen[node.mix.decision]]

    def kept(self, place: _Place) -> tuple[int, ...]:
        node = place.node
        if node.layer != "add" or node.span not in self.edges:
            return node.inputs
        return tuple(node.inputs[number] for number in self.edges[node.span])


def _nodes(checked: Checked) -> Iterator[tuple[str, tuple[s.Name, ...]]]:
    for item in checked.module.file.items:
        if isinstance(item, s.Definition) and isinstance(item.body, tuple):
            for statement in item.body:
                if isinstance(statement, s.Nodes):
                    yield item.name.id, statement.names


def _alike(node: BlockNode, made: BlockNode) -> bool:
    """Whether two nodes are one layer, but for numbers, and a scale and shift that a search leaves out."""

    def attrs(node: BlockNode) -> dict[str, object]:
        return {key: value for key, value in (node.attrs or {}).items() if key not in ("affine", "constant")}

    return (node.kind, node.layer, node.type, attrs(node)) == (made.kind, made.layer, made.type, attrs(made))

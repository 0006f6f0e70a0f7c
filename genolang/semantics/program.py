"""A program with everything known: typed blocks of layers, before any graph or torch module.

A block is one definition at given arguments and input shapes, expanded once however often it is
used. Numbers refer to `nodes` by position; weights live at paths that read like the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from genolang.diagnostics import Span
from genolang.lang.syntax import Arg, Call, Edge, Expr
from genolang.primitives import PRIMITIVES, MapType, Weights
from genolang.records import record

Path = tuple[str, ...]
Kind = Literal["input", "layer", "call", "mix"]


class Decision(NamedTuple):
    """What a search decides once, by its name in one program: a row of a choice set.

    What it belongs to, a place in the text on an edge or a slot, stands in the set's `rows`.
    """

    key: str
    row: int


class Spot(NamedTuple):
    """Where a choice is used: in which source, between which characters, and, for a choice inside an
    alternative of another choice, in which of that choice's alternatives (else -1)."""

    source: int
    start: int
    end: int
    option: int = -1


Way = tuple[Spot, ...]
"""The uses that lead to a choice, the outermost first: those of choices around it, and of a
parameter of a cell that stands for its default."""


@record(frozen=True)
class Mix:
    """A decision left open: softmax weights of row `row` of the choice set `key` over the inputs."""

    key: str
    row: int
    combine: str = "sum"

    @property
    def decision(self) -> Decision:
        return Decision(self.key, self.row)


# Made by the ten thousand, so with a compiled constructor.
@dataclass(slots=True, eq=False)
class BlockNode:
    """One value: an input, a primitive layer, a call of another block, or a mix of candidates.

    `path` names where the weights are, relative to the block; two nodes with one path share them.
    """

    kind: Kind
    type: MapType
    span: Span
    inputs: tuple[int, ...] = ()
    path: Path = ()
    layer: str = ""
    attrs: Mapping[str, Any] | None = None
    body: Block | None = None
    mix: Mix | None = None


@record(frozen=True)
class Leaf:
    """A layer with weights: what it is and what it owns."""

    layer: str
    attrs: Mapping[str, Any]
    inputs: tuple[MapType, ...]
    weights: Weights


class Block:
    """Nodes in order of evaluation, the outputs among them, and the order of the weights' paths.

    A network has a second output when an auxiliary head is on; it is computed in training only.
    """

    def __init__(
        self,
        name: str,
        nodes: tuple[BlockNode, ...],
        outputs: tuple[int, ...],
        order: tuple[Path, ...],
        *,
        zero: bool = False,
    ) -> None:
        self.name = name
        self.nodes = nodes
        self.outputs = outputs
        self.order = order
        self.zero = zero
        self.output_type = nodes[outputs[0]].type
        # Whether a decision is open in here, so that the block belongs to one network's search space.
        self.open: bool = any(n.mix is not None or (n.body is not None and n.body.open) for n in nodes)

    @cached_property
    def owners(self) -> dict[Path, BlockNode]:
        """The nodes with weights in program order, by their paths; those that share some once."""
        made: dict[Path, BlockNode] = {}
        for node in self.nodes:
            if node.path and node.path not in made:
                made[node.path] = node
        return {path: made[path] for path in self.order if path in made}

    @cached_property
    def leaves(self) -> dict[Path, Leaf]:
        """Every layer with weights by its path, in program order; shared layers once."""
        found: dict[Path, Leaf] = {}
        for path, node in self.owners.items():
            if node.body is not None:
                for inner, leaf in node.body.leaves.items():
                    found[path + inner] = leaf
            else:
                found[path] = Leaf(node.layer, node.attrs or {}, self.types(node), self.weights_of(node))
        return found

    def types(self, node: BlockNode) -> tuple[MapType, ...]:
        """The types of what one of the nodes reads."""
        return tuple([self.nodes[i].type for i in node.inputs])

    def weights_of(self, node: BlockNode) -> Weights:
        """What a layer among the nodes owns."""
        return PRIMITIVES[node.layer].weights(node.attrs or {}, self.types(node))

    def macs_of(self, node: BlockNode) -> int:
        """Multiply-accumulates of a layer among the nodes, of one image in evaluation."""
        return PRIMITIVES[node.layer].macs(node.attrs or {}, self.types(node), node.type)

    @cached_property
    def weighted(self) -> int:
        """The number of layers with weights, as many as `leaves` has."""
        return sum([1 if n.body is None else n.body.weighted for n in self.owners.values()])

    @cached_property
    def params(self) -> int:
        """The number of learnable numbers; those of shared layers once."""
        return sum([self.params_of(node) for node in self.owners.values()])

    def params_of(self, node: BlockNode) -> int:
        """The learnable numbers of one of the nodes."""
        if node.body is not None:
            return node.body.params
        return self.weights_of(node).params if node.kind == "layer" and node.path else 0

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """Every decision that is open in here, in the order of the nodes, once."""
        return open_decisions(self.nodes)

    @cached_property
    def expanded_nodes(self) -> int:
        """The number of layers with every call counted in full."""
        return sum(1 if n.body is None else n.body.expanded_nodes for n in self.nodes)

    @cached_property
    def macs(self) -> tuple[int, int]:
        """Multiply-accumulates of one image in evaluation: (all, without those of maps with maps)."""
        every = plain = 0
        for index in self.needed(self.outputs[:1]):
            node = self.nodes[index]
            if node.body is not None:
                inner = node.body.macs
                every, plain = every + inner[0], plain + inner[1]
            elif node.kind == "layer":
                cost = self.macs_of(node)
                every += cost
                plain += cost if node.layer not in ("matmul", "relative_attention") else 0
        return every, plain

    def walk(self, *, open: bool = False) -> Iterator[Block]:
        """This block and what it calls, each once; with `open` only where a decision is open."""
        seen: set[int] = set()
        stack = [self]
        while stack:
            block = stack.pop()
            if id(block) not in seen and (block.open or not open):
                seen.add(id(block))
                yield block
                stack += [node.body for node in reversed(block.nodes) if node.body is not None]

    def needed(self, outputs: tuple[int, ...]) -> list[int]:
        """The positions of the nodes that some outputs depend on, in order."""
        wanted = set(outputs)
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in wanted:
                wanted.update(self.nodes[index].inputs)
        return sorted(wanted)


def open_decisions(nodes: Iterable[BlockNode]) -> tuple[Decision, ...]:
    """The decisions of some nodes and of what they call, in their order, once."""
    found: dict[Decision, None] = {}
    for node in nodes:
        if node.mix is not None:
            found[node.mix.decision] = None
        elif node.body is not None and node.body.open:
            found.update(dict.fromkeys(node.body.decisions))
    return tuple(found)


@record(frozen=True)
class Option:
    """One alternative, and whether it computes zeros (and so can never be the answer)."""

    syntax: Expr
    zero: bool

    @property
    def text(self) -> str:
        from genolang.lang.printer import print_expression

        return print_expression(self.syntax)


@record(frozen=True)
class Place:
    """What a decision belongs to: words of a definition, and an edge if they stand on one.

    Two decisions of a program differ in `edge` or in `way`. `options` are the alternatives as written,
    `added` the arguments that this place hands on to them; `span` is the use of the choice itself.
    """

    definition: str
    span: Span
    edge: tuple[str, str] | None
    way: Way
    options: tuple[Expr, ...]
    added: tuple[Arg, ...]

    def with_arguments(self, chosen: Expr) -> Expr:
        """An alternative as it reads when it stands here by itself."""
        if not self.added:
            return chosen
        if isinstance(chosen, Call):
            return Call(chosen.span, chosen.callee, (*chosen.args, *self.added))
        return Call(chosen.span, chosen, self.added)


@record(frozen=True)
class ChoiceSet:
    """All decisions of one named choice in one definition: a row of logits each.

    With `plug` set they are the slots of one stage, each `off` or `on`, in the order of the blocks.
    """

    key: str
    name: str
    options: tuple[Option, ...]
    rows: tuple[Place, ...]
    plug: bool = False


@record(frozen=True)
class SpaceEdge:
    """An edge of a searched cell, the text it comes from, its decisions as the text reads."""

    start: str
    end: str
    decisions: tuple[Decision, ...]
    syntax: Edge

    def of(self, key: str | None) -> tuple[Decision, ...]:
        """The edge's decisions in one choice set."""
        return tuple(d for d in self.decisions if d.key == key)


@record(frozen=True)
class CellSpace:
    """A cell whose edges are thinned out by a search: `keep` edges into a node, ranked by a set."""

    definition: str
    edges: tuple[SpaceEdge, ...]
    keep: int | None
    rank_by: str | None


@record(frozen=True)
class Plugged:
    """What a network plugs into a slot, and where: by stage (0 outside of any) a sign per place of the
    slot, in order: `1` connected, `0` not, `?` left to a search. `shared`: block, stage or network. `open`:
    the choice set of every place that is left to a search, in their order."""

    slot: str
    syntax: Expr
    shared: str
    scheme: Mapping[int, str]
    open: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        from genolang.lang.printer import print_expression

        return print_expression(self.syntax)


class Origin(NamedTuple):
    """What a program was expanded from: a file, a network of it (a `DefinitionRef`), arguments, and what
    `searching` meant."""

    module: Any
    network: Any
    given: Mapping[str, Any]
    searching: bool


@record(frozen=True)
class Program:
    """A network, expanded: its root block, its input and output, its open decisions, its plug-ins."""

    name: str
    block: Block
    input: MapType
    output: MapType
    auxiliary_weight: float
    choices: Mapping[str, ChoiceSet]
    cells: tuple[CellSpace, ...]
    arguments: Mapping[str, Any]
    plugs: tuple[Plugged, ...] = ()
    stages: int = 0
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Everything that a search decides, set by set."""
        return tuple(Decision(key, row) for key, choice in self.choices.items() for row in range(len(choice.rows)))

    def place(self, decision: Decision) -> Place:
        return self.choices[decision.key].rows[decision.row]

    @property
    def answer(self) -> tuple[int, ...]:
        """The shape of one image's logits: (classes,), or (classes, H, W) for every pixel."""
        return tuple(self.output[:1] if self.output.is_vector else self.output)

    @property
    def params(self) -> int:
        return self.block.params

    @property
    def buffers(self) -> int:
        return sum(leaf.weights.buffers for leaf in self.block.leaves.values())

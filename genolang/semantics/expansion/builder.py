"""A block under construction: nodes, its maps, the naming of their weights, and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genolang.diagnostics import GenoError, Span, fail
from genolang.lang.limits import limit, limit_note
from genolang.primitives import PRIMITIVES, MapType, Primitive, broadcast
from genolang.semantics.program import Block, BlockNode, Mix, Path


class Scope:
    """A place for weights' names; siblings with one name are numbered from the second on, past names that are
    called so themselves."""

    def __init__(self, path: Path = ()) -> None:
        self.path = path
        self.used: dict[str, int] = {}

    def name(self, word: str) -> Path:
        count = self.used.get(word, 0) + 1
        name = word
        if count > 1:
            while (name := f"{word}_{count}") in self.used:
                count += 1
            self.used[name] = 1
        self.used[word] = count
        return (*self.path, name)

    def child(self, word: str) -> Scope:
        return Scope(self.name(word))


# Made by the ten thousand, so with a compiled constructor; each is made once, so identity is equality.
@dataclass(slots=True, eq=False)
class MapValue:
    """A feature map: a node of the block under construction."""

    builder: Builder
    index: int

    @property
    def type(self) -> MapType:
        return self.builder.nodes[self.index].type

    @property
    def zero(self) -> bool:
        return self.index in self.builder.zeros


class Builder:
    """Collects the nodes of one block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[BlockNode] = []
        self.order: list[Path] = []
        self.zeros: set[int] = set()
        self.owners: dict[Path, BlockNode] = {}
        self.expanded = 0
        self.limits = limit("layers"), limit("expanded_layers"), limit("map")
        # The maps that operations with state hand on, by the place of the operation.
        self.states: dict[Path, tuple[MapValue, ...]] = {}

    def add(self, node: BlockNode, *, zero: bool = False) -> MapValue:
        layers, expanded_layers, size = self.limits
        self.expanded += 1 if node.body is None else node.body.expanded_nodes
        if len(self.nodes) >= layers:
            raise self.too_large("layers", "layers of its own", node)
        if self.expanded > expanded_layers:
            raise self.too_large("expanded_layers", "layers, those of its parts counted in full", node)
        if node.type.size > size:
            raise self.too_large("map", "numbers in one feature map", node)
        self.nodes.append(node)
        value = MapValue(self, len(self.nodes) - 1)
        if zero:
            self.zeros.add(value.index)
        return value

    def too_large(self, name: str, what: str, node: BlockNode) -> GenoError:
        return fail(
            "G507",
            f"`{self.name}` has more than {limit(name):,} {what}",
            node.span,
            help="repeat less, or split it into definitions" if name != "map" else None,
            notes=(limit_note(name),),
        )

    def input(self, type: MapType, span: Span, *, zero: bool = False) -> MapValue:
        return self.add(BlockNode("input", type, span), zero=zero)

    def layer(
        self, primitive: Primitive, attrs: Mapping[str, Any], maps: list[MapValue], scope: Scope, span: Span
    ) -> MapValue:
        """Add a primitive layer; raises ShapeProblem where its shape rule does not hold."""
        type = primitive.shape(attrs, [m.type for m in maps])
        path = scope.name(primitive.name) if primitive.has_weights else ()
        node = BlockNode("layer", type, span, tuple([m.index for m in maps]), path, primitive.name, attrs)
        if path:
            self.own(node)
        zero = primitive.name == "zeros" or (
            bool(maps)
            and primitive.name in ("drop_path", "dropout", "identity", "multiply", "relu")
            and all(m.zero for m in maps)
        )
        return self.add(node, zero=zero)

    def call(self, body: Block, maps: list[MapValue], path: Path, span: Span) -> MapValue:
        node = BlockNode(
            "call",
            body.output_type,
            span,
            tuple([m.index for m in maps]),
            path if body.weighted else (),
            body.name,
            None,
            body,
        )
        if node.path:
            self.own(node)
        return self.add(node, zero=body.zero)

    def mix(self, mix: Mix, maps: list[MapValue], span: Span) -> MapValue:
        # Masks of a product may cover channels or positions only; alternatives of a sum are alike.
        type = broadcast([m.type for m in maps])
        return self.add(BlockNode("mix", type, span, tuple([m.index for m in maps]), mix=mix))

    def own(self, node: BlockNode) -> None:
        """Register the weights of a node, which a shared operation may already have made."""
        owner = self.owners.get(node.path)
        if owner is None:
            self.owners[node.path] = node
            self.order.append(node.path)
        elif self._weights(owner) != self._weights(node):
            raise fail(
                "G306",
                f"`{node.path[0]}` has one set of weights, but is put to {self._inputs(owner)}"
                f" and to {self._inputs(node)}, which need different ones",
                node.span,
                help="give each use its own instance: repeat the expression",
            )

    def _weights(self, node: BlockNode) -> object:
        if node.body is not None:
            leaves = node.body.leaves.items()
            return [(path, _key(leaf.layer, leaf.attrs, leaf.inputs)) for path, leaf in leaves]
        types = tuple(self.nodes[i].type for i in node.inputs)
        assert node.attrs is not None
        return _key(node.layer, node.attrs, types)

    def _inputs(self, node: BlockNode) -> str:
        return " and ".join(str(self.nodes[i].type) for i in node.inputs)

    def finish(self, outputs: list[MapValue]) -> Block:
        return Block(
            self.name, tuple(self.nodes), tuple(o.index for o in outputs), self._program_order(), zero=outputs[0].zero
        )

    def reserve(self, path: Path) -> None:
        """Keep the place of a named operation's weights, which its first use will make."""
        self.order.append(path)

    def _program_order(self) -> tuple[Path, ...]:
        """The weights' paths as the program reads; a reserved place takes in what lies under it."""
        placed: dict[Path, None] = {}
        made = list(self.owners)
        for entry in self.order:
            if entry in self.owners:
                placed.setdefault(entry)
                continue
            placed.update(dict.fromkeys(p for p in made if p[: len(entry)] == entry))
        return tuple(placed)


def _key(layer: str, attrs: Mapping[str, Any], types: tuple[MapType, ...]) -> object:
    """Equal for layers that may share their weights."""
    inputs = types if PRIMITIVES[layer].sized else [t.C for t in types]
    return layer, tuple(sorted(attrs.items(), key=repr)), inputs

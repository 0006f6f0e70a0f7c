"""A program from a networkx graph, whoever made it: nothing in it is taken on trust."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from genolang.compiler.interchange.values import Places, Values, is_whole, shown, wrong
from genolang.compiler.interchange.written import FORMAT, VERSION
from genolang.diagnostics import Source, fail
from genolang.lang.limits import limit, limit_note
from genolang.lang.parser import parse_expression
from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, broadcast
from genolang.semantics.expansion.builder import Builder, MapValue
from genolang.semantics.expansion.definitions import MAX_DEPTH
from genolang.semantics.program import Block, BlockNode, ChoiceSet, Mix, Option, Path, Place, Program

if TYPE_CHECKING:
    import networkx as nx

# Layers that no program has: an input is a node of its own, and the map itself is no layer.
_NEVER = frozenset(("image", "identity"))


def to_program(graph: nx.MultiDiGraph[Any]) -> Program:
    """The network of a graph as `to_networkx` writes it.

    What can be worked out of the rest (costs, the order of nodes in the file, keys of edges) is not read.
    Errors: G611 where it is no such graph; those of the language for layers that do not fit together (G3..)
    and for too many of them (G507).
    """
    return _Reader(graph).program()


class _Reader:
    def __init__(self, graph: nx.MultiDiGraph[Any]) -> None:
        if not graph.is_directed():
            raise wrong("the graph", "its edges have no direction")
        self.graph, self.about = graph, Values("the graph", graph.graph)
        self.places = Places()
        self.blocks: dict[str, Block] = {}
        self.depths: dict[str, int] = {}
        self.choices: dict[str, ChoiceSet] = {}

    def program(self) -> Program:
        about = self.about
        if about.values.get("format") != FORMAT or about.values.get("version") != VERSION:
            raise wrong(
                "the graph",
                f"it is no network of genolang's format, version {VERSION}",
                "`genoc compile SPEC --emit graph` writes one",
            )
        weight = about.number("auxiliary_weight", "number0")
        for number, choice in enumerate(about.listed("choices")):
            found = self.choice(Values(f"choice {number} of the graph", choice))
            if self.choices.setdefault(found.key, found) is not found:
                raise wrong("the graph", f"there are two choices `{found.key}`")
        bodies = self.by_definition()
        for name, nodes in bodies.items():
            # The network is the last, and alone has a second output.
            self.blocks[name] = self.block(name, nodes, most=1 + (len(self.blocks) == len(bodies) - 1))
        *_, block = self.blocks.values()
        inputs = [node.type for node in block.nodes if node.kind == "input"]
        if len(inputs) != 1:
            raise wrong(f"`{block.name}`", f"a network has one input, not {len(inputs)}")
        for output in [block.nodes[number].type for number in block.outputs]:
            if not output.is_vector and output[1:] != inputs[0][1:]:
                raise fail(
                    "G309", f"the graph ends in {output}, which is no value per class, nor one per class and pixel"
                )
        name = about.word("name")
        if block.params > limit("parameters"):
            raise fail("G507", f"`{name}` has {block.params:,} learnable numbers", notes=(limit_note("parameters"),))
        return Program(name, block, inputs[0], block.output_type, float(weight), self.choices, (), {})

    def by_definition(self) -> dict[str, list[tuple[Hashable, Values]]]:
        """The nodes of every definition, in their order."""
        names = [self.about.checked_word("definitions", name) for name in self.about.listed("definitions")]
        found: dict[str, list[tuple[Hashable, Values]]] = {name: [] for name in names}
        if not names or len(found) != len(names):
            raise wrong("the graph", "`definitions` has a name twice" if names else "it has no definition")
        for key, facts in self.graph.nodes(data=True):
            node = Values(f"node {shown(key)}", facts)
            home = node.get("definition")
            if not isinstance(home, str) or home not in found:
                raise node.wrong("definition", "one of the graph's `definitions`")
            found[home].append((key, node))
        for nodes in found.values():
            nodes.sort(key=lambda item: item[1].whole("number"))
        return found

    def choice(self, values: Values) -> ChoiceSet:
        options, zeros = values.listed("options"), values.listed("zeros")
        if len(options) != len(zeros) or not options:
            raise wrong(values.where, "`options` and `zeros` have one entry for each alternative")
        made = []
        for text, zero in zip(options, zeros, strict=True):
            if not isinstance(text, str) or not isinstance(zero, bool):
                raise wrong(values.where, "an option is text, and in `zeros` true or false")
            made.append(Option(parse_expression(Source(values.where, text)), zero))
        key, plug = values.word("name"), values.get("plug")
        if not isinstance(plug, bool):
            raise values.wrong("plug", "true or false")
        rows = tuple(
            [self.row(Values(f"row {n} of `{key}`", row), tuple(made)) for n, row in enumerate(values.listed("rows"))]
        )
        return ChoiceSet(key, key.rpartition(".")[2], tuple(made), rows, plug)

    def row(self, values: Values, options: tuple[Option, ...]) -> Place:
        edge = None
        if "edge" in values:
            ends = [values.checked_word("edge", end) for end in values.listed("edge")]
            if len(ends) != 2:
                raise values.wrong("edge", "two names")
            edge = ends[0], ends[1]
        return Place(
            values.word("definition"),
            self.places.span(values),
            edge,
            (),
            tuple([option.syntax for option in options]),
            (),
        )

    def block(self, name: str, nodes: list[tuple[Hashable, Values]], most: int) -> Block:
        """A definition of one output, or of `most`."""
        builder = _Builder(name.partition("@")[0])
        built: dict[Hashable, MapValue] = {}
        ranks: dict[Path, int] = {}
        outputs: dict[int, MapValue] = {}
        last = -1
        for key, values in nodes:
            if values.whole("number") <= last:
                raise wrong(values.where, f"another node of `{name}` has its number")
            last = values.whole("number")
            maps = self.arguments(key, values, built)
            built[key] = self.node(builder, values, maps)
            if path := values.path():
                rank = values.whole("rank")
                if ranks.setdefault(path, rank) != rank:
                    raise wrong(values.where, "its weights have another `rank` elsewhere")
            for place in values.listed("outputs") if "outputs" in values else ():
                if not is_whole(place, 0) or outputs.setdefault(place, built[key]) is not built[key]:
                    raise values.wrong("outputs", "a list of places, each of one node")
        _prefix_free(name, builder.owners)
        if not 0 < len(outputs) <= most or max(outputs) != len(outputs) - 1:
            wanted = "0, or 0 and 1" if most > 1 else "0"
            raise wrong(f"`{name}`", f"its outputs have {_some(outputs)} as places, not {wanted}")
        self.depths[name] = builder.depth
        builder.order = sorted(builder.owners, key=ranks.__getitem__)
        return builder.finish([outputs[place] for place in sorted(outputs)])

    def arguments(self, key: Hashable, values: Values, built: dict[Hashable, MapValue]) -> list[MapValue]:
        """What a node reads, by position."""
        read: dict[int, MapValue] = {}
        for start, _, facts in self.graph.in_edges(key, data=True):
            edge = Values(f"edge from {shown(start)} to {shown(key)}", facts)
            if start not in built:
                raise wrong(edge.where, "it leaves from another definition, or a node of a higher number")
            if read.setdefault(edge.whole("argument"), built[start]) is not built[start]:
                raise wrong(edge.where, f"{values.where} has this argument twice")
        if sorted(read) != list(range(len(read))):
            raise wrong(values.where, f"it reads arguments {_some(read)}: they are counted from 0")
        return [read[position] for position in sorted(read)]

    def node(self, builder: _Builder, values: Values, maps: list[MapValue]) -> MapValue:
        kind, shape = values.one_of("kind", ("input", "layer", "call", "mix")), values.shape()
        span, path = self.places.span(values), values.path()
        if kind == "input":
            if maps:
                raise wrong(values.where, "an input reads nothing")
            return builder.add(BlockNode("input", shape, span))
        if not maps:
            raise wrong(values.where, "it reads nothing")
        inputs, types = tuple([m.index for m in maps]), [m.type for m in maps]
        if kind == "layer":
            node = self.layer(values, types, BlockNode("layer", shape, span, inputs, path))
        elif kind == "call":
            body = self.called(builder, values, types)
            node = BlockNode("call", body.output_type, span, inputs, path, body.name, None, body)
            if bool(path) != bool(body.weighted):
                raise wrong(values.where, "a call has a `path` if what it calls has weights")
        else:
            node = BlockNode("mix", self.mixed(values, types), span, inputs, mix=self.mix(values, len(maps)))
        if node.type != shape:
            raise wrong(values.where, f"its shape is {node.type}, not {shape}")
        if node.path:
            builder.own(node)
        return builder.add(node)

    def layer(self, values: Values, types: list[MapType], node: BlockNode) -> BlockNode:
        name = values.one_of("layer", list(PRIMITIVES))
        rule = PRIMITIVES[name]
        if name in _NEVER:
            raise wrong(values.where, f"a graph has no `{name}`")
        attrs = values.attributes(rule)
        likes = sum(attrs[f.name] is True for f in rule.fields if f.kind == "map")
        if rule.maps is not None and len(types) != rule.maps + likes:
            raise wrong(values.where, f"it reads {len(types)} maps, not {rule.maps + likes}")
        if bool(node.path) != rule.has_weights:
            raise wrong(values.where, f"`{name}` has {'weights, so a' if rule.has_weights else 'no'} `path`")
        try:
            node.type = rule.shape(attrs, types)
        except ShapeProblem as error:
            raise fail(error.code, f"{values.where}: {error.message}", help=error.help) from None
        node.layer, node.attrs = name, attrs
        return node

    def called(self, builder: _Builder, values: Values, types: list[MapType]) -> Block:
        name = values.word("calls")
        body = self.blocks.get(name)
        if body is None:
            raise values.wrong("calls", "a definition that stands before this one")
        builder.depth = max(builder.depth, 1 + self.depths[name])
        if builder.depth > MAX_DEPTH:
            raise wrong(values.where, f"calls in calls, more than {MAX_DEPTH} deep")
        takes = [node.type for node in body.nodes if node.kind == "input"]
        if takes != types:
            raise wrong(values.where, f"`{body.name}` takes {_listed(takes)}, not {_listed(types)}")
        return body

    def mixed(self, values: Values, types: list[MapType]) -> MapType:
        try:
            found = broadcast(types)
        except ShapeProblem as error:
            raise fail("G308", f"{values.where}: {error.message}", help=error.help) from None
        if values.get("combine") == "sum" and len(set(types)) > 1:
            raise fail("G308", f"{values.where}: its alternatives are {_listed(types)}")
        return found

    def mix(self, values: Values, count: int) -> Mix:
        choice = self.choices.get(values.word("choice"))
        combine, row = values.one_of("combine", ("sum", "product")), values.whole("row")
        if choice is None:
            raise values.wrong("choice", "one of the graph's choices")
        if row >= len(choice.rows) or count != len(choice.options):
            raise wrong(
                values.where, f"`{choice.key}` has {len(choice.rows)} rows of {len(choice.options)} alternatives"
            )
        if combine == "product" and any(option.zero for option in choice.options):
            raise wrong(values.where, "a product has no alternative of zeros")
        return Mix(choice.key, row, combine)


class _Builder(Builder):
    """Of a definition that may be a whole network: one with every call in its place is no smaller."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        _, expanded, size = self.limits
        self.limits = expanded, expanded, size
        # How deep it calls.
        self.depth = 0


def _prefix_free(name: str, paths: Iterable[Path]) -> None:
    """No layer stands inside another one."""
    known = set(paths)
    for path in known:
        if any(path[:length] in known for length in range(1, len(path))):
            raise wrong(f"`{name}`", f"`{'.'.join(path)}` is inside another layer")


def _some(numbers: Iterable[int]) -> str:
    """The first of some numbers."""
    return ", ".join(map(str, sorted(numbers)[:6])) or "none"


def _listed(types: list[MapType]) -> str:
    return " and ".join(map(str, types[:6])) or "nothing"

"""Graphs to torch modules: a list of steps over numbered values, run one after the other."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from genolang.compiler.ir import Graph, Node
from genolang.compiler.ir.made import Fused, MixedSum
from genolang.compiler.torch.answering import Quick
from genolang.compiler.torch.functions import make_function
from genolang.compiler.torch.layers import Dropout, DropPath, make_leaf
from genolang.compiler.torch.logits import Choices, Weights
from genolang.compiler.torch.made_nodes import MixedSums, make_fused
from genolang.compiler.torch.mix import mix_function
from genolang.compiler.torch.selection import ABSENT, Instructions, Planned, Selection, Step, checked_selection, pruned
from genolang.diagnostics import fail
from genolang.kernels import dispatch
from genolang.kernels.cpu.inference import takes
from genolang.primitives import MapType
from genolang.semantics.program import ChoiceSet, Mix, Path
from genolang.semantics.resized import Sizes

Run = tuple[tuple[Step, ...], tuple[int, ...]]

# Selections whose steps a graph keeps: a cell of few rows keeps all of them, random ones do not pile up.
_SELECTIONS = 64


class Container(nn.Module):
    """Holds layers under their names, even one called `training`."""

    def train(self, mode: bool = True) -> Self:
        # Assigning to `self.training` would be refused where a layer has that name.
        self.__dict__["training"] = mode
        for module in self.children():
            module.train(mode)
        return self


class GraphModule(Container):
    """One graph: layers with weights are children under their names, the rest are functions."""

    def __init__(self) -> None:
        super().__init__()
        # What selections are made from and, where passes hold for mixtures alone, what runs without one.
        self._instructions: tuple[Instructions, ...] = ()
        self._current = Instructions()
        self._keys: tuple[str, ...] = ()
        # What runs for the first output alone and, where there are two, for both.
        self._runs: tuple[Run, ...] = ()
        self._selected: OrderedDict[object, tuple[Run, ...]] = OrderedDict()

    def _select(self, selection: Selection) -> None:
        """Take the steps that a selection leaves, here and in every graph that is called from here."""
        found, together = self._instructions[0], self._instructions[-1]
        calls = {number: op for number, op in enumerate(found.operations) if isinstance(op, GraphModule)}
        for module in dict.fromkeys(calls.values()):
            module._select(selection)
        mixes = [item.mix for item in found.plan if item.mix is not None]
        chosen = {(m.key, m.row): selection[m.key][m.row] for m in mixes if m.key in selection}
        absent = {number: module._runs[0][1] == (ABSENT,) for number, module in calls.items()}
        self._current = found if chosen or any(absent.values()) else together
        known = (tuple(chosen.items()), tuple(absent.values()))
        if known not in self._selected:
            outputs = self._current.outputs
            ends = [outputs[:1], *([outputs] if len(outputs) > 1 else [])]
            left_out = absent if self._current is found else {}
            self._selected[known] = tuple(pruned(self._current.plan, chosen, left_out, end) for end in ends)
            if len(self._selected) > _SELECTIONS:
                self._selected.popitem(last=False)
        self._selected.move_to_end(known)
        self._runs = self._selected[known]

    def run(
        self, steps: tuple[Step, ...], inputs: tuple[Tensor, ...], weights: Mapping[str, Weights], quick: bool = False
    ) -> list[Any]:
        values: list[Any] = [*inputs, *(weights[key] for key in self._keys)]
        values += [None] * (self._current.size - len(values))
        operations = self._current.quick if quick else self._current.operations
        for operation, arguments, result, dead in steps:
            if len(arguments) == 1:
                values[result] = operations[operation](values[arguments[0]])
            else:
                values[result] = operations[operation](*[values[a] for a in arguments])
            for number in dead:
                values[number] = None
        return values

    def forward(self, *arguments: Any) -> Tensor:
        """Inputs first, then the weights of every choice set in `_keys`."""
        count = len(arguments) - len(self._keys)
        weights = dict(zip(self._keys, arguments[count:], strict=True))
        steps, (output,) = self._runs[0]
        found: Tensor = self.run(steps, arguments[:count], weights)[output]
        return found


@dataclass(frozen=True, slots=True)
class Origin:
    """How a network was made, so that it can be made again where it is unpickled."""

    make: Callable[..., NetworkModule]
    arguments: tuple[Any, ...]

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __call__(self) -> NetworkModule:
        return self.make(*self.arguments)


class NetworkModule(GraphModule):
    """A whole network: (B, C, H, W) -> logits (B, classes), or (B, classes, H, W) for every pixel.

    In training with an auxiliary head the result is (logits, auxiliary logits); `auxiliary_weight`
    is that head's share of the loss, 0.0 without one. `choices` holds a supernet's logits. `captured`: its
    steps may be recorded as CUDA graphs, while nothing is selected anew.
    """

    def __init__(self, sets: Mapping[str, ChoiceSet], auxiliary_weight: float) -> None:
        super().__init__()
        self.choices = Choices(sets)
        self.auxiliary_weight = auxiliary_weight
        self.captured = False
        # What pickle keeps beside the numbers: the steps hold functions that have no names.
        self.origin: Origin | None = None
        # Tells of an image size for which the text would be another network.
        self.sizes: Sizes | None = None
        # What is selected, as it was given.
        self.selected: Mapping[str, Sequence[int]] = {}
        # Nothing will be trained: where gradients are off, nothing is kept for them either.
        self.answers_only = False
        # Which outputs have one value per class, the others one per class and pixel.
        self._vectors: tuple[bool, ...] = ()

    def select(self, options: Mapping[str, Sequence[int]] | None) -> None:
        """Compute one alternative of each row, and no other; None goes back to the mixture.

        `options` has an alternative's number for every row of a choice set; sets that it does not
        name stay mixed. An alternative of zeros leaves out its whole edge. The selection holds in
        training and evaluation until the next one. Errors: KeyError for an unknown set, G415 for
        numbers that do not fit, and where a node that is used keeps no edge.
        """
        self._select(checked_selection(self.choices.sets, options or {}))
        self.selected = dict(options or {})
        if any(ABSENT in ends for _, ends in self._runs):
            self.select(None)
            raise fail("G415", "a selection of zeros leaves nothing at a place that needs a map")

    def set_drop_path(self, p: float) -> None:
        """Set the probability with which every `drop_path` drops a sample, 0 to below 1."""
        for module in self.modules():
            if isinstance(module, DropPath):
                module.p = p

    def forward(self, *arguments: Any) -> Any:
        if self.answers_only and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            # Asked once for all layers.
            quick = takes(arguments[0]) and dispatch.VARIABLE not in os.environ
            with torch.inference_mode():
                answer = self.answer(*arguments, quick=quick)
            # What comes of inference mode itself could enter no gradient ever.
            return answer.clone()
        return self.answer(*arguments)

    def answer(self, *arguments: Any, quick: bool = False) -> Any:
        """What `forward` returns; `quick` where layers may take their maps without a question."""
        (image,) = arguments
        if self.sizes is not None and not torch.compiler.is_compiling():
            self.sizes.check(tuple(image.shape[2:]))
        weights = self.choices.weights(self.training) if len(self.choices) else {}
        two = self.training and len(self._current.outputs) == 2
        steps, outputs = self._runs[-1 if two else 0]
        values = self.run(steps, (image,), weights, quick)
        answers = [
            values[output].flatten(1) if vector else values[output]
            for output, vector in zip(outputs, self._vectors[: len(outputs)], strict=True)
        ]
        return tuple(answers) if two else answers[0]

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps (B, C, H, W) of more than one position, and the logits that follow on them."""
        weights = self.choices.weights() if len(self.choices) else {}
        steps, outputs = self._runs[0]
        values = self.run(tuple((*step[:3], ()) for step in steps), (images,), weights)
        found = [value for _, _, result, _ in steps if isinstance(value := values[result], Tensor)]
        maps = [value for value in found if value.ndim == 4 and value.shape[2:].numel() > 1]
        return maps[-1] if maps else images, values[outputs[0]].flatten(1)

    def __reduce__(self) -> Any:
        """Pickled as what it was made from, its numbers, and how it stands."""
        assert self.origin is not None, "the driver makes networks"
        dropped = next((m.p for m in self.modules() if isinstance(m, DropPath)), 0.0)
        frozen = [name for name, p in self.named_parameters() if not p.requires_grad]
        numbers = self.state_dict(), dict(self.choices.tensors)
        return _made_again, (self.origin, *numbers, self.training, dict(self.selected), dropped, frozen)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__dict__.update(deepcopy(self.__dict__, memo))
        return copied

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> NetworkModule:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.choices.apply(fn)
        return self


def _made_again(
    origin: Origin,
    weights: Mapping[str, Tensor],
    logits: Mapping[str, Tensor],
    training: bool,
    selected: Mapping[str, Sequence[int]],
    dropped: float,
    frozen: Sequence[str],
) -> NetworkModule:
    with torch.random.fork_rng(devices=[]):
        module = origin()
    # They may be of another type, or on another device.
    module.load_state_dict(weights, assign=True)
    module.choices.tensors = {key: tensor.detach().requires_grad_() for key, tensor in logits.items()}
    if selected and module.choices.sets:
        module.select(selected)
    module.set_drop_path(dropped)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return module.train(training)


def build_network(
    graph: Graph,
    sets: Mapping[str, ChoiceSet],
    auxiliary_weight: float,
    together: Graph | None = None,
    *,
    plain: bool = False,
    shared: bool = False,
) -> NetworkModule:
    """The module of a network's graph; weights in torch's default initialisation, logits zero.

    `together` is the same graph after passes that hold while nothing is selected. A `plain` network calls
    no kernel: every layer is what it is by its definition. A `shared` one, which plans count, has one layer
    in the place of all that are alike, and no names for them.
    """
    network = NetworkModule(sets, auxiliary_weight)
    network.captured = (graph if together is None else together).captured
    network._vectors = tuple(graph.node(output).type.is_vector for output in graph.outputs)
    _Assembly(network, (graph,) if together is None else (graph, together), plain, shared).run()
    return network


class _Assembly:
    """Creates the containers and layers in program order, then the steps of every graph.

    Graphs come as versions of one program that passes made; their calls are the same, in one order.
    """

    def __init__(self, root: NetworkModule, versions: tuple[Graph, ...], plain: bool, shared: bool) -> None:
        self.root = root
        self.plain = plain
        self.shared = shared
        self.versions = versions
        self.modules: dict[Path, nn.Module] = {(): root}
        self.bodies: dict[Path, Graph] = {}

    def run(self) -> None:
        self.collect(self.versions[0], ())
        leaves = self.versions[0].leaves
        if self.shared:
            once = {id(leaf): leaf for leaf in leaves.values()}
            alike = {key: make_leaf(leaf, plain=self.plain) for key, leaf in once.items()}
            self.root._modules.update((f"layer#{n}", made) for n, made in enumerate(alike.values()))
            self.modules.update((path, alike[id(leaf)]) for path, leaf in leaves.items())
        else:
            for path, leaf in leaves.items():
                made = self.modules[path] = make_leaf(leaf, plain=self.plain)
                self.container(path[:-1])._modules[path[-1]] = made
        self.assemble(self.root, self.versions, ())

    def collect(self, graph: Graph, prefix: Path) -> None:
        for _, node, _ in graph:
            if node.body is not None and node.path:
                self.bodies.setdefault(prefix + node.path, node.body)
                self.collect(node.body, prefix + node.path)

    def container(self, path: Path) -> nn.Module:
        if path not in self.modules:
            made = GraphModule() if path in self.bodies else Container()
            # Not add_module: a definition may be called `type` or `half`.
            self.container(path[:-1])._modules[path[-1]] = self.modules[path] = made
        return self.modules[path]

    def assemble(self, module: GraphModule, versions: tuple[Graph, ...], prefix: Path) -> None:
        calls = zip(*([node for _, node, _ in g if node.body is not None] for g in versions), strict=True)
        called = [self.call(module, nodes, prefix) for nodes in calls]
        module._keys = versions[0].keys
        assert all(graph.keys == module._keys for graph in versions), "passes keep what a graph reads"
        module._instructions = tuple(self.instruct(module, graph, called, prefix) for graph in versions)
        module._select({})

    def instruct(self, module: GraphModule, graph: Graph, called: list[GraphModule], prefix: Path) -> Instructions:
        inputs = {number: place for place, number in enumerate(graph.inputs)}
        keys = {key: len(inputs) + place for place, key in enumerate(graph.keys)}
        slots, waiting = dict(inputs), iter(called)
        found = Instructions(size=len(inputs) + len(keys))
        plan: list[Planned] = []
        for number, node, arguments in graph:
            if node.kind == "input":
                continue
            slots[number] = found.size
            found.size += 1
            places, read = tuple(slots[a] for a in arguments), tuple(keys[key] for key in node.keys)
            places = (*places, *read) if node.body is not None else (*read, *places)
            operation = len(found.operations)
            if node.body is not None:
                found.operations.append(next(waiting))
            else:
                types = [graph.node(a).type for a in arguments]
                found.operations.append(self.operation(module, node, types, prefix))
            sums = node.layer == "add" and node.attrs == {"constant": 0}
            spare = self.spare(found, node)
            vector = node.type.is_vector
            plan.append(Planned(operation, places, slots[number], node.mix, node.kept, sums, spare, vector))
        found.quick = [op.quick if isinstance(op, Quick) else op for op in found.operations]
        found.plan = tuple(plan)
        found.outputs = tuple(slots[o] for o in graph.outputs)
        return found

    def spare(self, found: Instructions, node: Node) -> int | None:
        """The operation that stands in for alternatives of a mix that the passes left out as zeros."""
        known = self.root.choices.sets[node.mix.key].options if node.mix is not None else ()
        if all(option.zero or number in node.kept for number, option in enumerate(known)):
            return None
        channels, vector = node.type.C, node.type.is_vector
        found.operations.append(lambda x: x.new_zeros(x.shape[0], channels, 1, 1) if vector else torch.zeros_like(x))
        return len(found.operations) - 1

    def operation(self, owner: GraphModule, node: Node, types: list[MapType], prefix: Path) -> Callable[..., Any]:
        if node.fused is not None:
            return self.fused(owner, node.fused, prefix)
        if node.mix is not None:
            return mix_function(node.mix.row * self.width(node.mix), node.kept, node.mix.combine)
        if node.path:
            return self.modules[prefix + node.path]
        assert node.attrs is not None
        if node.layer in ("drop_path", "dropout"):
            return self.keep(owner, DropPath() if node.layer == "drop_path" else Dropout(node.attrs["p"]))
        return make_function(node.layer, node.attrs, types)

    def fused(self, owner: GraphModule, made: Fused, prefix: Path) -> Callable[..., Any]:
        terms = made.terms if isinstance(made, MixedSum) else ()
        places = [term.mix.row * self.width(term.mix) + term.option for term in terms]
        found = make_fused(made, lambda path: self.modules[prefix + path], places)
        for drop in found.drops if isinstance(found, MixedSums) else ():
            if drop is not None:
                self.keep(owner, drop)
        return found

    def width(self, mix: Mix) -> int:
        return len(self.root.choices.sets[mix.key].options)

    def keep(self, owner: GraphModule, made: DropPath | Dropout) -> DropPath | Dropout:
        """A layer of its own, without weights, that follows `train` and `set_drop_path`."""
        owner._modules[f"{type(made).__name__.lower()}#{len(owner._modules)}"] = made
        return made

    def call(self, owner: GraphModule, nodes: tuple[Node, ...], prefix: Path) -> GraphModule:
        bodies = tuple(node.body for node in nodes if node.body is not None)
        path = prefix + nodes[0].path
        if nodes[0].path and self.bodies[path] is bodies[0]:
            module = self.container(path)
            assert isinstance(module, GraphModule)
            if module._instructions:
                return module
        else:
            # No weights of its own, or weights that another body of the same path already owns.
            module = GraphModule()
            owner._modules[f"{bodies[0].name}#{len(owner._modules)}"] = module
        self.assemble(module, bodies, path if nodes[0].path else prefix)
        return module

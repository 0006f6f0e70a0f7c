"""Source to anything: the only face of the compiler that other layers use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genolang.semantics.program import Program
from genolang.semantics.resized import Sizes

if TYPE_CHECKING:
    import os

    import networkx as nx

    from genolang.compiler.ir import Graph
    from genolang.compiler.passes import Pass
    from genolang.compiler.report.effects import PassEffect
    from genolang.compiler.report.kernels import KernelUse, LeftOut, Line
    from genolang.compiler.report.library import ByLibrary
    from genolang.compiler.torch.logits import Choices
    from genolang.compiler.torch.module import NetworkModule

__all__ = [
    "ByLibrary",
    "Choices",
    "KernelUse",
    "LeftOut",
    "Line",
    "NetworkModule",
    "PassEffect",
    "activation_bytes",
    "build",
    "explain",
    "for_inference",
    "from_networkx",
    "kernels",
    "left_plain",
    "left_to_library",
    "passes",
    "read_graph_file",
    "to_exported",
    "to_graph_file",
    "to_module",
    "to_networkx",
    "to_onnx",
    "to_python",
    "to_text",
]


def passes() -> tuple[Pass, ...]:
    """The passes over what is trained, in the order in which they run."""
    from genolang.compiler.passes import TRAINING

    return TRAINING


def build(program: Program, *, fused: bool = True, without: Collection[str] = ()) -> Graph:
    """The program's graph, after the passes (or as it was written, with `fused` false)."""
    return _versions(program, fused, without)[1]


def _versions(program: Program, fused: bool, without: Collection[str]) -> tuple[Graph, Graph]:
    from genolang.compiler.ir import build_graph, verify
    from genolang.compiler.passes import for_training

    graph = build_graph(program.block)
    if not fused:
        verify(graph, "building")
        return graph, graph
    return for_training(graph, without=without)


def to_module(program: Program, *, fused: bool = True, without: Collection[str] = ()) -> NetworkModule:
    """The program as a torch module, with freshly initialised weights."""
    from genolang.compiler.torch.module import Origin, build_network

    selectable, together = _versions(program, fused, without)
    if program.choices:
        both = None if together is selectable else together
        module = build_network(selectable, program.choices, program.auxiliary_weight, both, plain=not fused)
    else:
        module = build_network(together, {}, program.auxiliary_weight, plain=not fused)
    module.sizes = Sizes(program)
    module.origin = Origin(_to_module, (program, fused, tuple(without)))
    return module


def _to_module(program: Program, fused: bool, without: Collection[str]) -> NetworkModule:
    return to_module(program, fused=fused, without=without)


def _to_inference(program: Program, selected: Mapping[str, Sequence[int]]) -> NetworkModule:
    module = to_module(program)
    module.select(selected)
    return for_inference(program, module)


def for_inference(program: Program, module: NetworkModule) -> NetworkModule:
    """A module that answers as the program's module does in evaluation, faster, with weights of its own."""
    from genolang.compiler.ir import build_graph
    from genolang.compiler.passes import for_inference as answering_graph
    from genolang.compiler.torch.inference import answering
    from genolang.compiler.torch.module import Origin

    graph = answering_graph(build_graph(program.block), program.choices, module.selected)
    found = answering(graph, module)
    found.sizes = module.sizes
    found.origin = Origin(_to_inference, (program, dict(module.selected)))
    return found


def activation_bytes(program: Program, batch: int, *, fused: bool = True, without: Collection[str] = ()) -> int:
    """Bytes saved for backward by one training forward at a batch size, without running it."""
    import torch

    from genolang.compiler.torch.memory import saved_bytes
    from genolang.compiler.torch.module import build_network

    graph = build(program, fused=fused, without=without)
    with torch.device("meta"):
        module = build_network(graph, program.choices, program.auxiliary_weight, plain=not fused, shared=True)
    return saved_bytes(module, (batch, *program.input))


def to_python(program: Program, card: Mapping[str, Any] | None = None) -> str:
    """The program as one readable Python file that needs torch alone; with what a trained network's card says."""
    from genolang.compiler.python.source import to_python as write
    from genolang.version import __version__

    graph = build(program, fused=False)
    return write(graph, program.choices, program.auxiliary_weight, __version__, card)


def to_text(program: Program, *, without: Collection[str] = ()) -> str:
    """The program's graph after the passes, as text."""
    from genolang.compiler.ir import to_text as write

    return write(build(program, without=without))


def to_networkx(program: Program, *, flat: bool) -> nx.MultiDiGraph[str]:
    """The program's graph as it is written, for networkx; `flat` with every call in its place."""
    from genolang.compiler.interchange import to_networkx as write
    from genolang.compiler.ir import flatten

    graph = build(program, fused=False)
    return write(flatten(graph) if flat else graph, program)


def from_networkx(graph: nx.MultiDiGraph[Any]) -> Program:
    """The program of such a graph. Errors: G611, G507, and those of layers that do not fit together."""
    from genolang.compiler.interchange import to_program

    return to_program(graph)


def to_graph_file(graph: nx.MultiDiGraph[str], ending: str) -> bytes:
    """A graph of `to_networkx` as node-link JSON (`.json`) or GraphML (`.graphml`)."""
    from genolang.compiler.interchange import to_bytes

    return to_bytes(graph, ending)


def read_graph_file(path: str | os.PathLike[str]) -> nx.MultiDiGraph[Any]:
    """The graph in a file, of the form that its ending names. Errors: G001, G003, G611."""
    from genolang.compiler.interchange import read_file

    return read_file(path)


def explain(program: Program, *, without: Collection[str] = ()) -> list[PassEffect]:
    """What every pass of the pipeline does to the program's graph, in order."""
    from genolang.compiler.ir import build_graph
    from genolang.compiler.report.effects import effects

    return effects(build_graph(program.block), without=without)


def kernels(program: Program, *, without: Collection[str] = ()) -> list[KernelUse]:
    """The kernels that the program's fused form calls, and the lines that they come from."""
    from genolang.compiler.report.kernels import kernel_uses

    return kernel_uses(build(program, without=without))


def left_plain(program: Program, batch: int, *, without: Collection[str] = ()) -> list[LeftOut]:
    """What a kernel nearly computes, or does not compute on a CPU for a batch of this size, and why."""
    from genolang.compiler.report.kernels import LeftOut, by_line, matched, near_misses, switched_off
    from genolang.compiler.torch.recognised import why_plain

    graph = build(program, without=without)
    found = near_misses(graph)
    if without:
        names = ", ".join(f"`{name}`" for name in sorted(without))
        found += switched_off(build(program), graph, f"switched off: {names}")
    for made, types, line in matched(graph):
        if reason := why_plain(made, types, batch):
            found.append(LeftOut(made.kernel, line, f"on a CPU, for {batch} images: {reason}"))
    return by_line(found)


def left_to_library(program: Program, *, without: Collection[str] = ()) -> list[ByLibrary]:
    """The layers with work that no kernel computes, by kind, and why."""
    from genolang.compiler.report.library import left_to_library as found_in

    return found_in(build(program, without=without))


def to_exported(
    module: NetworkModule, program: Program, card: Mapping[str, Any] | None = None, norm: str | None = None
) -> bytes:
    """The module in evaluation as a `torch.export` archive (`.pt2`), for any batch size; as `to_onnx`."""
    from genolang.compiler.torch.exported import to_exported as write

    return write(module, tuple(program.input), card, norm)


def to_onnx(
    module: NetworkModule, program: Program, card: Mapping[str, Any] | None = None, norm: str | None = None
) -> bytes:
    """The module in evaluation as an ONNX model, for any batch size. Error: G713.

    A trained network's card goes along as metadata. With `norm` the file normalises images itself: `unit` takes
    those on the scale 0 to 1, `uint8` those in bytes.
    """
    from genolang.compiler.torch.exported import to_onnx as write

    return write(module, tuple(program.input), card, norm)

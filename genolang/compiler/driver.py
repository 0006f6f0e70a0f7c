"""Source to anything: the only face of the compiler that other layers use."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from genolang.semantics.program import Program

if TYPE_CHECKING:
    from genolang.compiler.backends.torch_module import NetworkModule
    from genolang.compiler.ir import Graph
    from genolang.compiler.passes.effects import PassEffect


def build(program: Program, *, fused: bool = True, without: Collection[str] = ()) -> Graph:
    """The program's graph, after the passes (or as it was written, with `fused` false)."""
    return _versions(program, fused, without)[1]


def _versions(program: Program, fused: bool, without: Collection[str]) -> tuple[Graph, Graph]:
    from genolang.compiler.ir import build_graph, verify
    from genolang.compiler.passes import run_pipeline

    graph = build_graph(program.block)
    if not fused:
        verify(graph, "building")
        return graph, graph
    return run_pipeline(graph, without=without)


def to_module(program: Program, *, fused: bool = True, without: Collection[str] = ()) -> NetworkModule:
    """The program as a torch module, with freshly initialised weights."""
    from genolang.compiler.backends.torch_module import build_network

    selectable, together = _versions(program, fused, without)
    if not program.choices:
        return build_network(together, {}, program.auxiliary_weight)
    return build_network(
        selectable, program.choices, program.auxiliary_weight, None if together is selectable else together
    )


def activation_bytes(program: Program, batch: int, *, fused: bool = True) -> int:
    """Bytes saved for backward by one training forward at a batch size, without running it."""
    import torch

    from genolang.compiler.backends.memory import saved_bytes

    with torch.device("meta"):
        module = to_module(program, fused=fused)
    return saved_bytes(module, (batch, *program.input))


def to_python(program: Program) -> str:
    """The program as one readable Python file that needs torch alone."""
    from genolang.compiler.backends.python_source import to_python as write
    from genolang.version import __version__

    graph = build(program, fused=False)
    return write(graph, program.choices, program.auxiliary_weight, __version__)


def to_text(program: Program, *, without: Collection[str] = ()) -> str:
    """The program's graph after the passes, as text."""
    from genolang.compiler.ir import to_text as write

    return write(build(program, without=without))


def explain(program: Program) -> list[PassEffect]:
    """What every pass of the pipeline does to the program's graph, in order."""
    from genolang.compiler.ir import build_graph
    from genolang.compiler.passes.effects import effects

    return effects(build_graph(program.block))


def to_exported(module: NetworkModule, program: Program) -> bytes:
    """The module in evaluation as a `torch.export` archive (`.pt2`), for any batch size."""
    from genolang.compiler.backends.exported import to_exported as write

    return write(module, tuple(program.input))


def to_onnx(module: NetworkModule, program: Program) -> bytes:
    """The module in evaluation as an ONNX model, for any batch size. Error: G713."""
    from genolang.compiler.backends.exported import to_onnx as write

    return write(module, tuple(program.input))

"""Source to anything: the only face of the compiler that other layers use."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from genolang.semantics.program import Program

if TYPE_CHECKING:
    from genolang.compiler.backends.torch_module import NetworkModule
    from genolang.compiler.ir import Graph


def build(program: Program, *, fused: bool = True, without: Collection[str] = ()) -> Graph:
    """The program's graph, after the passes (or as it was written, with `fused` false)."""
    from genolang.compiler.ir import build_graph, verify
    from genolang.compiler.passes import run_pipeline

    graph = build_graph(program.block)
    if not fused:
        verify(graph, "building")
        return graph
    return run_pipeline(graph, without=without)


def to_module(
    program: Program, *, fused: bool = True, without: Collection[str] = ()
) -> NetworkModule:
    """The program as a torch module, with freshly initialised weights."""
    from genolang.compiler.backends.torch_module import build_network

    graph = build(program, fused=fused, without=without)
    return build_network(graph, program.choices, program.auxiliary_weight)


def activation_bytes(program: Program, batch: int, *, fused: bool = True) -> int:
    """Bytes saved for backward by one training forward at a batch size, without running it."""
    import torch

    from genolang.compiler.backends.memory import saved_bytes

    with torch.device("meta"):
        module = to_module(program, fused=fused)
    return saved_bytes(module, (batch, *program.input))

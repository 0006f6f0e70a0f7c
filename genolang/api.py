"""The public face in Python: load a spec, look at its networks, build them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genolang.diagnostics import Diagnostic, GenoError, Source, fail
from genolang.records import record
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.modules import LIBRARY, read_source
from genolang.semantics.program import Program
from genolang.semantics.space import count_choices, count_genotypes, in_digits

if TYPE_CHECKING:
    import networkx as nx

    from genolang.compiler.driver import NetworkModule


def check(text: str, name: str = "<text>") -> list[Diagnostic]:
    """Every diagnostic of a spec given as text; an empty list means that nothing is wrong."""
    return check_source(Source(name, text)).diagnostics


def load(path: str | os.PathLike[str]) -> Spec:
    """A checked spec from a file, or a shipped one by its name (`darts/v2`).

    Raises GenoError with every error of the file and of those it imports.
    """
    found = locate(str(path))
    checked = check_source(read_source(str(found)), found)
    if not checked.ok:
        raise GenoError([d for d in checked.diagnostics if d.severity == "error"])
    return Spec(checked)


def load_graph(path: str | os.PathLike[str]) -> Network:
    """The network in a file that `genoc compile --emit graph` wrote: node-link JSON, or GraphML
    (`.graphml`). Raises GenoError: G001, G003, and as `Network.from_graph`."""
    from genolang.compiler import driver

    return Network.from_graph(driver.read_graph_file(path))


def locate(path: str) -> Path:
    """The file that a path names: itself, or the shipped spec of that name."""
    given = Path(path)
    parts = given.parts
    if parts[:1] == ("specs",):
        parts = parts[1:]
    # `os.path` says no of what no file can be called, where `Path` raises.
    if given.name and ".." not in parts and not os.path.exists(path):
        shipped = LIBRARY.joinpath(*parts[:-1], f"{given.stem}.geno")
        if LIBRARY in shipped.parents and os.path.isfile(shipped):
            return shipped
    return given


@record(frozen=True)
class Plan:
    """What a network costs, known before anything runs.

    params: learnable numbers. buffers: running statistics. macs: multiply-accumulates of one image
    in evaluation, matrix products of attention included; macs_conv_linear without those.
    activation_bytes: saved for backward by one training forward of the whole batch, float32.
    choices: open decisions. genotypes: different answers, as a decimal string.
    """

    network: str
    params: int
    buffers: int
    macs: int
    macs_conv_linear: int
    activation_bytes: int
    batch: int
    choices: int
    genotypes: str
    input: tuple[int, int, int]
    output: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Network:
    """One network of a spec at given parameters."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.name = program.name

    @classmethod
    def from_graph(cls, graph: nx.MultiDiGraph[Any]) -> Network:
        """The network of a graph as `graph()` gives it, or as it was read from a file and changed.

        It has no text: it is built, planned and compiled, not searched. Raises GenoError: G611 where the
        graph is none of a network, G3.. where its layers do not fit together, G507 where it is too large.
        """
        from genolang.compiler import driver

        return cls(driver.from_networkx(graph))

    def graph(self, *, flat: bool = True) -> nx.MultiDiGraph[str]:
        """The network as it is written, before any pass: a node a value, an edge from each argument.

        `flat` puts what a call computes in its place, a node a layer; else every definition that is called
        is a component of its own, once however often it is called. Attributes: `docs/graph.md`.
        """
        from genolang.compiler import driver

        return driver.to_networkx(self.program, flat=flat)

    def plan(self, batch: int = 1) -> Plan:
        """The network's costs for a batch size. Error: G207 for a batch below 1."""
        from genolang.compiler import driver

        if batch < 1:
            raise fail("G207", f"a batch has at least one image, not {batch}")
        program = self.program
        macs, plain = program.block.macs
        return Plan(
            program.name,
            program.params,
            program.buffers,
            macs,
            plain,
            driver.activation_bytes(program, batch),
            batch,
            count_choices(program),
            in_digits(count_genotypes(program)),
            program.input,
            program.answer,
        )

    def module(self, fused: bool = True) -> NetworkModule:
        """A torch module: (B, C, H, W) -> logits (B, classes), in training with an auxiliary head
        a pair (logits, auxiliary logits). A network that ends in `resize(like=input)` gives a map
        (B, classes, H, W). `fused` false gives the plain reference, layer by layer as
        written; both have the same state dict."""
        from genolang.compiler import driver

        return driver.to_module(self.program, fused=fused)

    def for_inference(self, module: NetworkModule) -> NetworkModule:
        """A copy of this network's module that only answers: (B, C, H, W) to logits, as in evaluation.

        Batch norms are folded into the layers before them, what `module.select` left out is gone, and so are
        auxiliary head and gradients to weights. Its state dict is its own: layers that took in a norm have
        biases, and neither network loads the other's.
        """
        from genolang.compiler import driver

        return driver.for_inference(self.program, module)


class Spec:
    """A checked spec: its networks, and the warnings that checking gave."""

    def __init__(self, checked: Checked) -> None:
        self.checked = checked
        self.warnings = list(checked.diagnostics)

    @property
    def networks(self) -> list[str]:
        """The names of the spec's networks."""
        return [r.name for r in self.checked.module.definitions.values() if r.kind == "network"]

    def network(self, name: str | None = None, **params: Any) -> Network:
        """A network by name (or the only one) with some parameters changed.

        Text stands for an expression of the language, and a bare word for itself where the default
        is text: `network(gate="mixed")`. Raises GenoError.
        """
        return Network(expand_network(self.checked, name, params))

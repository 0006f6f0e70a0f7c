"""A network at another image size than it declares: whether its text would say the same.

Sizes are known when a network is expanded. What its text makes of `H` and `W` (a window, a size, a side of an
`if`) is that of the declared image, so a module may compute with another image only what the text, expanded
for that image, says too.
"""

from __future__ import annotations

from collections.abc import Iterator

from genolang.diagnostics import Diagnostic, GenoError, Label, Span, fail
from genolang.semantics.expansion.networks import NetworkBuilder
from genolang.semantics.program import Block, BlockNode, Program

Size = tuple[int, int]
MOST = 4


class Sizes:
    """Which image sizes a network's module may compute with."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.alike: set[Size] = {program.input[1:]}

    def __deepcopy__(self, memo: object) -> Sizes:
        return self

    def check(self, size: Size) -> None:
        """Raise G310 where the text says something else of an image (H, W) than of the declared one, or
        what is wrong with the network at that size."""
        if size not in self.alike:
            other = self._expanded(size)
            spans = list(_unlike(self.program.block, other.block, set()))
            if spans:
                raise GenoError(self._said(size, spans))
            self.alike.add(size)

    def _expanded(self, size: Size) -> Program:
        if self.program.origin is None:
            height, width = self.program.input[1:]
            raise fail(
                "G310",
                f"`{self.program.name}` was read from a graph, which says what to compute with"
                f" images of {height}x{width} alone, not of {size[0]}x{size[1]}",
            )
        module, network, given, searching = self.program.origin
        builder = NetworkBuilder(module, searching=searching, image=size)
        program = builder.build(network, given, network.syntax.name.span)
        if program is None:
            raise GenoError(builder.expansion.diagnostics)
        return program

    def _said(self, size: Size, spans: list[Span]) -> Diagnostic:
        height, width = self.program.input[1:]
        assert self.program.origin is not None
        labels = tuple(Label(span, "this depends on it") for span in dict.fromkeys(spans))[:MOST]
        return Diagnostic(
            "G310",
            f"`{self.program.name}` is made for images of {height}x{width}, and another network for"
            f" {size[0]}x{size[1]}",
            self.program.origin.network.syntax.name.span,
            labels,
            help="build it for that size: let `input` take a parameter, and give it",
        )


def _unlike(one: Block, other: Block, seen: set[tuple[int, int]]) -> Iterator[Span]:
    """The places of layers that differ, but for the sizes of maps."""
    if one is other or (id(one), id(other)) in seen:
        return
    seen.add((id(one), id(other)))
    if len(one.nodes) != len(other.nodes) or one.outputs != other.outputs:
        differing = (a.span for a, b in zip(one.nodes, other.nodes, strict=False) if _facts(a) != _facts(b))
        yield next(differing, one.nodes[-1].span)
        return
    for a, b in zip(one.nodes, other.nodes, strict=True):
        if _facts(a) != _facts(b):
            yield a.span
        elif a.body is not None and b.body is not None:
            yield from _unlike(a.body, b.body, seen)


def _facts(node: BlockNode) -> object:
    return node.kind, node.layer, node.inputs, node.path, node.mix, node.attrs

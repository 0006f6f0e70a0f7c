"""Which lines of a program are left to the library, and why no kernel computes them, kind by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from genolang.compiler.ir import Graph, Node, with_counts
from genolang.compiler.report.kernels import Line, line_of
from genolang.primitives import ACTIVATIONS, MapType, pair


@dataclass(frozen=True, slots=True)
class ByLibrary:
    """A kind of layers that the library computes, how many in one forward pass, why, and their lines."""

    kind: str
    count: int
    reason: str
    lines: tuple[Line, ...]


REASONS: Mapping[str, str] = {
    "convolution": "the library's (cuDNN, oneDNN) is the fastest form known",
    "1x1 convolution": "a product of matrices, and the library's is the fastest form known",
    "depthwise convolution": "our form is for odd square windows that keep their place, without a bias,"
    " in networks of mostly such windows",
    "product": "the library's product of matrices is the fastest form known",
    "normalisation": "one call of the library; kernels only join it with layers around it",
    "pooling": "one call of the library, which reads its map once",
    "resizing": "one call of the library, which reads its map once",
    "element by element": "one pass over its maps; no kernel's pattern stands here",
    "mixed operation": "no sum of alternatives that nothing else reads; those are joined",
}
_KINDS: Mapping[str, str] = {
    "standardized_conv": "convolution",
    "transposed_conv": "convolution",
    "linear": "product",
    "matmul": "product",
    **dict.fromkeys(("batch_norm", "group_norm", "layer_norm", "standardize", "l2_norm", "softmax"), "normalisation"),
    **dict.fromkeys(
        ("max_pool", "avg_pool", "adaptive_max_pool", "global_avg_pool", "global_max_pool", "mean", "max"), "pooling"
    ),
    "resize": "resizing",
    **dict.fromkeys((*ACTIVATIONS, "prelu", "scale", "add", "subtract", "multiply", "divide"), "element by element"),
    **dict.fromkeys(("dropout", "drop_path"), "element by element"),
}
# They move numbers about, or make none.
NO_WORK = frozenset(
    (
        "image",
        "concat",
        "slice",
        "repeat_channels",
        "channel_shuffle",
        "pixel_shuffle",
        "pixel_unshuffle",
        "parameter",
        "coordinates",
        "sinusoids",
        "pad_channels",
        "pad_space",
        "subsample",
        "zeros",
        "transpose",
        "single_precision",
        "precision",
        "identity",
    )
)


def left_to_library(graph: Graph) -> list[ByLibrary]:
    """The layers with work that no kernel of a graph computes, after its passes, by kind and line."""
    found: dict[str, dict[tuple[str, int], Line]] = {kind: {} for kind in REASONS}
    for current, times in with_counts(graph):
        for _, node, arguments in current:
            kind = _kind(node, [current.node(a).type for a in arguments])
            if kind is None:
                continue
            place = node.span.source.name, node.span.line
            before = found[kind].get(place)
            found[kind][place] = line_of(node.span, times + (before.count if before else 0))
    return [
        ByLibrary(
            kind,
            sum(line.count for line in lines.values()),
            REASONS[kind],
            tuple(line for _, line in sorted(lines.items())),
        )
        for kind, lines in found.items()
        if lines
    ]


def _kind(node: Node, types: list[MapType]) -> str | None:
    if node.mix is not None:
        return "mixed operation"
    if node.kind != "layer":
        return None
    if node.layer == "conv":
        assert node.attrs is not None
        if node.attrs["groups"] == types[0].C > 1:
            return "depthwise convolution"
        return "1x1 convolution" if pair(node.attrs["k"]) == (1, 1) else "convolution"
    return _KINDS.get(node.layer)

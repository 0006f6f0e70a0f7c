"""Programs that hold our operators become programs of PyTorch's own."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from genolang.kernels.decompositions import table

OPS = torch.ops.genolang
draw = torch.Generator().manual_seed(0)
X, Y, Z = (torch.randn(2, 4, 3, 5, generator=draw) for _ in range(3))
KEPT = torch.rand(2, 4, generator=draw) + 0.5


def summed(training: bool) -> Callable[..., Sequence[Tensor]]:
    def call(x: Tensor, y: Tensor, kept: Tensor) -> Sequence[Tensor]:
        weights = torch.tensor([0.3, 0.7])
        return OPS.mixed_sum([x, y], weights, [kept[0]], [kept[1]], [False, True], training, 0.1, 1e-5, "cpu")

    return call


def masked(kind: str, sigmoid: bool) -> Callable[..., Sequence[Tensor]]:
    def call(t: Tensor, m: Tensor) -> Sequence[Tensor]:
        out, extra = OPS.masked(t, m, kind, True, 1e-5, sigmoid, "cpu")
        return [out, *extra]

    return call


def recalibrated(x: Tensor, f: Tensor, m: Tensor) -> Sequence[Tensor]:
    y, (mask,) = OPS.recalibrated(x, f, m, True, "cpu")
    return [y, mask]


def attended(qkv: Tensor, height: Tensor, width: Tensor) -> Sequence[Tensor]:
    return list(OPS.relative_attention(qkv, height, width, 1, "cpu"))


CASES: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "sum": (summed(True), (X, Y, KEPT)),
    "kept sum": (summed(False), (X, Y, KEPT)),
    "mixed": (masked("mixed", True), (X, Y)),
    "spatial": (masked("spatial", True), (X, Y)),
    "channel": (masked("channel", False), (X, Y)),
    "recalibration": (recalibrated, (X, Y, Z[:, :, :1, :1])),
    "attention": (attended, (X, Y[0, :1].reshape(5, 3)[:, :1], Z[0, 0].reshape(15)[:9, None])),
}


@pytest.mark.parametrize("name", CASES)
def test_decomposed_operators_compute_the_same_in_plain_operations(name: str) -> None:
    function, inputs = CASES[name]
    graph = make_fx(function, decomposition_table=table(), tracing_mode="fake")(*inputs)
    assert not any("genolang" in str(node.target) for node in graph.graph.nodes)
    for mine, theirs in zip(graph(*inputs), function(*inputs), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_on_a_gpu_forward_operators_have_plain_forms_too() -> None:
    for kind, sigmoid in (("mixed", True), ("spatial", True), ("channel", False)):
        out, extra = table()[OPS.masked.default](X, Y, kind, True, 1e-5, sigmoid, "fused")
        wanted, shapes = (
            OPS.masked(X, Y, kind, True, 1e-5, sigmoid, "cpu")[0],
            OPS.masked(X.to("meta"), Y.to("meta"), kind, True, 1e-5, sigmoid, "fused")[1],
        )
        torch.testing.assert_close(out, wanted)
        assert [t.shape for t in extra] == [t.shape for t in shapes]


class Holds(nn.Module):
    def forward(self, x: Tensor, m: Tensor) -> Tensor:
        found: Tensor = OPS.masked(x, m, "spatial", True, 1e-5, True, "cpu")[0]
        return found


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_an_exported_program_that_holds_an_operator_is_rid_of_it_by_the_table() -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Holds(), (X, Y), dynamic_shapes={"x": {0: batch}, "m": {0: batch}})
    assert any("genolang" in str(node.target) for node in program.graph.nodes)
    plain = program.run_decompositions(table())
    assert not any("genolang" in str(node.target) for node in plain.graph.nodes)
    torch.testing.assert_close(plain.module()(X[:1], Y[:1]), Holds()(X[:1], Y[:1]))

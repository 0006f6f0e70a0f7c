"""Masking as PyTorch's compilers, exporters and contexts see it."""

import io
from dataclasses import replace

import pytest
import torch
from kernel_harness.masking import Case, build, distance, exactly, ours, results
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.utils.checkpoint import checkpoint

from genolang.kernels.masking import operator, recalibrated
from genolang.kernels.masking.gate import Gate

GATES = [
    Case(),
    Case(residual=False),
    Case(gate="spatial"),
    Case(gate="spatial", layout="channels_last", residual=False),
    Case(gate="channel"),
    Case(gate="channel", sigmoid=True, layout="channels_last"),
]
RECALIBRATIONS = [
    Case(mask="channel", relu=True),
    Case(mask="spatial"),
    Case(mask="full", relu=True, layout="channels_last"),
]
WHOLE = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
ALONE = ("test_schema", "test_faketensor")


def gate(case: Case) -> tuple[str, bool, float, bool]:
    return case.gate, case.residual, 1e-5, case.gate != "channel" or bool(case.sigmoid)


@pytest.mark.parametrize("case", GATES, ids=str)
def test_the_operator_of_masks_keeps_pytorchs_rules(case: Case) -> None:
    t, m, g = build(case)
    torch.library.opcheck(torch.ops.genolang.masked.default, (t, m, *gate(case), "cpu"), test_utils=WHOLE)
    t, m = t.detach(), m.detach()
    saved = operator.cpu.masked_forward(t, m, Gate(*gate(case)))[1]
    for needs in ([True, True], [False, True], [True, False]):
        arguments = (g, t, [x.clone() for x in saved], *gate(case), "cpu", needs)
        torch.library.opcheck(torch.ops.genolang.masked_backward.default, arguments, test_utils=ALONE)


@pytest.mark.parametrize("case", RECALIBRATIONS, ids=str)
def test_the_operator_of_recalibrations_keeps_pytorchs_rules(case: Case) -> None:
    x, f, m, g = build(case)
    torch.library.opcheck(torch.ops.genolang.recalibrated.default, (x, f, m, case.relu, "cpu"), test_utils=WHOLE)
    x, f, m = (tensor.detach() for tensor in (x, f, m))
    y, mask = operator.cpu.recalibrated_forward(x, f, m, case.relu)
    for needs in ([case.relu, True, True], [False, False, True], [False, True, False]):
        arguments = (g, f, mask, y if case.relu else None, "cpu", needs)
        torch.library.opcheck(torch.ops.genolang.recalibrated_backward.default, arguments, test_utils=ALONE)


@pytest.mark.parametrize("case", [*GATES, *RECALIBRATIONS], ids=str)
def test_shapes_without_data_are_those_that_the_kernels_are_launched_for(case: Case) -> None:
    inputs = [t.detach().to("meta", torch.float16) for t in build(case)]
    if case.mask:
        out, extra = torch.ops.genolang.recalibrated(*inputs[:3], case.relu, "fused")
        found = torch.ops.genolang.recalibrated_backward(inputs[3], *inputs[1:3], out, "fused", [True] * 3)
        assert extra == [] and [t.shape for t in found] == [t.shape for t in inputs[:3]]
        return
    out, extra = torch.ops.genolang.masked(*inputs[:2], *gate(case), "fused")
    batch, channels, *size = case.shape
    kept = {"mixed": [], "spatial": [(batch, channels)] * 2, "channel": [(batch, *size)]}[case.gate]
    assert out.shape == case.shape and [(tuple(t.shape), t.dtype) for t in extra] == [(k, torch.float32) for k in kept]
    found = torch.ops.genolang.masked_backward(
        inputs[2], inputs[0], [inputs[1], *extra], *gate(case), "fused", [True, True]
    )
    assert [t.shape for t in found] == [case.shape] * 2


def graphs_of(function: nn.Module | object, leaves: list[Tensor]) -> tuple[dict[str, Tensor], str]:
    seen: list[str] = []

    def backend(graph: GraphModule, _: object) -> object:
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return torch._dynamo.lookup_backend("aot_eager")(graph, _)

    torch.compiler.reset()
    found = results(torch.compile(function, fullgraph=True, backend=backend), leaves)
    torch.compiler.reset()
    return found, " ".join(seen)


@pytest.mark.parametrize("case", [Case(), Case(gate="spatial"), Case(gate="channel"), *RECALIBRATIONS[:2]], ids=str)
def test_a_compiler_gets_the_operator_where_it_was_asked_for_and_computes_the_same(case: Case) -> None:
    found, graph = graphs_of(ours(case, "cpu"), build(case))
    wanted = results(ours(case, "cpu"), build(case))
    assert "genolang" in graph and all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert "genolang" not in graphs_of(ours(replace(case, relu=False), None), build(case))[1]


def test_a_compiler_for_a_cpu_gets_a_recalibration_with_relu_as_an_operator_if_it_is_trained() -> None:
    case = RECALIBRATIONS[0]
    found, graph = graphs_of(ours(case, None), build(case))
    exact = exactly(case)
    assert "genolang" in graph and all(distance(found[name], exact[name]) < 1e-12 for name in exact)
    with torch.no_grad():
        seen = torch.compile(lambda *xs: recalibrated(*xs, relu=True), fullgraph=True, backend="aot_eager")(
            *build(case)[:3]
        )
    assert distance(seen, exact["out"]) < 1e-12


class Net(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = ours(Case(gate="spatial"), "cpu")(x, x)
        return recalibrated(x, y, y.mean((2, 3), keepdim=True), relu=True, use="cpu")


def test_what_is_exported_holds_no_operator_even_where_one_was_asked_for() -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(Net(), (torch.randn(2, 3, 5, 7),), dynamic_shapes={"x": {0: batch}})
    assert not any("genolang" in str(node.target) for node in program.graph.nodes)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    x = torch.randn(5, 3, 5, 7)
    torch.testing.assert_close(torch.export.load(file).module()(x), Net()(x))


@pytest.mark.parametrize("case", [*GATES[::2], *RECALIBRATIONS], ids=str)
@pytest.mark.parametrize("use", [None, "cpu"])
def test_results_keep_their_dtype_with_autocast_and_without(case: Case, use: str | None) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        *leaves, grad = build(replace(case, dtype=dtype))
        wanted = results(ours(case, use), [*leaves, grad])
        again = build(replace(case, dtype=dtype))
        with torch.autocast("cpu", torch.bfloat16):
            found = results(ours(case, use), again)
        assert all(t.dtype == dtype for t in (*wanted.values(), *found.values()))
        assert all(distance(found[n], wanted[n].double()) < (1e-5 if dtype == torch.float32 else 2e-2) for n in wanted)


@pytest.mark.parametrize("case", [*GATES[::2], *RECALIBRATIONS], ids=str)
def test_checkpointing_recomputes_the_same_gradients(case: Case) -> None:
    wanted = results(ours(case, "cpu"), build(case))
    found = results(lambda *xs: checkpoint(ours(case, "cpu"), *xs, use_reentrant=False), build(case))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("how", ["expanded", "transposed"])
@pytest.mark.parametrize("case", [*GATES[::2], *RECALIBRATIONS], ids=str)
def test_the_incoming_gradient_may_lie_anyhow(case: Case, how: str) -> None:
    case = replace(case, shape=(2, 3, 5, 5))
    *inputs, grad = build(case)
    grad = grad[:1, :1].expand_as(grad) if how == "expanded" else grad.transpose(2, 3)
    found = results(ours(case, "cpu"), [*inputs, grad])
    wanted = results(ours(case, "cpu"), [*build(case)[:-1], grad.contiguous()])
    assert all(distance(found[name], wanted[name]) < 1e-12 for name in wanted)


@pytest.mark.parametrize("case", [Case(gate="spatial"), Case(gate="channel"), Case(mask="channel")], ids=str)
@pytest.mark.parametrize("use", ["cpu", "reference"])
def test_nan_stays_in_its_row_or_position(case: Case, use: str) -> None:
    inputs = build(case)
    with torch.no_grad():
        inputs[-2][0, 0, 0, 0] = torch.nan
    found = results(ours(case, use), inputs)
    touched = found["out"][0, :, 0, 0] if case.gate == "channel" else found["out"][0, 0]
    assert touched.isnan().all() and int(found["out"].isnan().sum()) == touched.numel()

import io
from dataclasses import replace

import pytest
import torch
from exactness import OFFSETS
from kernel_harness.masking import GATES, RECALIBRATIONS, Case, agrees, agrees_as_well, build, ours, results
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from genolang.kernels.masking import KERNELS, mask_kernel, masked, recalibrated, why

ALL = [*GATES, *RECALIBRATIONS]
PLAIN = [Case(), Case(gate="spatial"), Case(gate="channel"), Case(mask="channel", relu=True), Case(mask="spatial")]


@pytest.mark.parametrize("use", [None, "cpu", "reference"])
@pytest.mark.parametrize("case", ALL, ids=str)
def test_masking_computes_what_is_spelled_out(case: Case, use: str | None) -> None:
    agrees(case, use, 1e-12)


@pytest.mark.parametrize("use", [None, "cpu"])
@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_lower_precision_is_as_exact_as_plain_operations(case: Case, use: str | None) -> None:
    agrees_as_well(replace(case, dtype=torch.float32), use)
    for dtype in (torch.float16, torch.bfloat16):
        agrees_as_well(replace(case, dtype=dtype), use, 2.0)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("gate", ["spatial", "channel"])
def test_logits_far_from_zero_are_normalised_as_exactly_as_in_plain_operations(
    gate: str, layout: str, offset: float
) -> None:
    for shape in ((2, 3, 5, 7), (3, 1, 14, 14), (2, 33, 9, 8)):
        case = Case(shape=shape, gate=gate, layout=layout, offset=offset)
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            agrees_as_well(replace(case, dtype=dtype), "cpu")
        agrees_as_well(replace(case, dtype=torch.float32, sigmoid=True), None)


@pytest.mark.parametrize("use", ["cpu", "reference"])
@pytest.mark.parametrize("gate", ["mixed", "spatial", "channel"])
def test_map_and_logits_may_have_two_dtypes(gate: str, use: str) -> None:
    agrees(Case(gate=gate, dtype=torch.float32, logits_dtype=torch.float64), use, 1e-6)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_gradients_are_those_of_finite_differences(case: Case) -> None:
    *inputs, _ = build(replace(case, shape=(2, 2, 3, 2)))
    assert torch.autograd.gradcheck(ours(case, "cpu"), inputs)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_gradients_come_for_every_subset_of_inputs(case: Case) -> None:
    whole = results(ours(case, "cpu"), build(case))
    for wanted in range(1, 8 if case.mask else 4):
        inputs = build(case)
        for index, tensor in enumerate(inputs[:-1]):
            tensor.requires_grad_(bool(wanted >> index & 1))
        found = results(ours(case, "cpu"), inputs)
        assert len(found) == 1 + wanted.bit_count()
        assert all(torch.equal(found[name], whole[name]) for name in found)


@pytest.mark.parametrize(("gate", "plainly"), [("mixed", 3.0), ("spatial", 5.0), ("channel", 3.0)])
def test_two_maps_are_kept_for_backward_instead_of_three_to_five(gate: str, plainly: float) -> None:
    def maps(use: str | None) -> float:
        *inputs, _ = build(Case(shape=(4, 32, 16, 16), gate=gate, dtype=torch.float32))
        seen: dict[int, Tensor] = {}
        with saved_tensors_hooks(lambda t: seen.setdefault(t.untyped_storage()._cdata, t), lambda t: t):
            ours(Case(gate=gate), use)(*inputs)
        return sum(t.untyped_storage().nbytes() for t in seen.values()) / (4 * 32 * 16 * 16 * 4)

    assert maps("cpu") == pytest.approx(2.0, abs=0.1) and maps("reference") == pytest.approx(plainly, abs=0.1)


@pytest.mark.parametrize(
    ("gate", "shape"),
    [("mixed", (2, 3, 5, 7)), ("mixed", (2, 3, 151, 149)), ("spatial", (2, 3, 5, 7)), ("channel", (2, 3, 5, 7))],
)
def test_the_meta_device_saves_what_a_real_run_saves(gate: str, shape: tuple[int, int, int, int]) -> None:
    def sizes(device: str) -> list[int]:
        *inputs, grad = (t.detach().to(device) for t in build(Case(gate=gate, shape=shape)))
        found: list[int] = []
        with saved_tensors_hooks(lambda t: found.append(t.numel()) or t, lambda t: t):
            out = masked(*(t.requires_grad_() for t in inputs), gate=gate)
        out.backward(grad)
        return sorted(found)

    real = sizes("cpu")
    # The CPU keeps one more value a channel than the kernel does.
    assert [n for n in sizes("meta") if n > 6] == [n for n in real if n > 6]


@pytest.mark.parametrize("use", [None, "cpu", "reference"])
def test_empty_batches_come_out_empty(use: str | None) -> None:
    for case in (Case(shape=(0, 3, 5, 7), gate="spatial"), Case(shape=(0, 3, 5, 7), mask="channel")):
        assert results(ours(case, use), build(case))["out"].shape == (0, 3, 5, 7)


def test_shapes_and_gates_that_do_not_fit_are_refused() -> None:
    x = torch.zeros(2, 3, 4, 5)
    for wrong in ((2, 1, 1, 1), (2, 3, 1, 5), (1, 3, 1, 1), (2, 3)):
        with pytest.raises(ValueError, match="for each value, channel or position"):
            recalibrated(x, x, torch.zeros(wrong))
    with pytest.raises(ValueError, match="one shape"):
        masked(x, x[:, :1])
    with pytest.raises(ValueError, match="a gate is mixed, spatial, channel"):
        masked(x, x, gate="tanh")


def test_a_second_derivative_is_refused_by_the_lean_path_and_given_by_the_reference() -> None:
    for use in ("cpu", "reference"):
        t, m, _ = build(Case())
        (first,) = torch.autograd.grad(masked(t, m, use=use).square().sum(), m, create_graph=True)
        if use == "reference":
            first.sum().backward()
            assert t.grad is not None
        else:
            with pytest.raises(RuntimeError, match="differentiate twice"):
                first.sum().backward()


def test_checkpointing_recomputes_the_same_gradients() -> None:
    case = Case(gate="spatial")
    wanted = results(ours(case, None), build(case))
    found = results(lambda *xs: checkpoint(ours(case, None), *xs, use_reentrant=False), build(case))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


class Module(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = masked(masked(masked(x, x), x, gate="spatial"), x, gate="channel")
        return recalibrated(x, y, y.mean((2, 3), keepdim=True), relu=True)


def test_it_compiles_without_a_break_and_exports_as_plain_operations_for_any_batch() -> None:
    module, x = Module().eval(), torch.randn(5, 3, 5, 7)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x), module(x), atol=1e-6)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (torch.randn(2, 3, 5, 7),), dynamic_shapes={"x": {0: batch}})
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    assert torch.allclose(torch.export.load(buffer).module()(x), module(x), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("use", [None, "cpu", "reference"])
def test_a_position_without_a_direction_is_masked_by_zero(use: str | None, dtype: torch.dtype) -> None:
    """Where all logits are 0, only the smallest norm allowed keeps the mask a number, and no half precision has it."""
    t = torch.ones(2, 3, 4, 5, dtype=dtype).requires_grad_()
    m = torch.zeros_like(t).requires_grad_()
    found = masked(t, m, gate="channel", use=use)
    assert torch.equal(found, t)
    to_t, _ = torch.autograd.grad(found.sum(), (t, m))
    assert torch.equal(to_t, t)


def test_small_recalibrations_and_half_precision_stay_with_plain_operations() -> None:
    x = torch.zeros(1, 2, 3, 4)
    assert why(KERNELS["recalibration"], x, x, x) == (
        "recalibration runs as reference: a map has fewer than 131072 values."
    )
    large = torch.zeros(1, 128, 32, 32)
    assert why(KERNELS["recalibration"], large, large, large).startswith("recalibration runs as cpu")
    assert why(mask_kernel("mixed", True), x, x).startswith("residual_mask runs as reference: a map has fewer")
    assert why(mask_kernel("mixed", True), large, large).startswith("residual_mask runs as cpu")
    assert why(mask_kernel("spatial", True), x, x).startswith("spatial_mask runs as cpu")
    half = x.bfloat16()
    assert why(mask_kernel("spatial", True), half, half).startswith("spatial_mask runs as reference: half")
    assert why(mask_kernel("mixed", False), x, x).startswith("naive_mask runs as reference")


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e4 + 0.1, 1e-20])
@pytest.mark.parametrize("size", [(5, 7), (31, 33), (1, 4097)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_constant_map_is_standardised_to_nothing(
    value: float, size: tuple[int, int], layout: torch.memory_format
) -> None:
    t, m, g = (torch.randn(2, 3, *size).contiguous(memory_format=layout) for _ in range(3))
    m = torch.full_like(m, value).requires_grad_()
    out = masked(t, m, gate="spatial")
    out.backward(g)
    d = g * t / 4
    assert torch.equal(out, 1.5 * t)
    assert torch.allclose(m.grad, (d - d.mean((2, 3), keepdim=True)) / 1e-5, rtol=1e-4, atol=1)


@pytest.mark.parametrize("there", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("here", [torch.contiguous_format, torch.channels_last])
def test_a_gradient_may_lie_in_another_order_than_its_map(
    here: torch.memory_format, there: torch.memory_format
) -> None:
    draws = torch.Generator().manual_seed(0)
    x, g = (torch.randn(2, 6, 5, 4, generator=draws, dtype=torch.float64) for _ in range(2))
    for gate in ("spatial", "channel", "mixed"):
        gradients = []
        for use in ("cpu", "reference"):
            leaf = x.contiguous(memory_format=here).requires_grad_()
            masked(leaf, leaf * 2, gate=gate, residual=False, use=use).backward(g.contiguous(memory_format=there))
            gradients.append(leaf.grad)
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)

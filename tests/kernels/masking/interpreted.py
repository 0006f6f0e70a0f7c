"""Numerics of the Triton kernels, run by ../test_interpreted.py where Triton interprets."""

from dataclasses import replace

import pytest
import torch
from exactness import OFFSETS
from kernel_harness.masking import GATES, RECALIBRATIONS, Case, agrees, agrees_as_well, build, ours, results

from genolang.kernels.masking import masked

FUSED = "fused"
# What lies outside a map is computed, and not stored.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in exp", "ignore:overflow encountered in cast")

# torch.empty is then full of NaN, so that what a kernel leaves unwritten shows.
torch._C._set_deterministic_algorithms(True)
assert torch.empty(3).isnan().all()


@pytest.mark.parametrize("case", [*GATES, *RECALIBRATIONS], ids=str)
def test_the_fused_kernel_computes_what_is_spelled_out(case: Case) -> None:
    agrees(case, FUSED, 1e-12)


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        *(Case(gate=g, layout=w) for g in ("spatial", "channel") for w in ("contiguous", "channels_last")),
        *(Case(mask=m, relu=True) for m in ("channel", "spatial", "full")),
    ],
    ids=str,
)
def test_lower_precision_is_as_exact_as_plain_operations(case: Case) -> None:
    agrees_as_well(replace(case, dtype=torch.float32), FUSED)
    agrees_as_well(replace(case, dtype=torch.float16), FUSED, 2.0)
    # Interpreted, a store in bfloat16 truncates instead of rounding.
    agrees_as_well(replace(case, dtype=torch.bfloat16), FUSED, 3.0)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("gate", ["spatial", "channel"])
def test_logits_far_from_zero_are_normalised_as_exactly_as_in_plain_operations(gate: str, offset: float) -> None:
    for layout, shape in (("contiguous", (2, 3, 5, 7)), ("channels_last", (2, 3, 5, 7)), ("contiguous", (1, 1, 9, 11))):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            agrees_as_well(Case(shape=shape, gate=gate, layout=layout, offset=offset, dtype=dtype), FUSED)


@pytest.mark.parametrize("value", [0.1, 1e4 + 0.1, 1e-20])
def test_a_constant_map_is_standardised_to_nothing(value: float) -> None:
    for size in ((5, 7), (31, 33)):
        t, m, g = (torch.randn(1, 2, *size) for _ in range(3))
        m = torch.full_like(m, value).requires_grad_()
        out = masked(t, m, gate="spatial", use=FUSED)
        out.backward(g)
        d = g * t / 4
        assert torch.equal(out, 1.5 * t)
        assert torch.allclose(m.grad, (d - d.mean((2, 3), keepdim=True)) / 1e-5, rtol=1e-4, atol=1)


@pytest.mark.parametrize("gate", ["mixed", "spatial", "channel"])
def test_map_and_logits_may_have_two_dtypes(gate: str) -> None:
    agrees(Case(gate=gate, dtype=torch.float32, logits_dtype=torch.float64), FUSED, 1e-6)
    agrees(Case(gate=gate, dtype=torch.float16, logits_dtype=torch.float32), FUSED, 2e-3)


@pytest.mark.parametrize("mask", ["channel", "spatial", "full"])
def test_a_relu_passes_no_gradient_at_zero(mask: str) -> None:
    case = Case(mask=mask, relu=True, values="exact zeros")
    inputs = build(case)
    found = results(ours(case, FUSED), inputs)
    assert (inputs[0] == 0).any() and not found["to x"][inputs[0] == 0].any()
    agrees(case, FUSED, 1e-12)


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case(gate="spatial"),
        Case(gate="channel"),
        Case(mask="channel", relu=True),
        Case(mask="spatial"),
        Case(mask="full", relu=True),
    ],
    ids=str,
)
def test_gradients_come_for_every_subset_of_inputs_and_run_after_run_alike(case: Case) -> None:
    whole = results(ours(case, FUSED), build(case))
    count = 3 if case.mask else 2
    for wanted in range(1, 2**count):
        inputs = build(case)
        for index, tensor in enumerate(inputs[:-1]):
            tensor.requires_grad_(bool(wanted >> index & 1))
        found = results(ours(case, FUSED), inputs)
        assert len(found) == 1 + wanted.bit_count()
        assert all(torch.equal(found[name], whole[name]) for name in found)


@pytest.mark.parametrize("case", [Case(gate="spatial"), Case(gate="channel"), Case(mask="channel")], ids=str)
def test_nan_stays_in_its_row_or_position(case: Case) -> None:
    inputs = build(case)
    with torch.no_grad():
        inputs[-2][0, 0, 0, 0] = torch.nan
    found = results(ours(case, FUSED), inputs)
    # Only the norm of a position is shared by its channels.
    touched = found["out"][0, :, 0, 0] if case.gate == "channel" else found["out"][0, 0]
    assert touched.isnan().all() and int(found["out"].isnan().sum()) == touched.numel()
    assert int(found["to m"].isnan().sum()) == (1 if case.mask else touched.numel())


def test_infinite_logits_open_or_close_the_gate() -> None:
    case = Case(shape=(1, 1, 1, 3))
    t, m, grad = build(case)
    with torch.no_grad():
        m[0, 0, 0, 0], m[0, 0, 0, 1] = torch.inf, -torch.inf
    found = results(ours(case, FUSED), [t, m, grad])
    assert torch.equal(found["out"][0, 0, 0, :2], t.detach()[0, 0, 0, :2] * torch.tensor([2.0, 1.0]))
    assert not found["to m"][0, 0, 0, :2].any() and found["to m"].isfinite().all()


@pytest.mark.parametrize("how", ["expanded", "transposed"])
def test_the_incoming_gradient_may_lie_anyhow(how: str) -> None:
    for case in (
        Case(shape=(2, 3, 5, 5)),
        Case(shape=(2, 3, 5, 5), gate="spatial"),
        Case(shape=(2, 3, 5, 5), mask="full", relu=True),
    ):
        *inputs, grad = build(case)
        grad = grad[:1, :1].expand_as(grad) if how == "expanded" else grad.transpose(2, 3)
        found = results(ours(case, FUSED), [*inputs, grad])
        wanted = results(ours(case, FUSED), [*build(case)[:-1], grad.contiguous()])
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)

"""Numerics of the Triton kernels, run by test_interpreted.py where Triton interprets."""

import pytest
import torch
from kernel_harness.relative_attention import Case, agrees, agrees_as_well, build, ours, results

FUSED = "fused"

# torch.empty is then full of NaN, so that what a kernel leaves unwritten shows.
torch._C._set_deterministic_algorithms(True)
assert torch.empty(3).isnan().all()


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case(size=(1, 1), key=1, value=1, heads=1),
        Case(size=(1, 8), key=8, value=5, heads=1, batch=1),
        Case(size=(8, 1), key=3, value=20, heads=1, batch=1, more=(0, 2)),
        Case(size=(3, 17), key=20, value=5, heads=1, batch=1, more=(1, 0), layout="channels_last"),
        Case(size=(9, 4), key=33, value=2, heads=1, batch=1, layout="sliced"),
        Case(size=(1, 35), key=2, value=2, heads=1, batch=1),
        Case(size=(4, 4), key=16, value=64, heads=1, layout="transposed"),
        Case(size=(5, 3), batch=0),
        Case(size=(8, 8), key=20, value=4, heads=1, batch=1),
        Case(size=(14, 14), key=20, value=3, heads=1, batch=1),
        Case(size=(1, 2), key=2, value=1, heads=3, batch=1),
        *(Case(size=(2, 3), key=key, value=value, heads=1, batch=1)
          for key, value in ((24, 64), (32, 5), (40, 40), (48, 8), (64, 33))),
    ],
    ids=str,
)
def test_the_fused_attention_is_that_of_all_pairs(case: Case) -> None:
    agrees(case, FUSED, 1e-12)


def test_single_precision_stays_within_its_tolerance() -> None:
    agrees(Case(size=(7, 6), key=20, heads=1, batch=1, dtype=torch.float32, layout="channels_last"), FUSED, 2e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_as_exact_as_plain_operations(dtype: torch.dtype) -> None:
    # Interpreted, a store in bfloat16 truncates instead of rounding.
    agrees_as_well(Case(size=(6, 5), key=20, heads=1, batch=1, dtype=dtype), FUSED, 3.0 if dtype == torch.bfloat16 else 2.0)


def test_one_overwhelming_key_takes_all_weight() -> None:
    agrees(Case(size=(3, 5), scale=30.0, heads=1, batch=1), FUSED, 1e-11)


def test_without_relative_positions_it_is_plain_attention() -> None:
    inputs = build(Case(size=(3, 5), key=4, value=4))
    with torch.no_grad():
        inputs.height.zero_()
        inputs.width.zero_()
    q, k, v = (part.unflatten(1, (2, 4)).flatten(3).mT for part in inputs.qkv.split(8, dim=1))
    plain = torch.softmax(q @ k.mT / 2, 3) @ v
    found = ours(FUSED)(*inputs.tensors, 2)
    torch.testing.assert_close(found, plain.mT.flatten(1, 2).unflatten(2, (3, 5)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("how", ["expanded", "transposed"])
def test_the_incoming_gradient_may_lie_anyhow(how: str) -> None:
    case = Case(size=(3, 3), heads=1, batch=1)
    inputs, other = build(case), build(case)
    inputs.grad = inputs.grad[:, :, :1, :1].expand(-1, -1, 3, 3) if how == "expanded" else inputs.grad.transpose(2, 3)
    other.grad = inputs.grad.contiguous()
    found, wanted = results(ours(FUSED), inputs), results(ours(FUSED), other)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_gradients_come_for_every_input_alone() -> None:
    case = Case(size=(2, 3), heads=1, batch=1)
    whole = list(results(ours(FUSED), build(case)).values())[1:]
    for wanted in range(3):
        inputs = build(case)
        for index, tensor in enumerate(inputs.tensors):
            tensor.requires_grad_(index == wanted)
        ours(FUSED)(*inputs.tensors, 1).backward(inputs.grad)
        assert [t.grad is not None for t in inputs.tensors] == [index == wanted for index in range(3)]
        assert torch.equal(inputs.tensors[wanted].grad, whole[wanted])


def test_two_runs_agree_bit_by_bit() -> None:
    first, second = (results(ours(FUSED), build(Case(size=(3, 5), heads=1, batch=1, dtype=torch.float32))) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_what_is_not_a_number_stays_in_its_image() -> None:
    inputs = build(Case(size=(3, 4), heads=1))
    with torch.no_grad():
        inputs.qkv[0, 0, 1, 1] = torch.nan
    found = results(ours(FUSED), inputs)
    assert found["out"][0, :, 1, 1].isnan().all() and found["out"][1].isfinite().all()
    assert found["to qkv"][1].isfinite().all()

"""Numerics of the Triton kernels, run by ../test_interpreted.py where Triton interprets."""

import pytest
import torch
from exactness import OFFSETS
from kernel_harness.mixed_sum import NAMED, Case, agrees, agrees_as_well, build, in_dtype, ours, results

FUSED = "fused"

# torch.empty is then full of NaN, so that what a kernel leaves unwritten shows. The public function for
# this also imports torch.compile's whole machinery.
torch._C._set_deterministic_algorithms(True)
assert torch.empty(3).isnan().all()


@pytest.mark.parametrize("case", NAMED, ids=str)
def test_the_fused_sum_is_that_of_batch_norm_modules(case: Case) -> None:
    agrees(case, FUSED, 1e-12 if case.shift == 0 else 1e-10)


# Rows that are longer than what one program holds, and not aligned; the last map is too small for pieces.
@pytest.mark.parametrize(
    "case",
    [
        Case(shape=(9, 5, 7, 7), normed="yn", count=2),
        Case(shape=(3, 1, 14, 14), normed="yny", training=False),
        Case(shape=(11, 3, 7, 1), layout="sliced", normed="n", count=1),
        Case(shape=(5, 2, 3, 3), dtype=torch.float32),
        Case(shape=(6, 2, 5, 1), normed="y", count=1),
    ],
    ids=str,
)
def test_maps_of_odd_sizes_are_applied_as_one_row(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from genolang.kernels.mixed_sum import launch

    taken: dict[str, str] = {}
    run = launch._run
    monkeypatch.setattr(
        launch,
        "_run",
        lambda kernel, how, *args, **more: (taken.update({kernel: how}), run(kernel, how, *args, **more)),
    )
    monkeypatch.setattr(launch, "LONGEST_SLAB", 0)
    if case.dtype == torch.float32:
        agrees_as_well(case, FUSED)
    else:
        agrees(case, FUSED, 1e-12)
    applied = "rows" if case.shape[2] * case.shape[3] < 7 else "flat"
    assert taken["apply_forward"] == taken["apply_backward"] == applied and taken["partial_products"] == "rows"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_odd_sizes_in_half_precision_are_as_exact_as_the_written_out_sum(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genolang.kernels.mixed_sum import launch

    monkeypatch.setattr(launch, "LONGEST_SLAB", 0)
    agrees_as_well(Case(shape=(3, 2, 5, 7), dtype=dtype), FUSED, 3.0 if dtype == torch.bfloat16 else 2.0)
    first, second = (results(ours(FUSED), build(Case(shape=(3, 2, 5, 7), dtype=dtype))) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "case",
    [
        Case(),
        Case(training=False),
        Case(layout="channels_last"),
        Case(layout="channels_last", shape=(9, 17, 8, 3), normed="y", count=1),
        Case(shape=(16, 1, 32, 32), count=1, normed="y"),
    ],
    ids=str,
)
def test_single_precision_is_as_exact_as_the_written_out_sum(case: Case) -> None:
    agrees_as_well(in_dtype(case, torch.float32), FUSED)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_half_precision_is_as_exact_as_the_written_out_sum(dtype: torch.dtype, layout: str) -> None:
    # Interpreted, a store in bfloat16 truncates instead of rounding.
    case = Case(shape=(3, 2, 5, 7), layout=layout, dtype=dtype)
    agrees_as_well(case, FUSED, 3.0 if dtype == torch.bfloat16 else 2.0)


# Of a channel that float16 leaves constant, what the interpreter makes of masked places overflows; it is not stored.
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_maps_far_from_zero_are_normalised_as_exactly_as_by_modules(
    dtype: torch.dtype, offset: float, layout: str
) -> None:
    for training in (True, False):
        case = Case(shape=(4, 2, 9, 9), layout=layout, count=2, shift=offset, training=training, dtype=dtype)
        agrees_as_well(case, FUSED)


def test_two_values_a_channel_leave_next_to_no_gradient() -> None:
    agrees(Case(shape=(1, 4, 1, 2)), FUSED, 1e-10)


def test_constant_channels_have_no_gradient() -> None:
    inputs = build(Case(count=2, normed="y"))
    inputs.xs = [torch.full_like(x, 3.0).requires_grad_() for x in inputs.xs]
    found = results(ours(FUSED), inputs)
    assert not found["out"].any()
    assert not found["to weights"].any()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_nan_and_infinity_reach_what_depends_on_them_and_nothing_else(layout: str) -> None:
    inputs = build(Case(layout=layout, normed="nyn"))
    with torch.no_grad():
        inputs.xs[0][0, 0, 0, 0] = torch.inf
        inputs.xs[1][0, 1, 0, 0] = torch.nan
    found = results(ours(FUSED), inputs)
    assert found["out"][0, 0, 0, 0] == torch.inf and found["out"][0, 0, 1:].isfinite().all()
    assert found["out"][:, 1].isnan().all() and found["to x1"][:, 1].isnan().all()
    assert found["to x0"].isfinite().all() and found["to x1"][:, 0].isfinite().all()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_gradients_come_for_every_subset_of_inputs(layout: str) -> None:
    case = Case(shape=(2, 1, 3, 5), layout=layout, count=2)
    whole = results(ours(FUSED), build(case))
    for wanted in range(1, 8):
        inputs = build(case)
        for index, tensor in enumerate((*inputs.xs, inputs.weights)):
            tensor.requires_grad_(bool(wanted >> index & 1))
        found = results(ours(FUSED), inputs)
        names = {name for index, name in enumerate(("to x0", "to x1", "to weights")) if wanted >> index & 1}
        assert {name for name in found if name.startswith("to ")} == names
        assert all(torch.equal(found[name], whole[name]) for name in names)


@pytest.mark.parametrize("how", ["expanded", "transposed"])
def test_the_incoming_gradient_may_lie_anyhow(how: str) -> None:
    inputs, other = build(Case(shape=(2, 3, 5, 5))), build(Case(shape=(2, 3, 5, 5)))
    inputs.grad = inputs.grad[:1, :1].expand(2, 3, 5, 5) if how == "expanded" else inputs.grad.transpose(2, 3)
    other.grad = inputs.grad.contiguous()
    found, wanted = results(ours(FUSED), inputs), results(ours(FUSED), other)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_two_runs_agree_bit_by_bit() -> None:
    case = Case(shape=(3, 3, 9, 9), layout="channels_last", dtype=torch.float32)
    first, second = results(ours(FUSED), build(case)), results(ours(FUSED), build(case))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_was_asked_for_as_fused_ran_in_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    from genolang.kernels.mixed_sum import launch

    launched = []
    run = launch._run
    monkeypatch.setattr(
        launch, "_run", lambda kernel, *args, **how: (launched.append(kernel), run(kernel, *args, **how))
    )
    results(ours(FUSED), build(Case()))
    assert launched == ["slab_forward", "slab_backward"]
    launched.clear()
    results(ours(FUSED), build(Case(layout="channels_last")))
    assert launched == [
        "partial_statistics",
        "finish_statistics",
        "apply_forward",
        "partial_products",
        "apply_backward",
    ]

"""Relative attention on a CPU at every size that it is for, and what holds of all of them."""

import pytest
import torch
from exactness import OFFSETS, as_exact
from kernel_harness.relative_attention import Case, agrees, build, exactly, ours, results
from torch import Tensor

from genolang.kernels.dispatch import choose
from genolang.kernels.relative_attention import operator, reference, relative_attention, why

SIZES = [
    (1, 1),
    (1, 8),
    (8, 1),
    (5, 7),
    (8, 8),
    (14, 14),
    (3, 17),
    (16, 16),
    (20, 12),
    (28, 28),
    (32, 32),
    (33, 31),
    (56, 56),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_single_precision_is_as_exact_as_plain_operations_at_every_size(size: tuple[int, int]) -> None:
    inputs = build(Case(size=size, key=20, value=5, heads=1, batch=1, dtype=torch.float32))
    exact = results(reference.relative_attention, exactly(inputs))
    plain = results(ours("reference"), inputs)
    for use in ("cpu", "augmented"):
        as_exact(results(ours(use), inputs), plain, exact)


@pytest.mark.parametrize("use", ["cpu", "augmented"])
@pytest.mark.parametrize("offset", OFFSETS)
def test_keys_far_from_zero_weigh_as_exactly_as_in_plain_operations(offset: float, use: str) -> None:
    inputs = build(Case(size=(6, 5), key=4, value=5, heads=2, offset=offset, dtype=torch.float32))
    exact = results(reference.relative_attention, exactly(inputs))
    as_exact(results(ours(use), inputs), results(ours("reference"), inputs), exact)


def packs() -> bool:
    """Whether torch's attention takes bfloat16 with what the processor may use: not under a lower
    `ATEN_CPU_CAPABILITY` than its own, in torch 2.13."""
    x = torch.zeros(1, 1, 256, 64, dtype=torch.bfloat16)
    try:
        torch.nn.functional.scaled_dot_product_attention(x, x, x)
    except RuntimeError as fault:
        assert "pack_vnni2" in str(fault)
        return False
    return True


@pytest.mark.parametrize("use", ["cpu", "augmented"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [(5, 7), (14, 14), (20, 12)], ids=str)
def test_half_precision_is_as_exact_as_plain_operations(size: tuple[int, int], dtype: torch.dtype, use: str) -> None:
    if use == "augmented" and dtype == torch.bfloat16 and not packs():
        pytest.skip("torch's own attention in bfloat16 fails where it may not use what the processor has")
    inputs = build(Case(size=size, key=20, value=5, heads=1, batch=1, dtype=dtype))
    exact = results(reference.relative_attention, exactly(inputs))
    as_exact(results(ours(use), inputs), results(ours("reference"), inputs), exact, 4.0)


@pytest.mark.parametrize("key", [1, 8, 16, 20, 24, 32, 33, 40, 48, 64])
@pytest.mark.parametrize("value", [5, 64])
def test_heads_may_have_any_number_of_dimensions(key: int, value: int) -> None:
    for use in ("cpu", "augmented"):
        agrees(Case(size=(3, 4), key=key, value=value, heads=1, batch=1), use, 1e-12)


@pytest.mark.parametrize("heads", [1, 3, 8])
@pytest.mark.parametrize("size", [(4, 3), (20, 17)], ids=str)
def test_heads_may_be_any_number(heads: int, size: tuple[int, int]) -> None:
    agrees(Case(size=size, heads=heads, batch=1), "cpu", 1e-12)


@pytest.mark.parametrize("size", [(5, 7), (20, 17)], ids=str)
def test_nothing_is_left_unwritten_and_two_runs_agree_bit_by_bit(size: tuple[int, int]) -> None:
    case = Case(size=size, key=20, heads=3, dtype=torch.float32)
    found = []
    for _ in range(2):
        # What torch.empty gives is then full of NaN.
        torch._C._set_deterministic_algorithms(True)
        try:
            found.append(results(ours("cpu"), build(case)))
        finally:
            torch._C._set_deterministic_algorithms(False)
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert all(tensor.isfinite().all() for tensor in found[0].values())


def test_an_infinite_key_does_not_reach_the_other_image() -> None:
    inputs = build(Case(size=(3, 4)))
    with torch.no_grad():
        inputs.qkv[0, 8, 1, 1] = torch.inf
    found = results(ours("cpu"), inputs)
    assert not found["out"][0].isfinite().all() and found["out"][1].isfinite().all()


@pytest.mark.parametrize("size", [(0, 7), (5, 0)])
@pytest.mark.parametrize("use", [None, "cpu", "augmented", "reference"])
def test_a_map_without_pixels_has_an_empty_result_and_no_gradient(size: tuple[int, int], use: str | None) -> None:
    inputs = [torch.ones(s, requires_grad=True) for s in ((2, 22, *size), (9, 4), (13, 4))]
    out = relative_attention(*inputs, 2, use=use)
    out.sum().backward()
    assert out.shape == (2, 6, *size) and not any(t.grad is None or t.grad.any() for t in inputs)


# Where there is neither a fused kernel nor a CPU


def test_what_no_kernel_takes_is_computed_without_the_logits_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "reference", None)
    large = build(Case(size=(1, 65), batch=1)).tensors
    away = tuple(t.detach().to("meta") for t in large)
    assert choose(operator.kernel_for(*away, 2), away) == "augmented"
    assert relative_attention(*away, 2).shape == (1, 6, 1, 65)
    assert why(*away, 2).startswith("relative_attention runs as augmented: the inputs are not on a GPU")


class Recorded(torch.overrides.TorchFunctionMode):
    """The most elements of any tensor that an operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = function(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.most = max(self.most, found.numel())
        return found


def test_augmented_attention_makes_no_tensor_of_all_pairs() -> None:
    inputs = build(Case(size=(16, 16), heads=2, batch=1, dtype=torch.float32))
    with torch.no_grad():
        with Recorded() as augmented:
            relative_attention(*inputs.tensors, 2, use="augmented")
        with Recorded() as whole:
            relative_attention(*inputs.tensors, 2, use="reference")
    assert whole.most >= 2 * 256 * 256 > 4 * augmented.most

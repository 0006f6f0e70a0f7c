"""What only a GPU can show: kernels against float64, whole networks fused against plain, bitwise repeats.

Run by `benches/gpu.sh`; without a GPU every test is skipped.
"""

from functools import partial

import pytest
import torch
from torch import Tensor

from genolang.api import load
from genolang.bench.asked import Asked
from genolang.bench.competitors import flex_attention
from genolang.bench.forms import CapturedForm, Form
from genolang.bench.kernels import (
    SMALL,
    TOLERANCE,
    Case,
    attention_case,
    mask_case,
    mixed_sum_case,
    placed,
    recalibration_case,
)
from genolang.bench.networks import network_subjects
from genolang.bench.subject import apart
from genolang.kernels import dispatch
from genolang.kernels.relative_attention import reference

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
CASES = ["sum", "attention", "mixed", "spatial", "channel", "recalibration"]


def case(name: str) -> Case:
    if name == "sum":
        return mixed_sum_case(SMALL.sums[0], CUDA)
    if name == "attention":
        return attention_case(SMALL.attentions[0], CUDA)
    return recalibration_case(SMALL.masks[0]) if name == "recalibration" else mask_case(name, SMALL.masks[0])


def form(found: Case, dtype: torch.dtype, use: str, sets: int = 1) -> Form:
    run = partial(found.call, use=use)
    return Form(run, [placed(found.leaves(seed), CUDA, dtype) for seed in range(sets)])


def results(one: Form) -> list[Tensor]:
    output, gradients = one.work()
    return [output.clone(), *(g.clone() for g in gradients if g is not None)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_every_fused_kernel_agrees_with_plain_operations(name: str, dtype: torch.dtype) -> None:
    found, right = (results(form(case(name), dtype, use)) for use in (dispatch.FUSED, dispatch.REFERENCE))
    assert apart(found, right) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_two_runs_of_a_kernel_are_bitwise_equal(name: str, dtype: torch.dtype) -> None:
    first, second = (results(form(case(name), dtype, dispatch.FUSED)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_captured_kernel_computes_what_it_computed_before_for_every_set(name: str) -> None:
    plain = form(case(name), torch.float32, dispatch.FUSED, sets=3)
    captured = CapturedForm(plain, CUDA)
    captured.prepare()
    for turn in (2, 0, 1, 2):
        output = captured.forward(turn)
        gradients = captured.backward(turn, output)
        again = plain.forward(turn)
        assert torch.equal(output, again)
        for mine, theirs in zip(gradients, plain.backward(turn, again), strict=True):
            assert mine is None or torch.equal(mine, theirs)


def test_the_shapes_that_are_timed_get_fused_kernels() -> None:
    for subject in Asked("kernels", CUDA, dtypes=["bfloat16"]).subjects():
        assert f"runs as {dispatch.FUSED}" in subject.why, (subject.name, subject.shape)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (14, 14), (20, 12), (33, 31), (56, 56)])
@pytest.mark.parametrize(("key", "value"), [(40, 40), (160, 32), (80, 20)])
def test_attention_agrees_with_the_float64_reference(size: tuple[int, int], key: int, value: int) -> None:
    from genolang.kernels.relative_attention import relative_attention

    H, W = size
    draw = torch.Generator().manual_seed(H)
    sizes = [(2, 2 * key + value, H, W), (2 * H - 1, key // 4), (2 * W - 1, key // 4)]
    inputs = [torch.randn(s, generator=draw, dtype=torch.float64).to(CUDA) for s in sizes]

    def run(tensors: list[Tensor], use: str | None) -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in tensors]
        out = relative_attention(*leaves, 4, use=use)
        weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64, device=CUDA).view(out.shape)
        out.backward(weights.to(out.dtype))
        return [out.detach(), *(t.grad for t in leaves if t.grad is not None)]

    want = run(inputs, "reference")
    found = run([t.float() for t in inputs], None)
    for mine, theirs in zip(found, want, strict=True):
        scale = max(float(theirs.abs().max()), 1e-9)
        assert float((mine.double() - theirs).abs().max()) <= 2e-3 * scale


def test_flex_attention_computes_the_same() -> None:
    leaves = placed(attention_case(SMALL.attentions[0], CUDA).leaves(0), CUDA, torch.float32)
    want = reference.relative_attention(*leaves, 2)
    found = torch.compile(flex_attention)(leaves, 2)
    assert torch.allclose(found, want, atol=1e-3, rtol=1e-3)
    assert all(g is not None for g in torch.autograd.grad(found.sum(), leaves))


@pytest.mark.parametrize(
    ("spec", "params"),
    [("darts/search", {"channels": 4, "depth": 3}), ("att_darts/search", {"channels": 4, "depth": 2})],
)
def test_a_supernet_step_agrees_with_the_plain_reference(spec: str, params: dict[str, int]) -> None:
    for subject in network_subjects(load(spec).network(**params), [4], CUDA):
        assert subject.distances()["fused"] <= subject.tolerance

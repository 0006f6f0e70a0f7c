"""What only a GPU can show: kernels against float64, whole networks fused against plain, bitwise repeats.

Run by `benches/gpu.sh`; without a GPU every test is skipped.
"""

import pytest
import torch
from torch import Tensor

from genolang.api import load
from genolang.bench.kernels import kernel_subjects
from genolang.bench.networks import network_subjects
from genolang.bench.subject import Subject
from genolang.kernels import dispatch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def subjects(dtype: torch.dtype) -> list[Subject]:
    return list(kernel_subjects(CUDA, [dtype], (), small=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_kernel_is_fused_here_and_agrees_with_eager(dtype: torch.dtype) -> None:
    for subject in subjects(dtype):
        assert f"runs as {dispatch.FUSED}" in subject.why
        assert subject.distance() <= subject.tolerance, subject.name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_two_runs_of_a_kernel_are_bitwise_equal(dtype: torch.dtype) -> None:
    for subject in subjects(dtype):
        first, second = (subject.results(subject.variants["fused"]) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)), subject.name


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
    torch.backends.cuda.matmul.allow_tf32 = False
    for mine, theirs in zip(found, want, strict=True):
        scale = max(float(theirs.abs().max()), 1e-9)
        assert float((mine.double() - theirs).abs().max()) <= 2e-3 * scale


@pytest.mark.parametrize(
    ("spec", "params"), [("darts/search", {"channels": 4, "depth": 3}), ("att_darts/search", {"channels": 4, "depth": 2})]
)
def test_a_supernet_step_agrees_with_the_plain_reference(spec: str, params: dict[str, int]) -> None:
    for subject in network_subjects(load(spec).network(**params), [4], CUDA, ()):
        assert subject.distance() <= subject.tolerance


def test_a_whole_step_can_be_captured_as_a_graph() -> None:
    module = load("darts/search").network(channels=4, depth=2).module().to(CUDA)
    images = torch.randn(4, 3, 32, 32, device=CUDA)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            module(images).sum().backward()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    for p in module.parameters():
        p.grad = None
    with torch.cuda.graph(graph):
        module(images).sum().backward()
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)

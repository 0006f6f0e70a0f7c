import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from reference.pouring import compiled
from shipped import images, outputs, randomise, small
from torch import Tensor

from genolang.api import Network

SUPERNET = """geno 1
import std.ops, std.attention
choice operation = none | skip | max_pool(3) | sep_conv(3)
choice gate = identity | se(r=2) | double_attention
cell normal(prev, channels=4) {
  inputs s0 = prev -> relu_conv_bn(channels)
  nodes  n1, n2
  edges  earlier -> each : operation -> gate -> drop_path
  return concat(n1, n2)
}
network supernet {
  input image(3, 9, 7)
  cells 1 of normal
  head  global_avg_pool -> linear(3)
}
"""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def step(network: Network, backend: str | None) -> tuple[list[Tensor], list[Tensor]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = network.module().double().train()
    randomise(module)
    run = module if backend is None else torch.compile(module, backend=backend, fullgraph=True)
    found = outputs(run, images(network, 2))
    sum(output.square().mean() for output in found).backward()
    weights = [*module.parameters(), *module.choices.values()]
    gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    return [o.detach() for o in found], gradients


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("kind", ["supernet", "discrete"])
def test_a_whole_network_is_one_graph_for_torch(kind: str, backend: str) -> None:
    network = compiled(SUPERNET) if kind == "supernet" else small("darts/v2", "cifar", depth=2)
    for here, there in zip(step(network, backend), step(network, None), strict=True):
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_network_runs_through_inductor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its cache knows code by its text, not by the instructions that ATEN_CPU_CAPABILITY allows.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    network = compiled("""geno 1
import std.ops, std.attention
network n {
  input image(3, 9, 7)
  stem  conv(3, 4) -> se(r=2)
  head  global_avg_pool -> linear(3)
}
""")
    for here, there in zip(step(network, "inductor"), step(network, None), strict=True):
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)

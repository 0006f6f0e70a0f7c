import shutil
from collections.abc import Iterator

import pytest
import torch
from reference.pouring import compiled
from shipped import images, outputs, randomise, small
from torch import Tensor

from genolang.api import Network


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def step(network: Network, backend: str | None) -> tuple[list[Tensor], list[Tensor]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = network.module().train()
    randomise(module)
    run = module if backend is None else torch.compile(module, backend=backend, fullgraph=True)
    found = outputs(run, images(network, 2).float())
    sum(output.square().mean() for output in found).backward()
    weights = [*module.parameters(), *module.choices.values()]
    gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    return [o.detach() for o in found], gradients


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(("spec", "name"), [("quickstart", "digits"), ("darts/v2", "cifar")])
def test_a_whole_network_is_one_graph_for_torch(spec: str, name: str, backend: str) -> None:
    network = small(spec, name, depth=1 if spec == "quickstart" else 2)
    for here, there in zip(step(network, backend), step(network, None), strict=True):
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_network_runs_through_inductor() -> None:
    network = compiled("""geno 1
import std.ops, std.attention
network n {
  input image(3, 9, 7)
  stem  conv(3, 4) -> batch_norm -> (zeros(1) | identity | max_pool(3)) -> se(r=2)
  head  global_avg_pool -> linear(3)
}
""")
    for here, there in zip(step(network, "inductor"), step(network, None), strict=True):
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)

"""Gradients of supernets and networks in single precision are as exact fused as they are layer by layer."""

from __future__ import annotations

from statistics import median

import pytest
import torch
from exactness import off_by
from reference.pouring import compiled
from shipped import images, small
from torch import Tensor
from torch.nn.functional import cross_entropy

from genolang.api import Network

EPS = torch.finfo(torch.float32).eps
NAS_BENCH_201 = """geno 1
import std.ops, nas_bench_201.networks
choice operation = none | skip | nor_conv(1) | nor_conv(3) | avg_pool(3)
cell searched(prev, channels=16) {
  inputs s = prev
  nodes  n1, n2, n3
  edges  earlier -> each : operation
  return n3
}
network supernet = nas_bench_201(searched, channels=4, repeats=1, classes=3)
"""


def step(network: Network, dtype: torch.dtype, *, fused: bool, batch: int) -> dict[str, Tensor]:
    """The answer, and all gradients of a loss: to the images, the weights and the choices' logits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = network.module(fused=fused).to(dtype)
    image = images(network, batch).to(dtype).requires_grad_()
    answer = module(image)
    cross_entropy(answer, torch.arange(batch) % answer.shape[1]).backward()
    leaves = {"image": image, **dict(module.named_parameters()), **module.choices}
    return {"": answer.detach()} | {n: leaf.grad for n, leaf in leaves.items() if leaf.grad is not None}


def errors(network: Network, batch: int) -> list[dict[str, float]]:
    """Of the fused form and of the plain one."""
    return [
        off_by(lambda dtype, fused=fused: step(network, dtype, fused=fused, batch=batch)) for fused in (True, False)
    ]


def as_exact_as_plain(network: Network, batch: int) -> None:
    mine, theirs = errors(network, batch)
    assert mine.keys() == theirs.keys() and len(mine) > 10
    for of in (max, median):
        assert of(mine.values()) <= 10 * max(of(theirs.values()), EPS), of
    for name in ("", "image"):
        assert mine[name] <= 10 * max(theirs[name], EPS), name


@pytest.mark.parametrize(
    "spec, name",
    [
        ("darts/search", "supernet"),
        pytest.param("att_darts/search", "supernet", marks=pytest.mark.soak),
        pytest.param("att_darts/product", "supernet", marks=pytest.mark.soak),
        ("ean/clutter", "dia_search"),
        ("ean/resnet164", "sge_shared"),
        ("aacn/clutter", "shares"),
        ("aacn/wide_resnet", "aa_wrn28_10"),
    ],
)
def test_a_shipped_network(spec: str, name: str) -> None:
    as_exact_as_plain(small(spec, name), 2)


def test_a_supernet_of_nas_bench_201() -> None:
    as_exact_as_plain(compiled(NAS_BENCH_201, "supernet"), 2)

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from reference.pouring import compiled
from shipped import images, outputs, randomise, small
from torch import Tensor

from genolang.api import Network
from genolang.compiler import driver
from genolang.compiler.ir import Graph, build_graph, to_text, verify
from genolang.compiler.passes import TRAINING
from genolang.compiler.report.effects import effects

NAMES = [step.name for step in TRAINING]
MIXED = """geno 1
import std.ops, std.attention
choice mask = sigmoid | tanh -> sigmoid | conv(1) -> sigmoid combine product
op noise = (x -> dropout(0.5)) + (x -> dropout(0.5)) + (x -> drop_path) + (x -> drop_path)
op wide = (x -> global_avg_pool) + none(x) + (x -> global_avg_pool)
op dead { unused = x -> conv(3) -> relu
  require unused.C > 0
  return x -> conv(1) }
op twice { h = sep_conv(3) -> batch_norm
  return h(x) + (h(x -> subsample(2)) -> resize(like=x)) + (x -> relu) * (x -> relu) }
network n {
  input image(3, 9, 7)
  stem  conv(3, 4) -> noise -> wide -> dead -> x_mask -> (none | skip | max_pool | sep_conv(3)) -> twice
  stem  last
  head  global_avg_pool -> linear(3)
}
op x_mask = x * (x -> mask)
op last = (x -> (none | zeros(1))) + x + none(x)
"""
# Branches over one map that differ in one thing each, down to their norms.
NORMS = """geno 1
op unit(k=3, affine=true, eps=1e-5, momentum=0.1) {
  return x -> relu -> conv(k, groups=C) -> conv(1) -> batch_norm(affine=affine, eps=eps, momentum=momentum)
}
op again(affine=true) = unit -> unit(affine=affine)
op all = unit + unit(affine=false) + unit(eps=0.5) + unit(momentum=0.7) + unit(k=5, affine=false) + unit(affine=false)
op deeper = again + again(affine=false) + again(affine=false) + again
network n {
  input image(3, 9, 7)
  stem  conv(3, 4) -> all -> deeper
  head  global_avg_pool -> linear(3)
}
"""
NETWORKS: dict[str, Callable[[], Network]] = {
    "mixed": lambda: compiled(MIXED),
    "norms": lambda: compiled(NORMS),
    "discrete": lambda: small("att_darts/found", "cifar", depth=3),
    "supernet": lambda: small("quickstart", depth=1),
}


def step(module: Any, image: Tensor) -> list[Tensor]:
    """Outputs, gradients and state of one training step."""
    module.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        found = outputs(module.train(), image)
    sum(output.square().mean() for output in found).backward()
    tensors = [*module.parameters(), *module.choices.values()]
    gradients = [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors]
    return [*(o.detach() for o in found), *gradients, *module.state_dict().values()]


@pytest.mark.parametrize("name", NETWORKS)
def test_each_pass_keeps_results_gradients_and_names(name: str) -> None:
    network = NETWORKS[name]()
    image = images(network, 2)
    plain: Any = driver.to_module(network.program, fused=False).double()
    randomise(plain)
    state = {key: tensor.clone() for key, tensor in plain.state_dict().items()}
    expected = step(plain, image)
    for without in [[], *([n for n in NAMES if n != one] for one in NAMES), *([n] for n in NAMES)]:
        module: Any = driver.to_module(network.program, without=without).double()
        assert list(module.state_dict()) == list(state), without
        module.load_state_dict(state)
        for key, logits in plain.choices.items():
            module.choices[key] = logits.detach()
        for one, other in zip(step(module, image), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9, msg=lambda m, w=without: f"{w}: {m}")


@pytest.mark.parametrize("name", NETWORKS)
def test_each_pass_changes_nothing_the_second_time(name: str) -> None:
    graph = build_graph(NETWORKS[name]().program.block)
    for step_ in TRAINING:
        graph = step_.run(graph)
        verify(graph, step_.name)
        assert to_text(step_.run(graph)) == to_text(graph), step_.name


@pytest.mark.parametrize("name", NETWORKS)
def test_no_pass_changes_the_graph_that_it_was_given(name: str) -> None:
    graph = build_graph(NETWORKS[name]().program.block)
    for step_ in TRAINING:
        before = to_text(graph)
        after = step_.run(graph)
        assert to_text(graph) == before, step_.name
        graph = after


def bodies(graph: Graph) -> list[Graph]:
    return [body for _, node, _ in graph if (body := node.body) is not None]


def test_a_cell_that_stands_several_times_is_compiled_once() -> None:
    for without in ([], ["inline"], NAMES):
        graph = driver.build(small("darts/v2", "cifar", depth=12).program, without=without)
        normal = [body for body in bodies(graph) if body.name == "normal"]
        assert len(normal) == 10
        assert len({id(body) for body in normal}) == 7, "three stages, and what their first two cells see"


def test_draws_of_random_numbers_are_never_shared() -> None:
    graph = driver.build(compiled(MIXED).program)
    (noise,) = [body for body in bodies(graph) if body.name == "noise"]
    layers = [node.layer for _, node, _ in noise]
    assert (layers.count("dropout"), layers.count("drop_path")) == (2, 2)


def test_a_zero_that_gives_a_sum_its_size_stays() -> None:
    network = compiled(MIXED)
    graph = driver.build(network.program)
    (wide,) = [body for body in bodies(graph) if body.name == "wide"]
    assert "zeros" in [node.layer for _, node, _ in wide]


def test_what_a_pass_changed_can_be_told() -> None:
    network = small("quickstart", depth=3)
    found = {effect.name: effect for effect in effects(build_graph(network.program.block))}
    assert list(found) == NAMES
    assert found["inline"].changes == found["prune"].changes == ()
    assert {c.layer for c in found["zeros"].changes} == {"zeros"}
    relu = [c for c in found["share"].changes if c.layer == "relu"]
    assert {c.file for c in relu} == {"std/ops.geno"} and all(c.count > 0 for c in relu)
    sizes = [(e.nodes_before, e.nodes_after) for e in found.values()]
    assert all(after == before for (_, after), (before, _) in pairwise(sizes))
    assert found[NAMES[-1]].nodes_after == driver.build(network.program).size()


def test_an_effect_counts_merged_layers_by_their_line() -> None:
    text = """geno 1
op pair = (x -> relu) + (x -> relu) + (x -> relu)
network n {
  input image(1, 2, 2)
  stem  pair
  head  global_avg_pool -> linear(2)
}
"""
    share = effects(build_graph(compiled(text).program.block))[NAMES.index("share")]
    assert [(c.layer, c.line, c.count) for c in share.changes] == [("relu", 2, 2)]
    assert (share.nodes_before - share.nodes_after) == 2

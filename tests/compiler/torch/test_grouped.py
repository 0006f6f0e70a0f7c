"""Layers of one kind as one call, as a GPU has it: forced on a CPU, since the sums are the same."""

from collections import Counter
from typing import Any

import pytest
import torch
from reference.pouring import compiled
from shipped import images, outputs, randomise, small
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from genolang.api import Network
from genolang.compiler import driver
from genolang.compiler.torch import made_nodes
from genolang.compiler.torch.grouped import Row, as_one, side_by_side
from genolang.compiler.torch.layers import BatchNorm

# Four depthwise chains of one window that leave one map, with scale and shift; the second ends in another size.
CHAINS = """geno 1
import std.ops
op chain(k) = conv(k, groups=4) -> conv(1, 6) -> batch_norm -> relu -> conv(k, groups=6) -> conv(1, 5) -> batch_norm
op four { a = x -> relu
  return (a -> chain(3)) + (a -> chain(3)) * (a -> chain(3)) + (a -> chain(3)) * (a -> chain(5)) }
network n {
  input image(3, 9, 7)
  stem  conv(3, 4) -> four
  head  global_avg_pool -> linear(3)
}
"""


NO_WORK = {"aten.detach", "aten.empty_like", "aten.new_empty", "aten._unsafe_view", "aten.empty"}


class Calls(TorchDispatchMode):
    """Counts the operations that reach a device."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view and str(func.overloadpacket) not in NO_WORK:
            self.counts[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_nodes, "formulated", lambda x: False)
    monkeypatch.setattr(made_nodes, "as_one", lambda x: True)


NETWORKS = {
    "chains": lambda: compiled(CHAINS),
    "supernet": lambda: small("darts/search", depth=1),
    "discrete": lambda: small("darts/v2", "cifar", depth=3),
}


def step(module: Any, image: Tensor) -> list[Tensor]:
    """Outputs, gradients and state of one training step."""
    module.zero_grad()
    found = outputs(module.train(), image)
    sum(output.square().mean() for output in found).backward()
    tensors = [*module.parameters(), *module.choices.values()]
    gradients = [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors]
    return [*(o.detach() for o in found), *gradients, *module.state_dict().values()]


def pair_of(network: Network) -> tuple[Any, Any]:
    """The network with its passes and plain, with the same weights and logits."""
    plain: Any = driver.to_module(network.program, fused=False).double()
    randomise(plain)
    module: Any = driver.to_module(network.program).double()
    module.load_state_dict(plain.state_dict())
    for key, logits in plain.choices.items():
        module.choices[key] = logits.detach()
    return module, plain


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_in_one_call_give_what_they_give_apart(name: str) -> None:
    network = NETWORKS[name]()
    module, plain = pair_of(network)
    image = images(network, 3)
    for one, other in zip(step(module, image), step(plain, image), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    module.eval(), plain.eval()
    with torch.no_grad():
        torch.testing.assert_close(module(image), plain(image), rtol=1e-9, atol=1e-9)


def calls(module: Any, image: Tensor) -> Counter[str]:
    with Calls() as found:
        step(module, image)
    return found.counts


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_supernet_makes_a_third_fewer_convolutions_and_fewer_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS["supernet"]()
    module, _ = pair_of(network)
    image = images(network, 2)
    together = calls(module, image)
    monkeypatch.setattr(made_nodes, "as_one", lambda x: False)
    apart = calls(module, image)
    assert together["aten.convolution"] < 0.7 * apart["aten.convolution"]
    assert together["aten.convolution_backward"] < 0.7 * apart["aten.convolution_backward"]
    assert sum(together.values()) < sum(apart.values())


@pytest.mark.usefixtures("as_on_a_gpu")
def test_batch_norms_of_different_modes_stay_apart() -> None:
    network = NETWORKS["chains"]()
    module, plain = pair_of(network)
    for one in (module, plain):
        one.train()
        next(m for m in one.modules() if isinstance(m, BatchNorm)).eval()
    image = images(network, 2)
    torch.testing.assert_close(module(image), plain(image), rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_single_value_a_channel_is_refused_as_ever() -> None:
    module = compiled(CHAINS.replace("image(3, 9, 7)", "image(3, 1, 1)")).module().train()
    with pytest.raises(ValueError, match="a single value per channel"):
        module(torch.randn(1, 3, 1, 1))


def test_a_cpu_keeps_the_forms_that_were_measured_there() -> None:
    assert not as_one(torch.randn(2, 3, 4, 4))


def test_parts_of_one_map_are_put_together_without_a_copy_and_others_with_one() -> None:
    whole = torch.randn(2, 6, 3, 5, requires_grad=True) * 1
    parts = whole.chunk(3, 1)
    assert side_by_side(parts) is whole
    for some in (parts[:2], parts[::-1], [p.clone() for p in parts], [parts[0], parts[1], parts[1]]):
        found = side_by_side(some)
        assert found is not whole and torch.equal(found, torch.cat([*some], 1))


def test_maps_of_a_row_are_copied_apart_all_at_once_and_only_when_asked_for() -> None:
    whole = torch.randn(2, 6, 3, 5)
    with Calls() as found:
        results = Row(whole, 3).results()
    assert not found.counts
    with Calls() as found:
        maps = [result.alone() for result in results]
    assert sum(found.counts.values()) == 1
    assert all(m.is_contiguous() and torch.equal(m, r.map) for m, r in zip(maps, results, strict=True))

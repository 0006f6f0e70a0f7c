import copy
from typing import Any

import pytest
import torch
from reference.pouring import compiled
from shipped import images, outputs, randomise, small
from torch import nn
from train.refused import refused

from genolang.compiler.torch.layers import DropPath

NAMES = """geno 1
op half = conv(3) -> batch_norm
op type = half -> relu
op to(k=1) = conv(k, bias=true)
op eval = to -> dropout(0.5)
attention train(r=2) {
  training = x -> global_avg_pool -> linear(C // r) -> relu
  parameters = training -> linear(C)
  return x * sigmoid(parameters)
}
choice forward = half | to(3) | identity
cell state_dict(prev, channels=4) {
  inputs training = prev -> conv(1, channels)
  nodes  _modules, choices
  edges  earlier -> each : forward -> train -> drop_path
  return concat(_modules, choices)
}
network n(depth=2) {
  input image(3, 9, 6)
  stem  conv(1, 4) -> type -> eval
  cells depth of state_dict
  head  global_avg_pool -> linear(3)
}
"""
ATTENTION = ["double_attention"]
ATTENTION += [f"{name}(r=2)" for name in ("se", "ge", "bam", "bam_code", "cbam", "cbam_code")]


def simple(stem: str, size: tuple[int, int] = (9, 7)) -> Any:
    return compiled(f"""geno 1
import std.ops, std.attention
network n {{
  input image(4, {size[0]}, {size[1]})
  stem  {stem}
  head  global_avg_pool -> linear(3)
}}
""")


@pytest.mark.parametrize("fused", [True, False])
def test_definitions_may_be_called_what_torch_calls_its_own(fused: bool) -> None:
    network = compiled(NAMES)
    module = network.module(fused=fused).double()
    assert "cells.0.training.conv.weight" in module.state_dict()
    assert "stem.type.half.conv.weight" in module.state_dict()
    for training in (True, False):
        module.train(training)
        assert all(m.training == training for m in module.modules())
        (found,) = outputs(module, images(network, 2))
        assert found.shape == (2, 3)
    again: Any = copy.deepcopy(module)
    again.load_state_dict(module.state_dict())
    assert torch.equal(again(images(network, 2)), module(images(network, 2)))


def test_a_copy_stands_for_itself() -> None:
    network = small("quickstart", depth=2)
    module = network.module().double().eval()
    randomise(module)
    image = images(network, 2)
    before = module(image)
    other = copy.deepcopy(module)
    assert torch.equal(other(image), before)
    with torch.no_grad():
        for tensor in (*other.parameters(), *other.choices.values()):
            tensor.add_(1)
    assert torch.equal(module(image), before) and not torch.equal(other(image), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_logits_of_choices_move_with_the_module(dtype: torch.dtype) -> None:
    network = small("quickstart", depth=2)
    module = network.module()
    module.choices["normal.gate"] = torch.arange(36.0).reshape(9, 4)
    assert module.to(dtype) is module
    norms = {id(t) for m in module.modules() if isinstance(m, nn.BatchNorm2d) for t in m.parameters()}
    moved = [t for t in (*module.parameters(), *module.choices.values()) if id(t) not in norms]
    assert {t.dtype for t in moved} == {dtype}
    assert all(t.requires_grad and t.is_leaf for t in module.choices.values())
    assert module.choices["normal.gate"].flatten().tolist() == list(range(36))
    (found,) = outputs(module, images(network, 2).to(dtype))
    found.sum().backward()
    assert all(t.grad is not None for t in module.choices.values())


def test_a_module_that_stays_where_it_is_keeps_its_logits() -> None:
    module = small("quickstart", depth=2).module()
    before = dict(module.choices)
    module.to(torch.float32)
    assert all(module.choices[key] is tensor for key, tensor in before.items())


def test_choices_are_read_and_set_by_name() -> None:
    module = small("quickstart", depth=2).module()
    assert set(module.choices) == {
        f"{cell}.{choice}" for cell in ("normal", "reduction") for choice in ("operation", "gate")
    }
    tensor = module.choices["normal.operation"]
    module.choices["normal.operation"] = torch.ones(9, 6)
    assert module.choices["normal.operation"] is tensor and bool((tensor == 1).all())
    assert len(module.choices) == 4
    owned = {id(p) for p in module.parameters()}
    assert not owned & {id(t) for t in module.choices.values()}
    assert not any("gate" in key.split(".")[-1] for key in module.state_dict())


def test_wrong_logits_are_refused() -> None:
    module = small("quickstart", depth=2).module()
    with refused("G415", "normal.operation", "(9, 6)", "(9, 5)"):
        module.choices["normal.operation"] = torch.zeros(9, 5)
    with pytest.raises(KeyError, match=r"no choice set 'normal.operatoin'.*normal.operation"):
        module.choices["normal.operatoin"]
    with pytest.raises(KeyError, match="no choice set"):
        module.choices["gate"] = torch.zeros(1)
    with pytest.raises(TypeError, match="cannot be removed"):
        del module.choices["normal.gate"]


def test_state_with_batch_counters_loads() -> None:
    module = small("darts/v2", "cifar", depth=2).module()
    state = dict(module.state_dict())
    norms = [k.removesuffix("running_mean") for k in state if k.endswith("running_mean")]
    counted = {**state, **{f"{norm}num_batches_tracked": torch.tensor(3) for norm in norms}}
    assert len(counted) > len(state)
    module.load_state_dict(counted)
    assert not any("num_batches" in key for key in module.state_dict())
    with pytest.raises(RuntimeError, match="Unexpected key"):
        module.load_state_dict({**state, "stem.conv.num_batches_tracked": torch.tensor(3)})


def test_one_image_alone_cannot_train_a_norm_of_pooled_maps() -> None:
    network = simple("bam_code(r=2)")
    module = network.module().train()
    with pytest.raises(ValueError, match="batch norm cannot train on a single value per channel"):
        module(images(network, 1).float())
    assert module(images(network, 2).float()).shape == (2, 3)
    assert module.eval()(images(network, 1).float()).shape == (1, 3)


def test_dropped_paths_keep_the_mean() -> None:
    layer = DropPath().train()
    layer.p = 0.3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = layer(torch.ones(200_000, 1, 1, 1))
    kept = found > 0
    assert abs(float(found.mean()) - 1) < 0.01
    assert abs(float(kept.float().mean()) - 0.7) < 0.01
    torch.testing.assert_close(found[kept], torch.full_like(found[kept], 1 / 0.7))


def test_a_dropped_sample_is_dropped_whole() -> None:
    layer = DropPath().train()
    layer.p = 0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = layer(torch.ones(64, 3, 2, 2))
    sums = set(found.sum((1, 2, 3)).tolist())
    assert sums == {0.0, 24.0}


@pytest.mark.parametrize("fused", [True, False])
def test_drop_path_is_set_everywhere_and_only_acts_in_training(fused: bool) -> None:
    network = small("darts/v2", "cifar", depth=2, auxiliary=False)
    module = network.module(fused=fused).double()
    randomise(module)
    image = images(network, 4)
    plain = module.eval()(image)
    module.set_drop_path(0.9)
    drops = [m for m in module.modules() if isinstance(m, DropPath)]
    assert drops and all(m.p == 0.9 for m in drops)
    assert torch.equal(module(image), plain)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(module.train()(image), module(image))
    module.set_drop_path(0.0)
    assert torch.equal(module(image), module(image))


@pytest.mark.parametrize("size", [(9, 7), (5, 12), (1, 3), (8, 8)])
@pytest.mark.parametrize("attention", ATTENTION)
def test_attention_works_on_odd_and_oblong_maps(attention: str, size: tuple[int, int]) -> None:
    network = simple(attention, size)
    results = []
    for fused in (True, False):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = network.module(fused=fused).double()
        randomise(module)
        (found,) = outputs(module.train(), images(network, 3))
        found.square().sum().backward()
        results.append([found.detach(), *(p.grad for p in module.parameters())])
    for one, other in zip(*results, strict=True):
        assert one is not None and other is not None and bool(one.isfinite().all())
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_a_network_runs_on_other_sizes_than_it_declares() -> None:
    network = small("darts/v2", "cifar", depth=3, auxiliary=False)
    module = network.module().double().eval()
    for size in ((32, 32), (17, 40), (9, 9)):
        assert module(images(network, 2, size)).shape == (2, 3)


@pytest.mark.parametrize("fused", [True, False])
def test_a_fraction_scales_and_shifts_a_map(fused: bool) -> None:
    network = compiled("""geno 1
op third = x * (1 / 3) + 1 / 4 - 2
network n {
  input image(2, 1, 1)
  stem  third
  head  linear(2)
}
""")
    module = network.module(fused=fused).double()
    weight: Any = dict(module.named_parameters())
    with torch.no_grad():
        weight["head.linear.weight"].copy_(torch.eye(2))
        weight["head.linear.bias"].zero_()
    image = images(network, 2)
    torch.testing.assert_close(module(image), image.flatten(1) / 3 - 1.75)


def test_the_auxiliary_head_answers_in_training_only() -> None:
    network = small("darts/v2", "cifar", depth=3)
    module = network.module().double()
    assert module.auxiliary_weight == 0.4
    assert [o.shape for o in outputs(module.train(), images(network, 2))] == [(2, 3), (2, 3)]
    assert module.eval()(images(network, 2)).shape == (2, 3)


def test_every_weight_stands_where_its_name_says() -> None:
    module = small("quickstart", depth=2).module()
    for name, parameter in module.named_parameters():
        owner: nn.Module = module
        for part in name.split(".")[:-1]:
            owner = owner._modules[part]  # type: ignore[assignment]
        assert owner._parameters[name.rpartition(".")[2]] is parameter


def test_a_name_that_looks_numbered_keeps_its_weights_apart() -> None:
    """Siblings of one name are numbered, and a user's own name may be what the second would be called."""
    network = compiled(
        """geno 1
choice choice_2 = relu | conv(3, bias=true)
op conv_2 = conv(3)
op again = conv(3) -> conv_2 -> conv(5)
network n {
  input image(1, 4, 4)
  body  (relu | conv(1)) -> (relu | conv(3)) -> choice_2 -> conv(1) -> conv(5) -> conv_2 -> again -> conv(3)
  head  global_avg_pool -> linear(2)
}
"""
    )
    state = network.module().state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == network.program.params
    sizes = sorted(tensor.numel() for name, tensor in state.items() if name.endswith("weight"))
    assert sizes == sorted([1, 9, 9, 1, 25, 9, 9, 9, 25, 9, 2])

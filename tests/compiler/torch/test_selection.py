import pytest
import torch
from reference.pouring import compiled
from torch import nn

from genolang.diagnostics import GenoError

CELLS = """geno 1
import std.ops, std.attention
choice operation = none | skip | max_pool(3) | sep_conv(3)
choice gate = identity | se(r=2) | cbam(r=2, k=3)
choice mask = sigmoid | (conv(3) -> batch_norm -> sigmoid) combine product
cell normal(prev, channels=4) {
  inputs s0 = prev -> relu_conv_bn(channels)
  nodes  n1, n2
  edges  s0 -> n1 : operation -> gate -> drop_path
  edges  s0 -> n1 : relu
  edges  s0 -> n2 : operation
  edges  n1 -> n2 : operation -> mask
  return concat(n1, n2)
}
op tower(classes) = relu -> global_avg_pool -> linear(classes)
network supernet(auxiliary=true) {
  input image(3, 9, 7)
  stem  conv(3, 4) -> (batch_norm -> relu | silu)
  cells 3 of normal
  auxiliary tower(3) at 2/3 weight 0.4 when auxiliary
  head  global_avg_pool -> linear(3)
}
"""
KEYS = ("normal.operation", "normal.gate", "normal.mask", "supernet.choice")
CHOSEN = {"normal.operation": [3, 1, 2], "normal.gate": [2], "normal.mask": [1], "supernet.choice": [1]}


def supernet(fused: bool = True, seed: int = 0):
    torch.manual_seed(seed)
    module = compiled(CELLS).module(fused=fused).double()
    assert set(module.choices) == set(KEYS)
    return module


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 9, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def one_hot(module: nn.Module, options: dict[str, list[int]]) -> None:
    """The mixture whose weights are exactly 1 and 0."""
    for key, rows in options.items():
        logits = torch.full(module.choices[key].shape, -1e4)
        logits[torch.arange(len(rows)), torch.tensor(rows)] = 0.0
        module.choices[key] = logits


def norms_that_moved(module: nn.Module) -> set[str]:
    return {
        name
        for name, m in module.named_modules()
        if isinstance(m, nn.BatchNorm2d) and bool((m.running_mean != 0).any())
    }


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("operations", [[3, 1, 2], [1, 3, 3], [2, 0, 1], [0, 3, 1]])
def test_a_selection_is_the_mixture_with_all_weight_on_it(operations, training, fused):
    chosen = {**CHOSEN, "normal.operation": operations}
    found, expected = supernet(fused), supernet(fused)
    found.select(chosen)
    one_hot(expected, chosen)
    pairs = zip(_outputs(found.train(training)), _outputs(expected.train(training)), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


def _outputs(module: nn.Module) -> tuple[torch.Tensor, ...]:
    found = module(images())
    return found if isinstance(found, tuple) else (found,)


def test_statistics_of_what_is_not_selected_stay_as_they_were():
    module = supernet().train()
    module.select({**CHOSEN, "normal.operation": [1, 3, 1]})
    module(images())
    moved = norms_that_moved(module)
    assert any("n2.s0.operation" in name for name in moved)
    assert not any("n1.s0.operation" in name or "n2.n1.operation" in name for name in moved)
    assert not any(name.startswith("stem") for name in moved)
    module.select(None)
    module(images())
    assert {name for name, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)} == norms_that_moved(module)


def test_what_is_not_selected_is_not_computed():
    module, ran = supernet().eval(), set()
    for name, layer in module.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
            layer.register_forward_hook(lambda *_, name=name: ran.add(name))
    module.select({**CHOSEN, "normal.operation": [0, 1, 1], "normal.mask": [0], "supernet.choice": [0]})
    module(images())
    assert {name.split(".")[0] for name in ran} == {"stem", "cells"}
    assert not any("operation" in name or "gate" in name or "mask" in name for name in ran)


def test_an_alternative_of_zeros_leaves_its_whole_edge_out():
    # The gate of an edge without an operation has a batch norm with a shift; the edge is gone all the same.
    module = supernet().train()
    module.select({**CHOSEN, "normal.operation": [0, 1, 1], "normal.gate": [2]})
    module(images())
    assert not any("n1.s0" in name for name in norms_that_moved(module))


def test_a_selection_of_zeros_alone_is_refused_and_forgotten():
    module = supernet().eval()
    before = module(images())
    with pytest.raises(GenoError) as error:
        module.select({"normal.operation": [1, 0, 0]})
    assert error.value.diagnostics[0].code == "G415"
    assert torch.equal(module(images()), before)


def test_sets_that_a_selection_does_not_name_stay_mixed():
    module, mixed = supernet().eval(), supernet().eval()
    module.choices["normal.gate"] = torch.tensor([[0.3, -0.2, 1.0]])
    mixed.choices["normal.gate"] = torch.tensor([[0.3, -0.2, 1.0]])
    rest = {key: rows for key, rows in CHOSEN.items() if key != "normal.gate"}
    module.select(rest)
    one_hot(mixed, rest)
    torch.testing.assert_close(module(images()), mixed(images()), rtol=1e-10, atol=1e-11)
    module(images()).sum().backward()
    assert module.choices["normal.gate"].grad is not None and module.choices["normal.mask"].grad is None


def test_one_module_takes_many_selections_and_goes_back_to_the_mixture():
    module = supernet().eval()
    mixture = module(images())
    generator = torch.Generator().manual_seed(5)
    for _ in range(12):
        drawn = {
            key: torch.randint(1, len(s.options), (len(s.rows),), generator=generator).tolist()
            for key, s in module.choices.sets.items()
        }
        module.select(drawn)
        first = module(images())
        module.select(None)
        assert torch.equal(module(images()), mixture)
        module.select(drawn)
        assert torch.equal(module(images()), first)


SLOTS = """geno 1
import std.resnet_cifar, std.attention, std.plugins
network n = resnet_cifar(depth=14, width=4, classes=3) with {0} at residual shared per stage where {1}
"""


@pytest.mark.parametrize("module", ["se(r=2)", "dia(r=2)"])
def test_selected_slots_are_the_network_that_is_plugged_in_there_alone(module):
    found = compiled(SLOTS.format(module, "search"), "n").module().double().eval()
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    for stages in (["01", "11", "00"], ["10", "01", "11"], ["00", "00", "00"], ["11", "10", "01"]):
        found.select(
            {f"n.residual.stage{number + 1}": [int(bit) for bit in bits] for number, bits in enumerate(stages)}
        )
        listed = ", ".join(f'"{bits}"' for bits in stages)
        expected = compiled(SLOTS.format(module, f"[{listed}]"), "n").module().double().eval()
        assert not expected.load_state_dict(found.state_dict(), strict=False).missing_keys
        torch.testing.assert_close(found(x), expected(x), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("options", [[1, 1], [1, 1, 4], [1, -1, 1]])
def test_a_selection_of_another_shape_is_refused(options):
    with pytest.raises(GenoError) as error:
        supernet().select({"normal.operation": options})
    assert error.value.diagnostics[0].code == "G415"
    with pytest.raises(KeyError, match=r"normal\.operation"):
        supernet().select({"normal.operatoin": [1, 1, 1]})


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_follows_the_selection_and_an_exported_one_holds_it():
    torch.compiler.reset()
    module = supernet().eval()
    compiled_module = torch.compile(module, backend="eager", fullgraph=True)
    for operations in ([3, 1, 2], [1, 3, 1], [3, 1, 2]):
        module.select({**CHOSEN, "normal.operation": operations})
        with torch.no_grad():
            torch.testing.assert_close(compiled_module(images()), module(images()))
    expected = module(images())
    exported = torch.export.export(module, (images(),)).module()
    module.select(None)
    torch.testing.assert_close(exported(images()), expected)
    torch.compiler.reset()


BESIDE_ZEROS = """geno 1
import std.ops, std.attention
choice inner = relu | conv(3, bias=true)
op part(before) = before -> (skip | sep_conv(3)) -> inner
op unit(before) = (before -> slot here) + conv(1)
op both = part(none) + part(conv(3))
network base {
  input image(3, 5, 7)
  stem  conv(1, 4) -> (none -> (identity | conv(3, bias=true))) + conv(1) -> both
  stages unit(none) -> unit(relu)
  head  global_avg_pool -> linear(2)
}
network n = base with (conv(3, bias=true) -> se(r=2)) at here where search
"""


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_zeros_only_since_its_map_is_can_be_selected(seed, fused):
    torch.manual_seed(seed)
    network = compiled(BESIDE_ZEROS, "n")
    found, expected = network.module(fused=fused).double().eval(), network.module(fused=False).double().eval()
    expected.load_state_dict(found.state_dict())
    assert sum(o.zero for s in found.choices.sets.values() for o in s.options) <= 1
    chosen = {key: [int(torch.randint(len(s.options), ())) for _ in s.rows] for key, s in found.choices.sets.items()}
    if any(s.options[row].zero for key, s in found.choices.sets.items() for row in chosen[key]):
        chosen = {key: [1] * len(rows) for key, rows in chosen.items()}
    found.select(chosen)
    one_hot(expected, chosen)
    image = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    torch.testing.assert_close(found(image), expected(image), rtol=1e-10, atol=1e-11)

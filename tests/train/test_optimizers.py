import pytest
import torch

from genolang.semantics.settings import OptimizerSettings, Schedule
from genolang.train.optimizers import build_optimizer, clip_gradients, set_lr
from genolang.train.state import pack_state, unpack_state

KINDS = [
    OptimizerSettings("sgd", decay=1e-2, nesterov=True),
    OptimizerSettings("sgd", momentum=0.0),
    OptimizerSettings("adam", Schedule("constant", 3e-4), betas=(0.5, 0.999), decay=1e-3),
    OptimizerSettings("adamw", decay=0.1),
    OptimizerSettings("rmsprop", alpha=0.9),
]


def stepped(settings, steps, weights, optimizer=None):
    optimizer = optimizer or build_optimizer(settings, weights)
    for step in steps:
        for weight in weights:
            weight.grad = torch.sin(weight.detach() + step)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("settings", KINDS, ids=lambda settings: settings.kind)
def test_an_optimizer_restored_from_its_tensors_goes_on_bit_for_bit(settings):
    straight = [torch.linspace(-1, 1, 7), torch.ones(3, 5)]
    stepped(settings, range(6), straight)
    broken = [torch.linspace(-1, 1, 7), torch.ones(3, 5)]
    tensors = pack_state("optimizer", stepped(settings, range(3), broken))
    restored = build_optimizer(settings, broken)
    unpack_state("optimizer", tensors, restored)
    stepped(settings, range(3, 6), broken, restored)
    assert all(torch.equal(a, b) for a, b in zip(straight, broken, strict=True))


def test_packed_tensors_stay_as_they_were_when_the_restored_optimizer_steps():
    weights = [torch.ones(3)]
    tensors = pack_state("o", stepped(KINDS[0], range(2), weights))
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    restored = build_optimizer(KINDS[0], weights)
    unpack_state("o", tensors, restored)
    stepped(KINDS[0], range(2), weights, restored)
    assert all(torch.equal(kept[name], tensors[name]) for name in kept)


def test_only_adamw_decays_weights_apart_from_the_gradient():
    weight = torch.ones(1)
    settings = OptimizerSettings("adamw", Schedule("constant", 0.1), decay=0.5)
    weight.grad = torch.zeros(1)
    build_optimizer(settings, [weight]).step()
    assert weight.item() == pytest.approx(0.95)


def test_set_lr_scales_the_next_step():
    weight = torch.zeros(1)
    optimizer = build_optimizer(OptimizerSettings("sgd"), [weight])
    set_lr(optimizer, 0.5)
    weight.grad = torch.ones(1)
    optimizer.step()
    assert weight.item() == -0.5


def test_clipping_looks_at_the_norm_over_all_tensors():
    weights = [torch.zeros(1), torch.zeros(1)]
    optimizer = build_optimizer(OptimizerSettings("sgd"), weights)
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([4.0])
    clip_gradients(optimizer, None)
    assert weights[1].grad.item() == 4.0
    clip_gradients(optimizer, 1.0)
    assert weights[0].grad.item() == pytest.approx(0.6, rel=1e-5)


def test_a_dictionary_of_leaf_tensors_is_restored_in_place():
    choices = {"normal": torch.ones(3, requires_grad=True)}
    tensors = pack_state("choices", choices)
    with torch.no_grad():
        choices["normal"].zero_()
    leaf = choices["normal"]
    unpack_state("choices", tensors, choices)
    assert choices["normal"] is leaf and leaf.sum().item() == 3.0

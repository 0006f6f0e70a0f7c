"""The residual backbones and what is plugged into them, against plain PyTorch in float64."""

import pytest
import torch
from reference.pouring import assert_same, compiled
from reference.residual_networks import Dense, ResNet, Squeeze
from torch import Tensor

PRELUDE = "geno 1\nimport std.residual_blocks, std.resnet_cifar, std.attention, std.plugins\n"


def images(size: tuple[int, int], batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(batch, 3, *size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize("kind", ["basic", "bottleneck", "pre_basic", "pre_bottleneck"])
def test_a_training_step_of_each_kind_of_block_agrees(kind: str, project: bool) -> None:
    depth = 2 + 3 * 2 * (3 if kind.endswith("bottleneck") else 2)
    word = ("pre_project" if kind.startswith("pre_") else "project") if project else "zero_pad"
    text = f"op {kind}_s(w, stride=1) = {kind}(w, stride=stride, shortcut={word})\nnetwork n = resnet_cifar(depth={depth}, block={kind}_s, convs={(depth - 2) // 6}, width=4, classes=5)"
    reference = ResNet(kind, 2, 4, 5, project=project)
    assert_same(compiled(PRELUDE + text), reference, images((11, 7)))
    assert_same(compiled(PRELUDE + text), reference, images((8, 13), 1), training=False)


GATES = {"se(r=2, bias=true)": lambda C: Squeeze(C, 2), "dia(r=2)": lambda C: Dense(C, 2)}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("schemes", [["111", "111", "111"], ["011", "100", "010"]])
@pytest.mark.parametrize("word", GATES)
def test_a_module_shared_per_stage_agrees(word: str, schemes: list[str], fused: bool) -> None:
    bits = ", ".join(f'"{bits}"' for bits in schemes)
    text = f"network n = resnet_cifar(depth=20, width=4, classes=5) with {word} at residual shared per stage where [{bits}]"
    reference = ResNet("basic", 3, 4, 5, GATES[word], schemes, shared=True)
    assert_same(compiled(PRELUDE + text), reference, images((9, 6)), fused=fused)
    assert_same(compiled(PRELUDE + text), reference, images((5, 8), 1), fused=fused, training=False)


def test_a_module_per_block_agrees() -> None:
    schemes = ["011", "100", "010"]
    bits = ", ".join(f'"{bits}"' for bits in schemes)
    text = f"network n = resnet_cifar(depth=29, block=bottleneck, width=4, classes=5) with se(r=2, bias=true) at residual where [{bits}]"
    reference = ResNet("bottleneck", 3, 4, 5, GATES["se(r=2, bias=true)"], schemes, project=True)
    assert_same(compiled(PRELUDE + text), reference, images((9, 6)))

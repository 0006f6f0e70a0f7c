"""Attention-augmented convolution and its networks, against plain PyTorch in float64."""

import pytest
import torch
from reference.augmented import AugmentedConv, AugmentedResNet, AugmentedWideResNet
from reference.pouring import assert_same, compiled
from reference.projected import PROJECT, Projected, after, images

from genolang.api import load


def network(layer: str, C: int, size: tuple[int, int]) -> str:
    return f"""geno 1
import std.augmented
{PROJECT}
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, {C}, bias=true) -> {layer}
  head  project
}}
"""


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(9, 7), (6, 10), (1, 5)])
def test_an_augmented_convolution_computes_what_the_hand_written_one_does(
    size: tuple[int, int], stride: int, fused: bool
) -> None:
    text = network(f"aa_conv(3, 12, stride={stride}, value=0.5, key=1, heads=2, least=3)", 5, size)
    for training, batch in ((True, 3), (False, 1)):
        layer = AugmentedConv(5, 12, size, stride, kappa=1, upsilon=0.5, heads=2, least=3)
        reference = Projected(layer, 5, after(size, stride), 12)
        assert_same(compiled(text), reference, images(size, batch), fused=fused, training=training)


@pytest.mark.parametrize(("value", "k"), [(0, 3), (0.1, 1), (0.25, 5), (0.75, 3), (1, 3)])
def test_every_share_from_plain_convolution_to_pure_attention_agrees(value: float, k: int) -> None:
    size = (5, 8)
    layer = AugmentedConv(6, 16, size, kappa=2 * value, upsilon=value, heads=4, least=2, k=k)
    text = network(f"aa_conv({k}, 16, value={value}, heads=4, least=2)", 6, size)
    assert_same(compiled(text), Projected(layer, 6, size, 16), images(size))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(9, 7), (8, 12)])
@pytest.mark.parametrize("value", [0.5, 1])
def test_attention_at_half_the_height_and_width_agrees(value: float, size: tuple[int, int], stride: int) -> None:
    layer = AugmentedConv(4, 8, size, stride, kappa=1, upsilon=value, heads=2, least=2, pool=2)
    text = network(f"aa_conv(3, 8, stride={stride}, value={value}, key=1, heads=2, least=2, pool=2)", 4, size)
    assert_same(compiled(text), Projected(layer, 4, after(size, stride), 8), images(size))


@pytest.mark.parametrize("bottleneck", [True, False])
@pytest.mark.parametrize("size", [(224, 224), (65, 90)])
def test_a_training_step_of_an_augmented_resnet_agrees_at_its_size_and_below(
    size: tuple[int, int], bottleneck: bool
) -> None:
    block = "aa_bottleneck" if bottleneck else "aa_basic"
    upsilon = 0.25
    text = f"""geno 1
import aacn.resnet, std.resnet_imagenet
network n = resnet_imagenet(
  blocks=[1, 2, 1, 1], width=8, classes=3, block={block}(from=16, value={upsilon}, heads=2, least=3),
)
"""
    reference = AugmentedResNet([1, 2, 1, 1], 8, 3, bottleneck=bottleneck, upsilon=upsilon, heads=2, least=3)
    batch = 2 if size == (65, 90) else 1
    assert_same(compiled(text, "n"), reference, images(size, batch), training=batch == 2)


@pytest.mark.parametrize("size", [(32, 32), (13, 22)])
def test_a_training_step_of_an_augmented_wide_resnet_agrees_at_its_size_and_below(size: tuple[int, int]) -> None:
    found = load("aacn/wide_resnet").network("aa_wrn28_10", depth=10, widen=1, classes=5, value=0.25, heads=4, least=2)
    reference = AugmentedWideResNet(10, 1, 5, upsilon=0.25, heads=4, least=2)
    assert_same(found, reference, images(size, 2))


@pytest.mark.parametrize(
    ("network", "printed", "convolutions", "whole"),
    [
        ("aa_resnet34", 7.1, 7.20, 8.4),
        ("aa_resnet50", 8.3, 8.45, 9.5),
        ("aa_resnet101", 16.1, 16.10, 17.4),
        ("aa_resnet152", 23.8, 23.90, 26.4),
    ],
)
def test_the_printed_operations_are_those_of_the_convolutions(
    network: str, printed: float, convolutions: float, whole: float
) -> None:
    every, plain = load("aacn/resnet").network(network).program.block.macs
    assert round(2 * plain / 1e9, 2) == convolutions and abs(convolutions - printed) < 0.151
    assert round(2 * every / 1e9, 1) == whole


@pytest.mark.parametrize(
    ("spec", "network", "plain"),
    [
        ("resnet", "aa_resnet34", 21797672),
        ("resnet", "aa_resnet50", 25557032),
        ("wide_resnet", "aa_wrn28_10", 36536884),
        ("mnasnet", "aa_mnasnet", 3887038),
    ],
)
def test_a_share_of_nothing_is_the_plain_network_and_a_share_of_one_has_no_spatial_convolution(
    spec: str, network: str, plain: int
) -> None:
    assert load(f"aacn/{spec}").network(network, value=0).program.params == plain
    leaves = load(f"aacn/{spec}").network(network, value=1).program.block.leaves
    attending = {path[: path.index("aa_conv") + 1] for path in leaves if "aa_conv" in path}
    beside = [path for path in leaves if path[:-1] in attending]
    assert attending and not beside


def test_a_map_larger_than_declared_is_refused_in_so_many_words() -> None:
    module = compiled(network("aa_conv(3, 12, value=0.5, heads=2, least=3) -> global_avg_pool", 5, (9, 7))).module()
    for size in ((10, 7), (9, 8)):
        with pytest.raises(ValueError, match=rf"maps of up to 9x7, not {size[0]}x{size[1]}"):
            module(images(size).float())


def test_tables_begin_at_random_with_one_over_the_square_root_of_the_key_dimensions() -> None:
    torch.manual_seed(0)
    module = compiled(network("aa_conv(3, 64, value=0.5, heads=1, least=64)", 5, (40, 40))).module()
    tables = [p.detach() for name, p in module.named_parameters() if "relative" in name]
    assert [tuple(t.shape) for t in tables] == [(79, 64), (79, 64)]
    for table in tables:
        assert abs(float(table.std()) - 64**-0.5) < 0.005 and abs(float(table.mean())) < 0.01

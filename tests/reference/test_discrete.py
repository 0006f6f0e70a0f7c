from collections.abc import Callable

import pytest
import torch
from reference.discrete import Genotype, Network
from reference.genotypes import ATT_DARTS, DARTS_V1, DARTS_V2
from reference.pouring import assert_same, compiled, state
from torch import Tensor

from genolang.api import load

GENOTYPES = {"darts/v1": DARTS_V1, "darts/v2": DARTS_V2, "att_darts/found": ATT_DARTS}
EACH = pytest.mark.parametrize(("spec", "genotype"), GENOTYPES.items(), ids=list(GENOTYPES))
FUSED = pytest.mark.parametrize("fused", [True, False])


def images(size: tuple[int, int], batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, 3, *size, generator=generator, dtype=torch.float64)


@FUSED
@EACH
@pytest.mark.parametrize(("size", "depth"), [((9, 7), 3), ((12, 8), 5), ((7, 13), 2)])
def test_a_training_step_of_the_cifar_network_agrees(
    size: tuple[int, int], depth: int, spec: str, genotype: Genotype, fused: bool
) -> None:
    network = load(spec).network("cifar", channels=4, depth=depth, classes=5)
    assert_same(network, Network(genotype, 4, depth, 5), images(size, 3), fused=fused)


@FUSED
@EACH
def test_evaluation_of_a_single_image_agrees(spec: str, genotype: Genotype, fused: bool) -> None:
    network = load(spec).network("cifar", channels=6, depth=4, classes=5)
    assert_same(network, Network(genotype, 6, 4, 5), images((11, 14), 1), fused=fused, training=False)


@FUSED
@EACH
@pytest.mark.parametrize("side", [30, 32])
def test_the_auxiliary_tower_agrees(spec: str, genotype: Genotype, fused: bool, side: int) -> None:
    network = load(spec).network("cifar", channels=2, depth=4, classes=5, auxiliary=True)
    reference = Network(genotype, 2, 4, 5, auxiliary=True)
    found = assert_same(network, reference, images((side, side), 2), fused=fused)
    assert [o.shape for o in found.outputs] == [(2, 5), (2, 5)]


@FUSED
@EACH
def test_the_imagenet_network_agrees(spec: str, genotype: Genotype, fused: bool) -> None:
    network = load(spec).network("imagenet", channels=4, depth=3, classes=5)
    reference = Network(genotype, 4, 3, 5, imagenet=True)
    assert_same(network, reference, images((45, 56), 2), fused=fused)
    assert_same(network, reference, images((64, 32), 1), fused=fused, training=False)


@EACH
def test_the_imagenet_tower_agrees(spec: str, genotype: Genotype) -> None:
    network = load(spec).network("imagenet", channels=2, depth=3, classes=5, auxiliary=True)
    reference = Network(genotype, 2, 3, 5, imagenet=True, auxiliary=True)
    assert_same(network, reference, images((224, 224), 2))


@FUSED
@EACH
def test_drop_path_drops_the_same_branches(spec: str, genotype: Genotype, fused: bool) -> None:
    network = load(spec).network("cifar", channels=4, depth=4, classes=5)
    assert_same(network, Network(genotype, 4, 4, 5), images((8, 8), 4), fused=fused, drop_path=0.4)


@EACH
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7, 20])
def test_weights_stand_in_the_published_order(spec: str, genotype: Genotype, depth: int) -> None:
    with torch.device("meta"):
        reference = Network(genotype, 8, depth, 10, auxiliary=depth > 1)
        module = load(spec).network("cifar", channels=8, depth=depth, auxiliary=depth > 1).module()
    assert [t.shape for t in module.state_dict().values()] == [t.shape for t in state(reference)]


@pytest.mark.parametrize(
    ("genotype", "sizes"),
    [
        (DARTS_V1, (3_169_414, 3_645_840, 4_510_432)),
        (DARTS_V2, (3_349_342, 3_825_768, 4_718_752)),
        (ATT_DARTS, (3_231_343, 3_707_769, 4_641_666)),
    ],
)
def test_the_hand_written_networks_have_their_published_sizes(genotype: Genotype, sizes: tuple[int, int, int]) -> None:
    makes: list[Callable[[], Network]] = [
        lambda: Network(genotype, 36, 20, 10),
        lambda: Network(genotype, 36, 20, 10, auxiliary=True),
        lambda: Network(genotype, 48, 14, 1000, imagenet=True),
    ]
    with torch.device("meta"):
        assert tuple(sum(p.numel() for p in make().parameters()) for make in makes) == sizes


def test_both_reductions_stand_where_the_published_code_puts_them() -> None:
    text = """geno 1
cell normal(prev, channels=1) { return prev -> conv(1, channels) }
cell reduction(prev, channels=1) { return prev -> conv(1, channels) }
network n(depth=8, channels=1) {
  input image(1, 1, 1)
  cells depth of normal, reduction(channels=2 * channels) at 1/3, 2/3
  head  linear(1)
}
"""
    for depth in range(1, 41):
        leaves = compiled(text, depth=depth).program.block.leaves
        widths = [leaf.attrs["out"] for leaf in leaves.values() if leaf.layer == "conv"]
        expected, C = [], 1
        for index in range(depth):
            C *= 2 if index in (depth // 3, 2 * depth // 3) else 1
            expected.append(C)
        assert widths == expected

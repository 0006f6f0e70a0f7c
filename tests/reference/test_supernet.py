import pytest
import torch
from reference.pouring import assert_same, compiled
from reference.supernet import Supernet
from torch import Tensor

from genolang.api import Network, load
from genolang.semantics.modules import LIBRARY

SPECS = {"darts/search": False, "att_darts/search": True}


def images(size: tuple[int, int], batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch, 3, *size, generator=generator, dtype=torch.float64)


def network(spec: str, size: tuple[int, int], C: int, depth: int) -> Network:
    """The shipped supernet, for images of another size."""
    text = (LIBRARY / f"{spec}.geno").read_text(encoding="utf-8")
    assert "image(3, 32, 32)" in text
    text = text.replace("image(3, 32, 32)", f"image(3, {size[0]}, {size[1]})")
    return compiled(text, "supernet", channels=C, depth=depth, classes=5)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("size", "depth"), [((13, 9), 3), ((9, 7), 2), ((6, 8), 1)])
@pytest.mark.parametrize("spec", SPECS)
def test_a_training_step_of_the_supernet_agrees(spec: str, size: tuple[int, int], depth: int, fused: bool) -> None:
    reference = Supernet(4, depth, 5, attention=SPECS[spec], size=size)
    found = assert_same(network(spec, size, 4, depth), reference, images(size, 2), fused=fused)
    for gradient in found.logits:
        assert (gradient.abs().max(1).values > 0).all(), "every decision has a gradient"


def test_sizes_that_the_published_code_refuses_are_padded() -> None:
    reference = Supernet(4, 3, 5)
    assert_same(network("darts/search", (30, 30), 4, 3), reference, images((30, 30), 2))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("spec", SPECS)
def test_evaluation_of_a_single_image_agrees(spec: str, fused: bool) -> None:
    reference = Supernet(4, 3, 5, attention=SPECS[spec], size=(11, 6))
    assert_same(network(spec, (11, 6), 4, 3), reference, images((11, 6), 1), fused=fused, training=False)


def test_a_trained_supernet_runs_on_maps_of_another_size_than_declared() -> None:
    reference = Supernet(4, 3, 5)
    assert_same(load("darts/search").network(channels=4, depth=3, classes=5), reference, images((10, 14), 2))


def test_none_gets_its_gradient_through_the_softmax_alone() -> None:
    reference = Supernet(4, 1, 5)
    found = assert_same(network("darts/search", (8, 8), 4, 1), reference, images((8, 8), 2))
    for gradient in found.logits:
        assert (gradient[:, 0].abs() > 0).all()
        torch.testing.assert_close(gradient.sum(1), torch.zeros(14, dtype=gradient.dtype))


@pytest.mark.parametrize(("spec", "params"), [("darts/search", 1_930_618), ("att_darts/search", 3_309_282)])
def test_the_hand_written_supernet_has_the_published_size(spec: str, params: int) -> None:
    with torch.device("meta"):
        reference = Supernet(16, 8, 10, attention=SPECS[spec])
    assert sum(p.numel() for p in reference.parameters()) == params

from functools import partial
from typing import Any

import pytest
import torch
from reference.pouring import assert_same, compiled
from reference.projected import PROJECT, Projected, images
from reference.residual_attention import PreBottleneck, ReportUnit, ResidualAttention, paper_network, report_network

from genolang.semantics.modules import LIBRARY

GATES = ("mixed", "channel", "spatial", "layer_norm")
SIZES = ((13, 9), (7, 7), (1, 1), (2, 5), (16, 16))
C = 12


def module(words: str, size: tuple[int, int]) -> str:
    return f"""geno 1
import std.masks
{PROJECT}
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, {C}, bias=true) -> residual_attention({words})
  head  project
}}
"""


def assert_module(words: str, size: tuple[int, int], *, fused: bool = True, **values: Any) -> None:
    for training, batch in ((True, 5), (False, 1)):
        unit = partial(PreBottleneck, C, C)
        reference = Projected(ResidualAttention(unit, C, **{"levels": 2, **values}), C, size, C)
        assert_same(compiled(module(words, size)), reference, images(size, batch), fused=fused, training=training)


@pytest.mark.parametrize("learn", ["residual", "naive"])
@pytest.mark.parametrize("gate", GATES)
def test_every_gate_and_way_of_learning_is_the_hand_written_one(gate: str, learn: str) -> None:
    assert_module(f'gate="{gate}", learn="{learn}"', (13, 9), gate=gate, learn=learn)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("size", SIZES)
def test_a_module_takes_a_map_of_any_size(size: tuple[int, int], gate: str) -> None:
    assert_module(f'levels=3, gate="{gate}"', size, levels=3, gate=gate, fused=size != (7, 7))


@pytest.mark.parametrize(("p", "t", "r", "levels"), [(0, 1, 2, 2), (2, 3, 1, 1), (1, 0, 3, 3), (1, 2, 0, 2)])
def test_units_stand_where_p_t_and_r_say(p: int, t: int, r: int, levels: int) -> None:
    assert_module(f"p={p}, t={t}, r={r}, levels={levels}", (9, 6), p=p, t=t, r=r, levels=levels)


def test_a_mask_may_grow_by_its_nearest_pixels_and_end_in_a_head_of_its_own() -> None:
    head = torch.nn.Conv2d(C, C, 1, bias=False)
    assert_module('mode="nearest", head=conv(1), bottom=1', (11, 5), mode="nearest", head=head, bottom=1)


@pytest.mark.parametrize("padding", ["end", "around"])
@pytest.mark.parametrize("project", ["always", "needed"])
@pytest.mark.parametrize(("out", "stride", "size"), [(8, 1, (9, 6)), (16, 1, (6, 9)), (8, 2, (6, 9)), (16, 2, (8, 6))])
def test_a_unit_of_the_report_is_the_hand_written_one(
    out: int, stride: int, size: tuple[int, int], project: str, padding: str
) -> None:
    text = f"""geno 1
import residual_attention.cifar as report
{PROJECT}
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, 8, bias=true) -> report.unit({out}, {stride}, project="{project}", padding="{padding}")
  head  project
}}
"""
    smaller = tuple(-(-n // stride) for n in size)
    for training in (True, False):
        reference = Projected(ReportUnit(8, out, stride, project, padding), 8, smaller, out)  # type: ignore[arg-type]
        assert_same(compiled(text), reference, images(size), training=training)


def whole(spec: str, size: tuple[int, int]) -> str:
    """A shipped spec for images of another size."""
    text = (LIBRARY / "residual_attention" / f"{spec}.geno").read_text(encoding="utf-8")
    changed = text.replace("image(3, 32, 32)", f"image(3, {size[0]}, {size[1]})")
    return changed.replace("image(3, 224, 224)", f"image(3, {size[0]}, {size[1]})")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("size", "values"),
    [
        ((32, 32), {}),
        ((32, 32), {"wide": 2, "gate": "layer_norm"}),
        ((23, 18), {"learn": "naive", "gate": "channel", "r": 2}),
        ((21, 34), {"wide": 1, "project": "needed", "padding": "around", "gate": "spatial", "t": 1}),
    ],
)
def test_a_network_of_the_report_is_the_hand_written_one(
    size: tuple[int, int], values: dict[str, Any], training: bool
) -> None:
    network = compiled(whole("cifar", size), "attention56", channels=4, classes=3, **values)
    reference = report_network(4, classes=3, **{"wide": 0, **values})
    assert_same(network, reference, images(size, 3), training=training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("size", "modules", "values"),
    [((64, 64), (1, 1, 1), {}), ((75, 50), (1, 2, 3), {"learn": "naive"}), ((45, 61), (1, 0, 1), {"gate": "channel"})],
)
def test_an_imagenet_network_is_the_hand_written_one(
    size: tuple[int, int], modules: tuple[int, ...], values: dict[str, Any], training: bool
) -> None:
    network = compiled(
        whole("imagenet", size), "attention56", channels=4, classes=3, modules=str(list(modules)), **values
    )
    reference = paper_network(4, modules, 3, imagenet=True, **values)
    assert_same(network, reference, images(size, 3), training=training)


@pytest.mark.parametrize("training", [True, False])
def test_a_cifar_network_of_2017_is_the_hand_written_one(training: bool) -> None:
    network = compiled(whole("cifar_2017", (19, 14)), "attention", m=2, channels=4, classes=3, gate="spatial")
    reference = paper_network(4, (2, 2, 2), 3, imagenet=False, gate="spatial")
    assert_same(network, reference, images((19, 14), 3), training=training)

import random

import pytest
import torch
from reference.apnas import CANDIDATES, BottomUpTopDown, ChannelScore, Searched, SpatialScore
from reference.pouring import assert_same, compiled
from reference.projected import PROJECT, Projected, images
from torch import nn

from genolang.api import Spec, load
from genolang.diagnostics import Source
from genolang.search.space import derive, describe_genotype, random_genotype
from genolang.search.writeback import discrete_program, discrete_text
from genolang.semantics.check import check_source

SIZES = [(9, 7), (1, 1), (2, 5), (6, 6)]
FORMS = {
    "channel_score": lambda C, s: ChannelScore(C, both=False, gated=False, searching=s),
    "channel_score(both=true, gated=true)": lambda C, s: ChannelScore(C, both=True, gated=True, searching=s),
    "spatial_score": lambda C, s: SpatialScore(gated=False, searching=s),
    "spatial_score(gated=true)": lambda C, s: SpatialScore(gated=True, searching=s),
    "bottom_up_top_down": lambda C, s: BottomUpTopDown(C, below=False, searching=s),
    "bottom_up_top_down(below=true)": lambda C, s: BottomUpTopDown(C, below=True, searching=s),
}


class Chosen(nn.Module):
    """An operation beside the identity, mixed by a softmax."""

    def __init__(self, inner: Projected) -> None:
        super().__init__()
        self.inner = inner
        self.choices = {"network.choice": torch.zeros(1, 2, requires_grad=True)}
        layer = inner.layer
        inner.layer = nn.Module()
        inner.layer.operation = layer
        inner.layer.forward = self.mixed  # type: ignore[method-assign]

    def mixed(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.choices["network.choice"].softmax(1)[0]
        return weights[0] * self.inner.layer.operation(x) + weights[1] * x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


@pytest.mark.parametrize("searching", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", FORMS)
def test_an_operation_of_apnas_is_what_its_paper_says(form: str, size: tuple[int, int], searching: bool) -> None:
    text = f"""geno 1
import std.apnas
{PROJECT}
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, 20, bias=true) -> {f"({form} | identity)" if searching else form}
  head  project
}}
"""
    for training, batch in ((True, 3), (False, 1)):
        plain = Projected(FORMS[form](20, searching), 20, size, 20)
        reference = Chosen(plain) if searching else plain
        assert_same(compiled(text), reference, images(size, batch), training=training)


def unit_network(residual: bool, size: tuple[int, int]) -> str:
    """The shipped search, cut down to two convolutions with a unit each."""
    text = load("apnas/search").checked.module.source.text
    begin = text.index("network supernet")
    call = f"unit(residual={str(residual).lower()})"
    return f"""{text[:begin]}network supernet() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, 4) -> {call} -> conv(1, 7) -> {call}
  head  global_avg_pool -> linear(5)
}}
"""


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("size", [(9, 7), (1, 1)])
def test_the_searched_unit_is_a_graph_of_mixed_operations_that_ends_in_a_mask(
    size: tuple[int, int], residual: bool
) -> None:
    network = compiled(unit_network(residual, size))
    for fused in (True, False):
        assert_same(network, Searched((4, 7), residual), images(size, 4), fused=fused)
    assert_same(network, Searched((4, 7), residual), images(size, 1), training=False)


def test_all_blocks_of_the_host_share_one_matrix_of_nine_decisions() -> None:
    program = load("apnas/search").network("supernet").program
    (key,) = program.choices
    found = program.choices[key]
    assert (len(found.rows), len(found.options)) == (9, len(CANDIDATES))
    assert [option.zero for option in found.options] == [name == "none" for name in CANDIDATES]
    (cell,) = program.cells
    ends = [(edge.start, edge.end) for edge in cell.edges]
    assert ends == [
        ("a", "n1"),
        ("b", "n1"),
        *((s, "n2") for s in ("a", "b", "n1")),
        *((s, "n3") for s in ("a", "b", "n1", "n2")),
    ]
    units = {leaf[:4] for leaf in program.block.leaves if "unit" in leaf}
    assert len(units) == 9


def test_norms_have_scale_and_shift_in_the_host_but_not_in_a_unit_that_is_searched() -> None:
    spec = load("apnas/search")
    network = spec.network("supernet")
    affine = {("unit" in path): set() for path in network.program.block.leaves}
    for path, leaf in network.program.block.leaves.items():
        if leaf.layer == "batch_norm":
            affine["unit" in path].add(leaf.attrs["affine"])
    assert affine == {True: {False}, False: {True}}
    found = discrete_program(spec.checked, network.program, random_genotype(network.program, random.Random(0)), {})
    norms = [leaf for leaf in found.block.leaves.values() if leaf.layer == "batch_norm"]
    assert all(leaf.attrs["affine"] for leaf in norms)


def test_the_strongest_edges_become_text_that_any_host_can_use() -> None:
    spec = load("apnas/search")
    program = spec.network("supernet").program
    logits = torch.zeros(9, 10)
    # One option leads in every row, more and more; rows are the edges into n1, n2 and n3, inputs first.
    for row, option in enumerate((7, 8, 0, 9, 4, 6, 3, 2, 1)):
        logits[row, option] = 1 + row / 10
    # `none` takes its share and is never chosen, so the edge from n1 to n2 falls behind that from a.
    logits[4, CANDIDATES.index("none")] = 9
    genotype = derive(program, {"unit.candidate": logits.tolist()})
    assert describe_genotype(program, genotype)["unit"] == [
        "b -> n1 : spatial_score",
        "a -> n1 : channel_score",
        "b -> n2 : bottom_up_top_down",
        "a -> n2 : sep_conv(3)",
        "n2 -> n3 : dil_conv(3)",
        "n1 -> n3 : max_pool(3)",
    ]
    text = discrete_text(spec.checked, program, genotype)
    assert "    b  -> n2 : bottom_up_top_down\n" in text and "keep   2 edges" not in text
    found = Spec(check_source(Source("found.geno", text)))
    deeper = found.network("supernet", depth=32, classes=100).program
    assert (deeper.output.C, len(deeper.choices)) == (100, 0)
    assert sum("spatial_score" in path for path in deeper.block.leaves) == 15 * 2


def test_a_unit_costs_the_same_in_every_host() -> None:
    def unit(C: int) -> int:
        # A separable convolution, a 1x1 convolution, and the one of bottom-up top-down, with their norms.
        return (2 * 9 * C + 2 * C * C + 4 * C) + 2 * (C * C + 2 * C)

    units = unit(16) + unit(32) + unit(64)
    found = load("apnas/found")
    assert found.network("resnet20").program.params == 269_722 + 3 * units
    assert found.network("resnet56").program.params == 853_018 + 9 * units
    assert found.network("resnet20_100").program.params == 269_722 + 90 * 65 + 3 * units

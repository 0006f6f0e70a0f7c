import pytest
import torch
from reference.attention import MODULES
from reference.pouring import assert_same, compiled
from reference.projected import PROJECT, Projected, images

OURS = {
    "SE": "se",
    "BAM": "bam_code",
    "BAM (paper)": "bam",
    "CBAM": "cbam_code",
    "CBAM (paper)": "cbam",
    "GE_theta-plus": "ge",
    "DoubleAttention": "double_attention",
}
# Published parameter counts: (channels, map side) -> parameters.
PARAMS = {
    "SE": {(16, 32): 32, (36, 32): 144, (64, 8): 512, (144, 8): 2592},
    "GE_theta-plus": {(16, 32): 16448, (36, 32): 37080, (64, 8): 4736, (64, 32): 66176, (144, 8): 12096},
    "BAM": {(16, 32): 96, (36, 32): 351, (64, 8): 1173, (144, 8): 5608},
    "CBAM": {(16, 32): 149, (36, 32): 282, (64, 8): 680, (144, 8): 2845},
    "DoubleAttention": {(16, 32): 284, (36, 32): 1359, (64, 8): 4208, (144, 8): 20988},
}


def network(attention: str, C: int, size: tuple[int, int]) -> str:
    return f"""geno 1
import std.attention
{PROJECT}
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, {C}, bias=true) -> {attention}
  head  project
}}
"""


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("C", [7, 36])
@pytest.mark.parametrize("size", [(9, 7), (6, 6)])
@pytest.mark.parametrize("name", OURS)
def test_every_module_computes_what_the_hand_written_one_does(
    name: str, size: tuple[int, int], C: int, fused: bool
) -> None:
    for training, batch in ((True, 3), (False, 1)):
        reference = Projected(MODULES[name](C, size), C, size, C)
        assert_same(
            compiled(network(OURS[name], C, size)), reference, images(size, batch), fused=fused, training=training
        )


@pytest.mark.parametrize("name", PARAMS)
def test_every_module_has_its_published_size(name: str) -> None:
    for (C, side), params in PARAMS[name].items():
        plan = compiled(network(OURS[name], C, (side, side))).plan()
        around = 4 * C + 7 * (C * side * side + 1)
        assert plan.params - around == params, f"{name} at {C} channels on {side}x{side}"
        assert sum(p.numel() for p in MODULES[name](C, (side, side)).parameters()) == params


def test_the_paper_forms_of_bam_and_cbam_differ_from_the_code_forms() -> None:
    x = images((6, 6))[:, :1].float().expand(3, 16, 6, 6) + torch.arange(16.0).view(16, 1, 1) / 16
    for name in ("BAM", "CBAM"):
        torch.manual_seed(0)
        code = MODULES[name](16, (6, 6))
        torch.manual_seed(0)
        paper = MODULES[f"{name} (paper)"](16, (6, 6))
        assert not torch.allclose(code(x), paper(x), atol=1e-3)

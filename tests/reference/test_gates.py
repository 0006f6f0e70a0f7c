import warnings
from typing import Any

import pytest
import torch
from reference.gates import GATES
from reference.pouring import assert_same, compiled
from reference.projected import PROJECT, Projected, images
from shipped import randomise

from genolang.api import Network
from genolang.compiler.torch import exported

# Names of operations share weights and hand on state, as the blocks of a stage do.
STAGE = """op through_a_stage {
  cell = dia
  return x -> conv(1) -> cell -> conv(1) -> cell -> conv(1) -> cell
}
"""


def network(attention: str, C: int, size: tuple[int, int]) -> Network:
    return compiled(f"""geno 1
import std.attention, std.plugins
{PROJECT}
{STAGE}
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, {C}, bias=true) -> {attention}
  head  project
}}
""")


def params(attention: str, C: int, size: tuple[int, int] = (8, 8)) -> int:
    """The learnable numbers of a module alone."""
    around = 4 * C + 7 * (C * size[0] * size[1] + 1)
    return network(attention, C, size).program.params - around


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize(("C", "size"), [(16, (9, 7)), (24, (6, 6)), (8, (2, 5))])
def test_every_gate_computes_what_the_hand_written_one_does(name: str, C: int, size: tuple[int, int]) -> None:
    for training, batch in ((True, 3), (False, 1)):
        reference = Projected(GATES[name](C, size), C, size, C)
        assert_same(network(name, C, size), reference, images(size, batch), fused=training, training=training)


@pytest.mark.parametrize("name", [n for n in GATES if not n.startswith("sge")])
def test_every_gate_takes_a_single_position(name: str) -> None:
    for training, batch in ((True, 3), (False, 1)):
        reference = Projected(GATES[name](8, (1, 1)), 8, (1, 1), 8)
        assert_same(network(name, 8, (1, 1)), reference, images((1, 1), batch), training=training)


def test_sge_on_a_single_position_is_its_shift_alone_where_the_public_code_has_no_number() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert GATES["sge"](8, (1, 1))(torch.ones(2, 8, 1, 1)).isnan().all()
    module: Any = network("sge", 8, (1, 1)).module().train()
    image = images((1, 1)).float().requires_grad_()
    with torch.no_grad():
        shift = module.stem.sge.mask.scale.bias.copy_(torch.linspace(-1, 1, 8))
        gated = module.stem.conv(image) * torch.sigmoid(shift)[:, None, None]
        expected = module.head.project.conv(gated).flatten(1)
    found = module(image)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_sge_and_non_local_begin_as_their_papers_say() -> None:
    image = torch.randn(2, 16, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for name, factor in (
        ("sge", torch.sigmoid(torch.tensor(1.0, dtype=torch.float64))),
        ("non_local", torch.tensor(1.0)),
    ):
        found = compiled(f"""geno 1
import std.attention, std.plugins
network network() {{
  input image(16, 5, 4)
  body  {name}
  head  global_avg_pool
}}
""")
        result = found.module().double().eval()(image)
        torch.testing.assert_close(result, factor * image.mean((2, 3)), rtol=1e-11, atol=1e-12)


def test_eca_reaches_further_where_there_are_more_channels() -> None:
    # The public code's table of kernels for ResNet-50's widths and some others.
    kernels = {1: 1, 3: 1, 16: 3, 36: 3, 64: 3, 128: 5, 256: 5, 512: 5, 1024: 5, 2048: 7}
    for C, k in kernels.items():
        assert params("eca", C, (2, 2)) == k, C


def test_modules_have_the_published_sizes_of_networks_full_of_them() -> None:
    # EAN's ResNet-164 for CIFAR-100 (18 blocks a stage), with and without modules.
    widths = (64, 128, 256)
    assert 18 * sum(params("se(bias=true)", C) for C in widths) == 1_929_388 - 1_727_284
    assert 18 * sum(params("sge(groups=8)", C) for C in widths) == 1_728_148 - 1_727_284
    assert sum(params("dia(r=4)", C) for C in widths) == 1_946_132 - 1_727_284
    # ImageNet ResNet-50.
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}
    full = {"se(bias=true)": 28_088_024, "sge(groups=64)": 25_559_080, "cbam_code": 28_089_624}
    for name, total in full.items():
        assert sum(n * params(name, C, (1, 1)) for C, n in blocks.items()) == total - 25_557_032, name
    assert sum(params("bam_code", C, (1, 1)) for C in (256, 512, 1024)) == 25_915_099 - 25_557_032


def test_gates_are_exported_for_any_batch_without_pools_of_fixed_size() -> None:
    made = network("se -> ge_minus(2) -> ge_theta(2) -> eca -> sge -> dia -> non_local", 16, (9, 7))
    module: Any = made.module().double().eval()
    randomise(module)
    found = exported.export(module, made.program.input)
    for batch in (1, 3):
        image = images((9, 7), batch)
        torch.testing.assert_close(found.module()(image), module(image), rtol=1e-10, atol=1e-10)
    assert "adaptive" not in str(found.graph)

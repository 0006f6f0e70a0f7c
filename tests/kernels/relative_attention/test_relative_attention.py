import io

import pytest
import torch
from exactness import OFFSETS
from kernel_harness.relative_attention import (
    Case,
    absolutely,
    agrees,
    agrees_as_well,
    build,
    exactly,
    ours,
    results,
    written_out,
)
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from genolang.bench.peak import peak_bytes
from genolang.kernels.relative_attention import KERNEL, cpu, exported, operator, relative_attention, small, why

SHAPES = [
    Case(),
    Case(size=(1, 1), key=1, value=1, heads=1),
    Case(size=(1, 8), key=8, value=5, heads=1, more=(2, 0)),
    Case(size=(8, 1), key=3, value=20, layout="channels_last"),
    Case(size=(3, 17), key=20, value=5, layout="channels_last", more=(1, 3)),
    Case(size=(9, 4), key=33, value=2, heads=3, batch=1, layout="sliced"),
    Case(size=(4, 6), key=16, value=64, layout="transposed"),
    Case(size=(12, 20), key=5, value=4, heads=1),
    Case(size=(5, 3), batch=0),
]


# Several heads in a tile, a few queries of one, and a single query.
@pytest.mark.parametrize(
    ("tile", "case"), [*((tile, case) for tile in (1 << 18, 64) for case in SHAPES), (1, SHAPES[0])], ids=str
)
def test_tiles_of_any_size_give_the_attention_of_all_pairs(
    case: Case, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "LARGEST", 0)
    monkeypatch.setattr(cpu, "TILE", tile)
    agrees(case, "cpu", 1e-12)


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_small_maps_have_the_attention_of_all_pairs(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small, "LARGEST", 1000)
    agrees(case, "cpu", 1e-12)


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_the_reference_is_the_attention_of_all_pairs(case: Case) -> None:
    agrees(case, "reference", 1e-12)


@pytest.mark.parametrize("case", [*SHAPES[:-1], Case(size=(2, 3), key=2, value=30)], ids=str)
def test_the_exported_form_is_the_attention_of_all_pairs(case: Case) -> None:
    inputs = build(case)
    found = results(exported.relative_attention, inputs)
    for name, there in results(written_out, exactly(inputs)).items():
        assert absolutely(found[name], there) < 1e-12, name


@pytest.mark.parametrize("size", [(7, 7), (17, 19)])
def test_single_precision_stays_within_its_tolerance(size: tuple[int, int]) -> None:
    agrees(Case(size=size, key=20, heads=1, batch=1, dtype=torch.float32), "cpu", KERNEL.tolerance[torch.float32])


@pytest.mark.parametrize("use", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_as_exact_as_plain_operations(dtype: torch.dtype, use: str) -> None:
    agrees_as_well(Case(size=(9, 6), key=20, dtype=dtype), use, 2.0)


@pytest.mark.parametrize("shifted", ["queries", "keys", "values", "tables"])
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_parts_far_from_zero_are_as_exact_as_in_plain_operations(
    dtype: torch.dtype, offset: float, shifted: str
) -> None:
    # With all weights in memory, and in tiles.
    for size in ((7, 7), (15, 18)):
        agrees_as_well(Case(size=size, key=20, heads=1, batch=1, dtype=dtype, offset=offset, shifted=shifted), "cpu")


def test_without_relative_positions_it_is_plain_attention() -> None:
    inputs = build(Case(size=(6, 9), key=4, value=4))
    with torch.no_grad():
        inputs.height.zero_()
        inputs.width.zero_()
    q, k, v = (part.unflatten(1, (2, 4)).flatten(3).mT for part in inputs.qkv.split(8, dim=1))
    plain = F.scaled_dot_product_attention(q, k, v).mT.flatten(1, 2).unflatten(2, (6, 9))
    found = relative_attention(*inputs.tensors, 2)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-14)


@pytest.mark.parametrize("use", ["cpu", "reference"])
def test_a_shifted_picture_gives_the_shifted_result(use: str) -> None:
    inputs = build(Case(size=(4, 6), key=3, more=(4, 6)))
    small, found = inputs.qkv.detach().clone(), []
    small[:, :6] = small[:, :6].abs() + 0.1
    for top, left in ((0, 0), (1, 2), (4, 6)):
        # Around the picture queries are zero, and keys so unlike all its queries that they have no weight.
        scene = torch.zeros(2, small.shape[1], 8, 12, dtype=torch.float64)
        scene[:, 6:12] = -1e6
        scene[:, :, top : top + 4, left : left + 6] = small
        out = relative_attention(scene, inputs.height, inputs.width, 2, use=use)
        found.append(out[:, :, top : top + 4, left : left + 6])
    assert all(torch.allclose(found[0], other, rtol=0, atol=1e-12) for other in found[1:])
    assert found[0].std() > 0.1


def test_gradients_are_those_of_finite_differences() -> None:
    inputs = build(Case(size=(3, 4), key=3, value=2, batch=1, more=(1, 0)))
    assert torch.autograd.gradcheck(lambda *t: relative_attention(*t, 2), inputs.tensors)


@pytest.mark.parametrize("wanted", range(1, 8))
def test_gradients_come_for_every_subset_of_inputs(wanted: int) -> None:
    inputs = build(Case(size=(3, 4)))
    whole = results(ours("cpu"), inputs)
    for index, tensor in enumerate(inputs.tensors):
        tensor.requires_grad_(bool(wanted >> index & 1))
    relative_attention(*inputs.tensors, 2).backward(inputs.grad)
    for tensor, expected in zip(inputs.tensors, list(whole.values())[1:], strict=True):
        assert (tensor.grad is not None) == tensor.requires_grad
        if tensor.grad is not None:
            torch.testing.assert_close(tensor.grad, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("expanded", [True, False])
def test_the_gradient_of_the_result_may_lie_anyhow_in_memory(expanded: bool) -> None:
    inputs = build(Case(size=(4, 5)))
    if expanded:
        inputs.grad = inputs.grad[:, :, :1, :1].expand(-1, -1, 4, 5)
    else:
        inputs.grad = inputs.grad.transpose(2, 3).contiguous().transpose(2, 3)
    found, exact = results(ours("cpu"), inputs), results(written_out, exactly(inputs))
    assert all(absolutely(found[name], exact[name]) < 1e-12 for name in exact)


def test_logits_of_hundreds_do_not_overflow() -> None:
    for dtype in (torch.float32, torch.float64):
        inputs = build(Case(size=(4, 5), scale=30.0, dtype=dtype))
        found = results(ours("cpu"), inputs)
        assert all(tensor.isfinite().all() for tensor in found.values())


def test_what_is_not_a_number_stays_in_its_image() -> None:
    inputs = build(Case(size=(3, 4)))
    with torch.no_grad():
        inputs.qkv[0, 0, 1, 1] = torch.nan
    found = results(ours("cpu"), inputs)
    assert found["out"][0, :3, 1, 1].isnan().all() and found["out"][1].isfinite().all()
    assert found["to qkv"][1].isfinite().all()


# Memory


@pytest.mark.filterwarnings("ignore")
def test_at_32x32_memory_stays_below_a_third_of_what_materialised_logits_take() -> None:
    inputs = build(Case(size=(32, 32), key=20, value=4, heads=8, batch=1, dtype=torch.float32))
    found = results(ours("cpu"), inputs)
    materialised = ours("reference")
    for name, there in results(materialised, inputs).items():
        assert absolutely(found[name], there.double()) < 1e-5, name
    tiled, whole = (
        peak_bytes(lambda f=f: results(f, inputs), torch.device("cpu")) for f in (ours("cpu"), materialised)
    )
    assert whole > 2 * 8 * 1024**2 * 4
    assert tiled < 0.3 * whole


@pytest.mark.parametrize(("size", "per_query"), [((9, 6), 54), ((15, 17), 255), ((13, 20), 2)])
def test_backward_needs_the_input_the_result_and_two_numbers_or_the_weights_of_every_query(
    size: tuple[int, int], per_query: int
) -> None:
    inputs = build(Case(size=size, heads=3))
    kept: list[Tensor] = []
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = relative_attention(*inputs.tensors, 3)
    extra = 2 * 3 * size[0] * size[1] * per_query
    assert sum(t.numel() for t in kept) == sum(t.numel() for t in inputs.tensors) + out.numel() + extra


# Compilers


def test_the_operator_keeps_the_rules_of_operators() -> None:
    inputs = build(Case(size=(3, 4), more=(1, 0)))
    torch.library.opcheck(operator._forward, (*inputs.tensors, 2, ""))
    with torch.no_grad():
        out, kept = operator._forward(*inputs.tensors, 2, "")
    detached = [t.detach() for t in (inputs.grad, *inputs.tensors)]
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(operator._backward, (*detached, 2, out, kept, ""), test_utils=checks)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.mix = nn.Conv2d(3, 16, 1)
        self.height = nn.Parameter(torch.randn(39, 3, generator=draw))
        self.width = nn.Parameter(torch.randn(41, 3, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        return relative_attention(self.mix(x), self.height, self.width, 2)


def image(batch: int, size: tuple[int, int] = (4, 5)) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("size", [(4, 5), (20, 21)])
def test_a_compiled_layer_is_one_graph_and_computes_the_same(size: tuple[int, int]) -> None:
    torch.compiler.reset()
    layer, x = Layer(), image(2, size)
    found = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
    found.square().sum().backward()
    grads = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    plain = layer(x)
    plain.square().sum().backward()
    torch.testing.assert_close(found, plain)
    for one, other in zip(grads, layer.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad)
    torch.compiler.reset()


def test_an_exported_layer_needs_nothing_of_this_package() -> None:
    layer = Layer().eval()
    program = torch.export.export(layer, (image(2),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
    assert not any("genolang" in str(node.target) for node in program.graph.nodes)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    again = torch.export.load(file).module()
    for batch in (1, 5):
        torch.testing.assert_close(again(image(batch)), layer(image(batch)))


def test_autocast_and_checkpointing_go_through() -> None:
    layer, x = Layer(), image(2)
    expected = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(x)
        half.float().sum().backward()
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0.05, atol=0.05)
    again = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
    again.sum().backward()
    torch.testing.assert_close(again, expected)


# What is refused


def test_a_second_derivative_says_that_there_is_none() -> None:
    inputs = build(Case(size=(2, 3)))
    out = relative_attention(*inputs.tensors, 2)
    (first,) = torch.autograd.grad(out.square().sum(), inputs.qkv, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"qkv": (2, 22, 6, 7)}, "up to 5x7, not 6x7"),
        ({"qkv": (2, 22, 5, 8)}, "up to 5x7, not 5x8"),
        ({"qkv": (2, 21, 5, 7)}, "are not queries, keys and values of 2 heads"),
        ({"qkv": (2, 16, 5, 7)}, "are not queries, keys and values of 2 heads"),
        ({"width": (13, 5)}, "4 and 5 columns"),
        ({"height": (10, 4)}, "an odd number"),
        ({"qkv": (22, 5, 7)}, r"a map \(B, C, H, W\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, tuple[int, ...]], said: str) -> None:
    shapes = {"qkv": (2, 22, 5, 7), "height": (9, 4), "width": (13, 4)} | change
    with pytest.raises(ValueError, match=said):
        relative_attention(*(torch.zeros(shape) for shape in shapes.values()), 2)


def test_it_says_what_runs_and_why() -> None:
    tensors = build(Case()).tensors
    assert why(*tensors, 2) == "relative_attention runs as cpu: the inputs are not on a GPU."
    assert "it was asked for" in why(*tensors, 2, use="reference")
    large = build(Case(size=(1, 65), batch=1)).tensors
    assert KERNEL.configurations and "64" in operator.kernel_for(*large, 2).obstacle(large)

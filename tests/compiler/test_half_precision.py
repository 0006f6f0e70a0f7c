"""Half precision, by `module.half()` or autocast: finite wherever single precision is."""

import copy
from typing import Any

import pytest
import torch
from primitives.drawn import attributes, layer
from reference.pouring import compiled
from shipped import randomise
from torch import Tensor, nn

from genolang.compiler.torch import exported
from genolang.primitives import MapType
from genolang.semantics.modules import library_module

HALF = (torch.float16, torch.bfloat16)
MODULES = [
    name
    for part in ("attention", "plugins")
    for name, found in library_module(("std", part)).definitions.items()
    if found.kind == "attention" and name != "masked"
]
MORE = [f"{name}({extent})" for name in ("ge_minus", "ge_theta", "ge_plus") for extent in (2, 4, 8)]
MASKS = [f'masked(by=mask_gate(gate="{gate}"))' for gate in ("mixed", "channel", "spatial", "layer_norm")]


def network(words: str, size: tuple[int, int] = (9, 7)) -> Any:
    return compiled(f"""geno 1
import std.attention, std.plugins, std.masks
op twice = matmul(single_precision(transpose(x)), single_precision(x)) -> mean(channels)
op once = matmul(transpose(x), x) -> mean(channels)
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, 16, bias=true) -> {words}
  head  global_avg_pool
}}
""")


def made(words: str) -> Any:
    """A module whose first layer gives the image's own numbers to what follows."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: Any = network(words).module()
    randomise(module)
    with torch.no_grad():
        nn.init.dirac_(module.stem.conv.weight)
    return module


def images(largest: float, batch: int = 3) -> Tensor:
    image = torch.randn(batch, 3, 9, 7, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
    return image * (largest / 3)


def step(module: Any, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The answer, and the gradients of the image and of every parameter."""
    image = image.clone().requires_grad_()
    answer = module(image)
    answer.float().mean().backward()
    assert image.grad is not None
    return answer.detach(), {"": image.grad} | {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [*MODULES, *MORE, *MASKS])
def test_large_maps_stay_finite_in_half_precision(name: str, training: bool) -> None:
    whole = made(name).train(training)
    for largest in (1e3, 1e4):
        image = images(largest)
        _, wanted = step(copy.deepcopy(whole), image)
        for kind in HALF:
            half, mixed = copy.deepcopy(whole).to(kind), copy.deepcopy(whole)
            there = step(half, image.to(kind))
            with torch.autocast("cpu", kind):
                here = step(mixed, image)
            assert there[0].dtype == kind
            for answer, gradients in (here, there):
                assert answer.isfinite().all(), kind
                # What a gradient cannot hold is for the scale of the loss to prevent.
                fits = [n for n, g in wanted.items() if g.abs().max() < 2**12]
                assert all(gradients[n].isfinite().all() for n in fits), kind
            assert all(b.isfinite().all() for m in (half, mixed) for b in m.buffers()), kind


@pytest.mark.parametrize("kind", HALF)
def test_batch_statistics_are_kept_in_single_precision(kind: torch.dtype) -> None:
    whole: Any = nn.Sequential(nn.BatchNorm2d(4)).train()
    ours = layer("batch_norm", attributes("batch_norm"), MapType(4, 9, 7)).train().to(kind)
    assert {t.dtype for t in ours.state_dict().values()} == {torch.float32}
    image = (torch.randn(5, 4, 9, 7, generator=torch.Generator().manual_seed(0)) * 3e3).to(kind)
    found = ours(image)
    assert found.dtype == kind
    torch.testing.assert_close(found.float(), whole(image.float()), rtol=1e-2, atol=1e-2)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), getattr(whole[0], name), rtol=1e-2, atol=1)
    assert {t.dtype for t in ours.double().state_dict().values()} == {torch.float64}


@pytest.mark.parametrize("kind", HALF)
@pytest.mark.parametrize("over", ["channels", "space"])
def test_an_l2_norm_is_taken_in_single_precision(over: str, kind: torch.dtype) -> None:
    norm = layer("l2_norm", attributes("l2_norm", over=over), MapType(64, 9, 7))
    image = torch.full((2, 64, 9, 7), 4e4, dtype=kind)
    share = (64 if over == "channels" else 63) ** -0.5
    torch.testing.assert_close(norm(image).float(), torch.full((2, 64, 9, 7), share), rtol=1e-2, atol=0)
    assert norm(image).dtype == kind
    assert (norm(torch.zeros_like(image)) == 0).all()


@pytest.mark.parametrize("kind", HALF)
def test_a_product_of_matrices_is_in_single_precision_where_it_is_asked_for(kind: torch.dtype) -> None:
    image = images(1e3)
    with torch.autocast("cpu", kind):
        asked, plain = made("twice")(image), made("once")(image)
    assert asked.dtype == torch.float32 and plain.dtype == kind
    torch.testing.assert_close(asked, made("twice")(image), rtol=2e-2, atol=1e3)
    assert plain.isfinite().all() == (kind == torch.bfloat16)


def test_single_precision_narrows_nothing_and_precision_follows_its_map() -> None:
    like = MapType(2, 3, 5)
    wide = layer("single_precision", attributes("single_precision"), like)
    for kind, expected in ((torch.float64, torch.float64), *((k, torch.float32) for k in HALF)):
        image = torch.randn(2, *like, dtype=kind)
        assert wide(image).dtype == expected and torch.equal(wide(image).to(kind), image)
        narrow = layer("precision", attributes("precision", like=True), like, like)
        assert torch.equal(narrow(wide(image), image), image)


def test_a_network_in_half_precision_is_exported_as_it_is() -> None:
    words = "batch_norm -> sge -> non_local"
    module: Any = made(words).eval().half()
    found = exported.export(module, network(words).program.input).module()
    for batch in (1, 3):
        image = images(1e3, batch).half()
        torch.testing.assert_close(found(image), module(image), rtol=2e-2, atol=1)

"""Networks that answer for every pixel: how they say so, and what is made of them."""

import importlib.util

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import genolang
from genolang.api import load
from genolang.compiler import driver
from genolang.diagnostics import Diagnostic

torch.set_num_threads(1)

HEADER = "geno 1\nimport std.ops, std.heads\n"
BODY = "input image(2, 12, 20)\n  stem conv(3, 8, stride=2)\n"


def said(text: str) -> list[Diagnostic]:
    return genolang.check(HEADER + text + "\n", "s.geno")


def codes(text: str) -> list[str]:
    return [d.code for d in said(text)]


def built(text: str, tmp_path, name=None, **params):
    file = tmp_path / "spec.geno"
    file.write_text(HEADER + text + "\n", "utf-8")
    return load(file).network(name, **params)


def network(head: str, body: str = BODY) -> str:
    return f"network n {{\n  {body}  head {head}\n}}"


@pytest.mark.parametrize(
    "head",
    [
        "conv(1, 5)",
        "conv(1, 5) -> resize(size=(12, 20))",
        "resize(like=input) -> conv(1, 5)",
        "resize(like=input) -> softmax(channels)",
        "conv(1, 5) -> resize(like=input) -> avg_pool(3, stride=2)",
    ],
)
def test_a_map_that_is_not_brought_to_the_images_size_at_the_end_is_a_forgotten_pooling(head):
    (found,) = said(network(head))
    assert found.code == "G309" and "resize(like=input)" in found.help


def test_a_map_of_the_images_size_is_a_forgotten_pooling_all_the_same():
    assert codes(network("conv(1, 5)", "input image(2, 12, 20)\n")) == ["G309"]
    assert codes(network("conv(1, 5) -> resize(like=input)", "input image(2, 12, 20)\n")) == []


@pytest.mark.parametrize(
    "head",
    [
        "conv(1, 5) -> resize(like=input)",
        "relu -> fcn_head(5)",
        "fcn_head(5, like=input)",
        "fcn_head(classes=5)",
        "repeat(2, relu) -> per_pixel",
    ],
)
def test_an_end_that_is_resized_to_the_image_answers_for_every_pixel(head, tmp_path):
    text = "op per_pixel(like: map = input) = deeper(as=like)\nop deeper(as: map) = conv(1, 5) -> resize(like=as)\n"
    net = built(text + network(head), tmp_path)
    assert net.plan().output == (5, 12, 20)
    module = net.module().eval()
    assert module(torch.randn(3, 2, 12, 20)).shape == (3, 5, 12, 20)
    assert module(torch.randn(1, 2, 13, 17)).shape == (1, 5, 13, 17)


def test_a_resize_to_another_map_than_the_image_is_no_answer_for_its_pixels():
    text = (
        "op to(like: map) = conv(1, 5) -> resize(like=like)\nop half(like: map = input) {\n"
        "  y = like -> conv(3, stride=2)\n  return x -> to(like=y)\n}\n"
    )
    assert codes(text + network("half")) == ["G309"]


def test_a_head_is_an_argument_like_any_other(tmp_path):
    text = (
        "op once(classes) = global_avg_pool -> linear(classes)\n"
        f"network backbone(head=once(3)) {{\n  {BODY}  head head\n}}\n"
        "network segmenter(classes=7) = backbone(head=fcn_head(classes))\n"
        "network counter = backbone(head=density_head(widths=[4]))\n"
    )
    outputs = {"backbone": (3,), "segmenter": (7, 12, 20), "counter": (1, 12, 20)}
    for name, output in outputs.items():
        assert built(text, tmp_path, name).plan().output == output
    assert built(text, tmp_path, "segmenter", classes=4).plan().output == (4, 12, 20)


def test_an_auxiliary_head_may_answer_for_every_pixel_too(tmp_path):
    text = (
        "cell c(prev, channels=8) {\n  nodes n\n  edges prev -> n : sep_conv(3)\n  return n\n}\n"
        f"network n {{\n  {BODY}  cells 3 of c\n"
        "  auxiliary fcn_head(5) at 2/3 weight 0.4\n  head fcn_head(5)\n}}\n".replace("}}", "}")
    )
    module = built(text, tmp_path).module()
    main, auxiliary = module(torch.randn(2, 2, 12, 20))
    assert main.shape == auxiliary.shape == (2, 5, 12, 20)
    assert module.eval()(torch.randn(2, 2, 12, 20)).shape == (2, 5, 12, 20)
    assert codes(text.replace("auxiliary fcn_head(5)", "auxiliary conv(1, 5)")) == ["G309"]


def test_outside_of_a_network_there_is_no_image_to_default_to():
    inside = "op inner = relu -> fcn_head(5)\n"
    found = said(inside + network("inner"))
    assert [d.code for d in found] == ["G215"] and "like: map=input" in found[0].help
    (unknown,) = said("op f = resize(like=input)\n")
    assert unknown.code == "G101"


def test_before_the_image_is_declared_it_has_no_name():
    text = "network n {\n  stem conv(1, input.H)\n  input image(1, 8, 8)\n  head global_avg_pool\n}"
    assert codes(text) == ["G101"]


def test_the_sizes_of_the_image_are_numbers():
    text = network("global_avg_pool -> linear(input.H + input.W)") + "\n"
    assert codes(text) == []
    assert codes(text.replace("  head", "  require input.H % 5 == 0\n  head")) == ["G212"]


@pytest.mark.parametrize("default", ["3", "relu", "image", "x"])
def test_a_map_defaults_to_the_image_or_to_nothing(default):
    found = said(f"op f(g: map = {default}) = x + g\n")
    assert [d.code for d in found] == ["G205"] and "`input`" in found[0].message


def test_a_parameter_called_input_keeps_its_meaning(tmp_path):
    cells = "cell c(prev, input=2) {\n  return prev -> repeat(input, relu -> conv(1))\n}\n"
    text = cells + f"network n {{\n  {BODY}  cells 1 of c\n  head global_avg_pool\n}}"
    assert built(text, tmp_path).plan().params == 2 * 8 * 9 + 2 * 64
    own = "network n(input=5) {\n  input image(2, 12, 20)\n  head global_avg_pool -> linear(input)\n}"
    assert built(own, tmp_path).plan().output == (5,)


def test_generated_python_answers_for_every_pixel_too(tmp_path):
    net = built(network("fcn_head(5)"), tmp_path)
    module = net.module().eval()
    path = tmp_path / "dense_network.py"
    path.write_text(driver.to_python(net.program), "utf-8")
    spec = importlib.util.spec_from_file_location("dense_network", path)
    generated = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generated)
    assert "-> logits (B, 5, 12, 20)" in path.read_text("utf-8")
    twin = generated.N()
    twin.load_state_dict(module.state_dict())
    images = torch.randn(2, 2, 13, 20)
    assert torch.allclose(twin.eval()(images), module(images), atol=1e-6)


# The heads of the library


def weights(module):
    return list(module.state_dict().values())


def test_the_fcn_head_is_that_of_public_segmentation_code(tmp_path):
    module = built(network("fcn_head(5)"), tmp_path).module().double().eval()
    stem = nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False)
    head = nn.Sequential(
        nn.Conv2d(8, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(2, 5, 1)
    )
    twin = nn.ModuleList([stem, head]).double().eval()
    with torch.no_grad():
        for tensor in weights(module):
            tensor.uniform_(0.2, 0.9)
    own = {k: v for k, v in twin.state_dict().items() if "num_batches" not in k}
    twin.load_state_dict(dict(zip(own, weights(module), strict=True)), strict=False)
    images = torch.randn(2, 2, 13, 21, dtype=torch.float64)
    wanted = F.interpolate(head(stem(images)), size=(13, 21), mode="bilinear", align_corners=False)
    assert torch.allclose(module(images), wanted, atol=1e-9)
    assert any(isinstance(m, nn.Module) and getattr(m, "p", None) == 0.1 for m in module.modules())


def test_the_density_head_is_csrnets_back_end_with_an_absolute_value_behind_it(tmp_path):
    module = built(network("density_head(widths=[6, 4])"), tmp_path).module().double().eval()
    layers = [nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False)]
    for before, width in ((8, 6), (6, 4)):
        layers += [nn.Conv2d(before, width, 3, padding=2, dilation=2), nn.ReLU()]
    twin = nn.Sequential(*layers, nn.Conv2d(4, 1, 1)).double()
    twin.load_state_dict(dict(zip(twin.state_dict(), weights(module), strict=True)))
    images = torch.randn(4, 2, 13, 21, dtype=torch.float64)
    with torch.no_grad():
        middle = twin(images).mean()
        for bias in (weights(module)[-1], twin[-1].bias):
            bias -= middle
    signed = twin(images)
    assert (signed < 0).any() and (signed > 0).any()
    wanted = F.interpolate(signed.abs(), size=(13, 21), mode="bilinear", align_corners=False)
    assert torch.allclose(module(images), wanted, atol=1e-9)
    assert (module(images) >= 0).all()


def test_csrnets_own_back_end_has_the_size_of_its_public_code(tmp_path):
    body = "input image(3, 16, 16)\n  stem conv(3, 512, stride=8)\n"
    small, whole = (
        built(network(f"density_head({widths})", body), tmp_path).plan().params for widths in ("widths=[]", "")
    )
    backend, before = 0, 512
    for width in (512, 512, 512, 256, 128, 64):
        backend, before = backend + 9 * before * width + width, width
    assert whole - small == backend + (64 + 1) - (512 + 1)


def test_a_module_that_is_not_dense_still_answers_once(tmp_path):
    net = built(network("global_avg_pool -> linear(3)"), tmp_path)
    assert net.module()(torch.randn(2, 2, 12, 20)).shape == (2, 3)


def test_placed_cells_take_no_map_but_those_of_the_cells_before():
    text = (
        "cell c(prev) {\n  return prev -> relu\n}\n"
        f"network n {{\n  {BODY}  cells 1 of c(prev=input)\n  head global_avg_pool\n}}"
    )
    assert codes(text) == ["G205"]

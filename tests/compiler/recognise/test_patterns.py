import io
from typing import Any

import pytest
import torch
from reference.pouring import compiled
from shipped import images, randomise, small
from torch import Tensor

from genolang.api import Network, check
from genolang.compiler import driver
from genolang.compiler.ir import Graph, to_text
from genolang.compiler.ir.matched import Matched
from genolang.compiler.recognise.patterns import forms
from genolang.diagnostics import GenoError
from genolang.kernels.masking import KERNELS

OFF = ["recognise"]


def network(definition: str, stem: str = "conv(3, 4)", size: str = "9, 7") -> Network:
    """A network whose body is the operation `body` of a definition."""
    return compiled(f"""geno 1
import std.attention, std.plugins, std.masks
{definition}
network n {{
  input image(3, {size})
  stem  {stem}
  body  body
  head  global_avg_pool -> linear(3)
}}
""")


def graphs(graph: Graph) -> list[Graph]:
    return [graph, *(inner for _, n, _ in graph if n.body is not None for inner in graphs(n.body))]


def calls(found: Network, without: list[str] | None = None) -> list[str]:
    """The kernels found by their pattern, with their arguments."""
    graph = driver.build(found.program, without=without or [])
    nodes = [node.fused for g in graphs(graph) for _, node, _ in g]
    return [made.text() for made in nodes if isinstance(made, Matched)]


def reasons(found: Network) -> list[tuple[str, str]]:
    """Near misses by kernel, those of the device aside."""
    rows = driver.left_plain(found.program, 2)
    return [(row.kernel, row.reason) for row in rows if not row.reason.startswith("on a CPU")]


def trained(module: Any, image: Tensor) -> list[Tensor]:
    module.zero_grad()
    answer = module.train()(image)
    (answer.sin() * torch.arange(1, 4)).sum().backward()
    return [answer.detach(), *(p.grad for p in module.parameters())]


def assert_equal_to_plain(found: Network, size: tuple[int, int] | None = None) -> None:
    plain: Any = driver.to_module(found.program, fused=False).double()
    randomise(plain)
    module: Any = found.module().double()
    assert list(module.state_dict()) == list(plain.state_dict())
    module.load_state_dict(plain.state_dict())
    image = images(found, 3, size)
    for one, other in zip(trained(module, image), trained(plain, image), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(module.eval()(image), plain.eval()(image), rtol=1e-12, atol=1e-12)


MASK = "m = x -> conv(3) -> batch_norm"
SE = "global_avg_pool -> linear(2) -> relu -> linear(C)"
FOUND = {
    "op body { M  return (1 + sigmoid(m)) * conv(1)(x) }": "residual_mask",
    "op body { M  return x * (sigmoid(m) + 1) }": "residual_mask",
    "op body { M  return sigmoid(m) * x }": "naive_mask",
    "op body { M  return x * (m -> sigmoid) }": "naive_mask",
    "op body { M  return x * (1 + sigmoid(standardize(m, space))) }": "spatial_mask, residual=True, eps=1e-05",
    "op body { M  return (m -> standardize(space, eps=0.25) -> sigmoid) * x }": "spatial_mask, residual=False, eps=0.25",
    "op body { M  return (1 + l2_norm(m, channels)) * x }": "channel_mask, residual=True, sigmoid=False, eps=1e-12",
    "op body { M  return x * (1 + sigmoid(l2_norm(m, channels, eps=0.1))) }": "channel_mask, residual=True, sigmoid=True, eps=0.1",
    "op body { M  return x * l2_norm(m, channels) }": "channel_mask, residual=False, sigmoid=False, eps=1e-12",
    "op body { M  return x + sigmoid(m) * conv(1)(x) }": "recalibration, relu=False",
    "op body { M  return relu(conv(1)(x) * sigmoid(m) + x) }": "recalibration, relu=True",
    "op body = x + (x -> conv(3) -> batch_norm -> gated)": "recalibration, relu=False",
    "op body = identity + (conv(3) -> se(2)) -> relu": "recalibration, relu=True",
    "op body { y = x -> conv(3)  return relu(y * sigmoid(conv(3, 1)(y)) + x) }": "recalibration, relu=True",
    # The same map twice: x * (1 + sigmoid(m)), written out.
    "op body { M  return x + x * sigmoid(m) }": "recalibration, relu=False",
    "op body = identity + ge_minus -> relu": "recalibration, relu=True",
    "op body = identity + ge_plus(r=2) -> relu": "recalibration, relu=True",
    "op body = identity + eca -> relu": "recalibration, relu=True",
    "op body = identity + cbam(r=2) -> relu": "recalibration, relu=True",
    "op body = bam(r=2)": "residual_mask",
}


def spelled(text: str) -> str:
    """A definition in one line as the language writes it, `M` for a mask's logits."""
    marks = {"M  ": f"{MASK}\n  ", "{ ": "{\n  ", "  return": "\n  return", " }": "\n}", "  a =": "\n  a ="}
    for mark, lines in marks.items():
        text = text.replace(mark, lines)
    return f"{text}\nop gated = x * (x -> {SE} -> sigmoid)"


@pytest.mark.parametrize("text", FOUND)
def test_a_kernel_takes_what_its_pattern_says_in_any_order(text: str) -> None:
    found = network(spelled(text))
    assert calls(found) == [FOUND[text]]
    assert_equal_to_plain(found)


REFUSED = {
    "op body { M  return (2 + sigmoid(m)) * x }": ("residual_mask", "its `add` has constant=2, not 1"),
    "op body { M  return 0.5 * x * sigmoid(m) }": ("naive_mask", "its `multiply` has constant=1/2, not 1"),
    "op body { M  return x * (1 + l2_norm(m, space)) }": ("channel_mask", "its `l2_norm` has over=space, not channels"),
    "op body { M  a = sigmoid(m)  return x * a + a }": ("naive_mask", "its `sigmoid` is read 2 times"),
    "op body { M  return x * sigmoid(m) * (x -> conv(1)) }": ("naive_mask", "its `multiply` takes 3 maps, not 2"),
    "op body = gated": ("naive_mask", "the mask has another shape than its map"),
    "op body { y = x -> global_avg_pool  return x + y * sigmoid(y -> conv(1)) }": (
        "recalibration",
        "the branches have different shapes",
    ),
    "op body { y = x -> conv(3)  return x + y * sigmoid(mean(y, height)) }": (
        "recalibration",
        "the mask has no value for each number, each channel or each position of its map",
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_the_pattern_stays_and_the_reason_is_told(text: str) -> None:
    found = network(spelled(text))
    assert REFUSED[text] in reasons(found)
    taken = {kernel.split(",")[0] for kernel in calls(found)}
    assert REFUSED[text][0] not in taken
    assert_equal_to_plain(found)


def test_a_map_of_one_position_is_left_alone() -> None:
    found = network("op body = global_avg_pool -> gate\nop gate = x * (x -> linear(4) -> sigmoid)")
    assert calls(found) == []
    assert reasons(found) == [("naive_mask", "its map has a single position")]


def test_an_output_inside_a_pattern_stays() -> None:
    text = "cell both(a, b) {\n  m = a -> conv(3) -> sigmoid\n  return concat(m, m * b)\n}"
    found = compiled(f"""geno 1
{text}
network n {{
  input image(3, 5, 6)
  stem  conv(3, 4)
  cells 1 of both
  head  global_avg_pool -> linear(3)
}}
""")
    assert calls(found) == []
    assert reasons(found) == [("naive_mask", "its `sigmoid` is read 2 times")]


def test_an_image_of_another_size_that_changes_what_fits_is_computed_as_written() -> None:
    # At the declared size a window as large as the map leaves a value a channel; at others it does not.
    text = "op body { y = x -> conv(3)  return relu(x + y * (y -> conv((9, 1), pad=0) -> mean(width) -> sigmoid)) }"
    found = network(spelled(text))
    assert calls(found) == ["recalibration, relu=True"]
    assert_equal_to_plain(found)
    plain: Any = driver.to_module(found.program, fused=False)
    module: Any = found.module()
    module.load_state_dict(plain.state_dict())
    # Twice as high: ten masks for 18 rows do not fit, which is said of both at the words.
    for made in (module, plain):
        with pytest.raises(GenoError, match="4x18x7 and 4x10x1"):
            made(torch.randn(2, 3, 18, 7))
    tall = torch.randn(2, 3, 9, 11)
    torch.testing.assert_close(module(tall), plain(tall))


def test_masks_of_one_row_for_larger_images_are_stretched_as_written() -> None:
    # The mask has the declared image's one row of logits; the map of a larger image has more rows.
    text = "op body = x * (x -> core.avg_pool((1, 1), stride=(4, 1)) -> conv(1) -> sigmoid)"
    found = network(text, size="3, 8", stem="conv(3, 4, stride=(3, 1))")
    assert calls(found) == ["naive_mask"]
    assert_equal_to_plain(found)
    assert_equal_to_plain(found, (9, 8))


@pytest.mark.parametrize("gate", ["mixed", "spatial", "channel"])
@pytest.mark.parametrize("learn", ["residual", "naive"])
def test_the_masks_of_residual_attention_are_found(gate: str, learn: str) -> None:
    found = network(f'op body = residual_attention(unit=conv(3), learn="{learn}", gate="{gate}")')
    (call,) = calls(found)
    kernel = {"mixed": "residual_mask" if learn == "residual" else "naive_mask"}.get(gate, f"{gate}_mask")
    assert call.split(",")[0] == kernel
    assert (gate == "mixed") or f"residual={learn == 'residual'}" in call
    assert_equal_to_plain(found)


SHIPPED: dict[tuple[str, str], tuple[int, str]] = {
    ("residual_attention/cifar", "attention56"): (3, "residual_mask"),
    ("residual_attention/digits", "digits"): (2, "residual_mask"),
    ("resnet/cifar", "se_resnet20"): (3, "recalibration"),
    ("resnet/imagenet", "bam_resnet50"): (3, "residual_mask"),
    ("ean/clutter", "se_shared"): (12, "recalibration"),
    ("apnas/found", "resnet20"): (3, "recalibration"),
    ("att_darts/found", "cifar"): (8, "residual_mask"),
}


@pytest.mark.parametrize("name", SHIPPED, ids=str)
def test_shipped_networks_call_the_kernels_that_they_should(name: tuple[str, str]) -> None:
    count, kernel = SHIPPED[name]
    found = [use for use in driver.kernels(small(*name).program) if use.name.endswith(("mask", "recalibration"))]
    assert [(use.name, use.count) for use in found] == [(kernel, count)]


def test_a_call_is_opened_where_a_pattern_spans_it_and_nowhere_else() -> None:
    found = network("op body = identity + se(2) -> se(3) -> relu")
    root = driver.build(found.program)
    assert [body.name for _, node, _ in root if (body := node.body) is not None] == ["body"]
    slots = small("resnet/cifar", "se_resnet20")
    assert "call se" not in to_text(driver.build(slots.program))
    assert to_text(driver.build(slots.program, without=[*OFF, "open"])).count("call se") == 3
    alone = compiled("""geno 1
import std.attention
network n {
  input image(3, 5, 6)
  stem  conv(3, 4) -> se(2) -> relu
  head  global_avg_pool -> linear(3)
}
""")
    assert "call se" in to_text(driver.build(alone.program))


def test_the_pass_is_switched_off_by_its_name() -> None:
    found = network(spelled("op body { M  return (1 + sigmoid(m)) * x }"))
    assert calls(found, OFF) == []
    rows = driver.left_plain(found.program, 2, without=OFF)
    assert {(row.kernel, row.reason) for row in rows} == {("residual_mask", "switched off: `recognise`")}


def test_a_selection_computes_what_is_selected_and_kernels_come_back_with_the_mixture() -> None:
    text = "op body {\n  m = x -> (conv(3) | conv(1))\n  y = x -> (none | conv(3))\n  return x + y * sigmoid(m)\n}"
    found = network(f"import std.ops\n{text}")
    assert calls(found) == ["recalibration, relu=False"]
    module: Any = found.module().double().eval()
    plain: Any = driver.to_module(found.program, fused=False).double().eval()
    plain.load_state_dict(module.state_dict())
    image = images(found, 2)
    (one, other) = module.choices
    for options in ({one: [1], other: [1]}, {one: [0], other: [0]}, {other: [0]}, None):
        module.select(options)
        plain.select(options)
        torch.testing.assert_close(module(image), plain(image), rtol=1e-12, atol=1e-12)


def test_a_network_with_kernels_is_one_graph_for_torch_compile_and_export() -> None:
    found = network(spelled("op body { M  return relu(x + (x -> conv(3)) * sigmoid(m)) }"))
    module: Any = found.module().eval()
    image = images(found, 2).float()
    with torch.no_grad():
        expected = module(image)
        whole = torch.compile(module, fullgraph=True, backend="eager")
        torch.testing.assert_close(whole(image), expected)
    archive: Any = torch.export.load(io.BytesIO(driver.to_exported(module, found.program)))
    torch.testing.assert_close(archive.module()(image), expected)


@pytest.mark.parametrize("name", KERNELS)
def test_every_form_of_every_pattern_is_of_layers_without_weights(name: str) -> None:
    text = KERNELS[name].pattern
    assert check(f"geno 1\n{text}\n") == []
    found = forms(name, text)
    flags = text.count("=true") + text.count("=false")
    assert len(found) == 2**flags
    for form in found:
        assert all(node.kind == "input" or not node.path for _, node, _ in form.graph)
        assert len(form.graph.inputs) == 1 + text.split(")")[0].count(": map")


def test_lines_are_counted_with_every_call() -> None:
    text = """geno 1
op unit {
  m = x -> conv(3)
  return (1 + sigmoid(m)) * x
}
op four = repeat(4, unit)
network n {
  input image(3, 5, 6)
  stem  conv(3, 4) -> four
  body  unit -> four
  head  global_avg_pool -> linear(3)
}
"""
    (use,) = driver.kernels(compiled(text).program)
    assert (use.name, use.count) == ("residual_mask", 9)
    assert [(line.place, line.count, line.text) for line in use.lines] == [
        ("spec.geno:4", 9, "return (1 + sigmoid(m)) * x")
    ]

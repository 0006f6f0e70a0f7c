"""What is left to the library has a reason, whatever it is."""

from collections.abc import Iterator

import pytest
from shipped import EXAMPLES, small

from genolang.compiler import driver
from genolang.compiler.ir import Graph
from genolang.compiler.passes.capture import capture
from genolang.compiler.report.library import _KINDS, NO_WORK, REASONS, left_to_library
from genolang.primitives import PRIMITIVES

KERNELS = {"relative_attention"}


def test_every_layer_is_of_a_kind_that_has_a_reason_or_has_no_work() -> None:
    parts = [{"conv"}, set(_KINDS), NO_WORK, KERNELS]
    assert set().union(*parts) == set(PRIMITIVES)
    assert sum(map(len, parts)) == len(PRIMITIVES), "no layer is in two"
    assert set(_KINDS.values()) <= set(REASONS)
    assert all(len(reason) < 110 and "\n" not in reason for reason in REASONS.values())


def layers(graph: Graph) -> Iterator[tuple[str, str, int]]:
    for _, node, _ in graph:
        if node.body is not None:
            yield from layers(node.body)
        elif node.kind == "layer":
            yield node.layer, node.span.source.name, node.span.line


@pytest.mark.parametrize(
    ("spec", "name"), [("resnet/cifar", "se_resnet20"), ("darts/v2", "cifar"), ("aacn/clutter", "shares")]
)
def test_every_line_with_a_layer_that_computes_became_a_kernel_or_says_why_not(spec: str, name: str) -> None:
    program = small(spec, name).program
    written = {
        place
        for layer, *place_ in layers(driver.build(program, fused=False))
        if layer not in NO_WORK
        for place in [tuple(place_)]
    }
    told = {(line.file, line.line) for kernel in driver.kernels(program) for line in kernel.lines}
    told |= {(line.file, line.line) for row in driver.left_to_library(program) for line in row.lines}
    assert written <= told


def test_layers_are_counted_as_often_as_they_run() -> None:
    spec, name = "resnet/cifar", "se_resnet20"
    program = small(spec, name, **EXAMPLES[spec, name]).program
    convolutions = sum(layer == "conv" for layer, *_ in layers(driver.build(program, fused=False)))
    rows = {row.kind: row.count for row in driver.left_to_library(program)}
    assert rows["convolution"] + rows.get("1x1 convolution", 0) == convolutions


def test_alternatives_that_are_multiplied_are_told() -> None:
    program = small("att_darts/product").program
    (row,) = [row for row in driver.left_to_library(program) if row.kind == "mixed operation"]
    assert row.count > 0


def test_capture_marks_the_network_and_changes_nothing_else() -> None:
    program = small("quickstart").program
    without, graph = driver.build(program, without=["capture"]), driver.build(program)
    assert graph.captured and not without.captured
    marked = capture(without)
    assert marked.captured and not without.captured and marked.size() == without.size()
    assert capture(marked) is marked
    assert driver.to_module(program).captured and not driver.to_module(program, without=["capture"]).captured
    assert not driver.to_module(program, fused=False).captured
    assert left_to_library(marked) == left_to_library(without)
    assert driver.to_text(program).rstrip().splitlines()[-1] == "}"
    assert " {  # captured\n" in driver.to_text(program)

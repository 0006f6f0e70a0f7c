import re
from dataclasses import replace
from typing import Any

import pytest
from reference.pouring import compiled

from genolang.compiler import driver
from genolang.compiler.ir import Graph, build_graph, to_text, verify
from genolang.primitives import MapType

TEXT = """geno 1
op block = relu -> conv(3, bias=true)
op bottleneck(r=2) = conv(1, C // r) -> block -> conv(1, C)
network n(classes=3) {
  input image(2, 5, 4)
  stem  conv(1, 4) -> bottleneck -> bottleneck -> (block | zeros(1))
  head  global_avg_pool -> linear(classes)
}
"""
FUSED = """geno 1
op unit(k) = relu -> conv(k, groups=C) -> conv(1) -> batch_norm
network n {
  input image(2, 9, 8)
  stem  conv(3, 4) -> batch_norm -> unit(3) + unit(5) -> (unit(3) | zeros(1)) -> conv(1, 6) -> relu
  head  global_avg_pool -> linear(3)
}
"""
BEFORE = """\
graph block {
  %0 = input : 2x5x4
  %1 = relu() %0 : 2x5x4
  %2 = conv(k=3, stride=1, groups=1, dilation=1, bias=True) %1 : 2x5x4  # conv
  return %2
}

graph bottleneck {
  %0 = input : 4x5x4
  %1 = conv(k=1, out=2, stride=1, groups=1, dilation=1, bias=False) %0 : 2x5x4  # conv
  %2 = call block %1 : 2x5x4  # block
  %3 = conv(k=1, out=4, stride=1, groups=1, dilation=1, bias=False) %2 : 4x5x4  # conv_2
  return %3
}

graph block@2 {
  %0 = input : 4x5x4
  %1 = relu() %0 : 4x5x4
  %2 = conv(k=3, stride=1, groups=1, dilation=1, bias=True) %1 : 4x5x4  # conv
  return %2
}

"""


def graph() -> Graph:
    return build_graph(compiled(TEXT).program.block)


def changed(source: Graph, number: int, **change: Any) -> Graph:
    """A copy of a graph with one node changed."""
    out = source.empty_like()
    for at, node, arguments in source:
        inner = change.pop("arguments", arguments) if at == number else arguments
        out.add(replace(node, **change) if at == number else node, inner, number=at)
    out.inputs, out.outputs = source.inputs, source.outputs
    return out


def find(source: Graph, layer: str) -> int:
    return next(n for n, node, _ in source if node.layer == layer)


def test_the_text_lists_every_body_once_before_its_calls() -> None:
    text = to_text(graph())
    assert text.startswith(BEFORE)
    assert text.count("graph bottleneck {") == 1 and text.count("call bottleneck %") == 2
    assert "= mix[n.choice row 0 of 0,1 by sum] %4 %5 : 4x5x4" in text
    assert text.endswith("}\n")


def test_the_text_after_the_passes_reads_as_it_did() -> None:
    text = driver.to_text(compiled(TEXT).program, without=["pointwise", "fuse"])
    assert "row 0 of 0 by sum" in text and "zeros" not in text
    assert "%3 = conv(k=3, stride=1, groups=1, dilation=1, bias=True) %2 : 2x5x4  # block.conv" in text


def test_a_sound_graph_passes() -> None:
    verify(graph(), "building")


def test_a_graph_without_an_output_is_refused() -> None:
    broken = graph()
    broken.outputs = ()
    with pytest.raises(AssertionError, match="n has no output"):
        verify(broken, "a pass")


def test_a_wrong_shape_is_refused_by_name_and_place() -> None:
    source = graph()
    broken = changed(source, find(source, "conv"), type=MapType(9, 9, 9))
    with pytest.raises(AssertionError, match=r"after a pass: n %1 conv from .*: 9x9x9 does not follow"):
        verify(broken, "a pass")


def test_a_layer_that_loses_its_weights_path_is_refused() -> None:
    source = graph()
    with pytest.raises(AssertionError, match="weights without a path"):
        verify(changed(source, find(source, "conv"), path=()), "a pass")
    with pytest.raises(AssertionError, match="elsewhere is not declared"):
        verify(changed(source, find(source, "conv"), path=("elsewhere",)), "a pass")


@pytest.mark.parametrize("without", [["fuse"], ["batch"], []])
def test_a_layer_that_a_fused_node_computes_has_to_be_declared(without: list[str]) -> None:
    sound = driver.build(compiled(FUSED).program, without=without)
    verify(sound, "a pass")
    used = [path for _, node, _ in sound if node.fused is not None for path in node.paths]
    assert used
    for path in used:
        broken = sound.empty_like()
        for number, node, arguments in sound:
            broken.add(node, arguments, number=number)
        broken.inputs, broken.outputs = sound.inputs, sound.outputs
        broken.leaves = {other: leaf for other, leaf in sound.leaves.items() if other != path}
        with pytest.raises(AssertionError, match=f"{re.escape('.'.join(path))} is not declared"):
            verify(broken, "a pass")


def test_a_call_of_another_shape_is_refused() -> None:
    source = graph()
    call = next(n for n, node, _ in source if node.body is not None)
    with pytest.raises(AssertionError, match="called with"):
        verify(changed(source, call, arguments=(0,)), "a pass")
    with pytest.raises(AssertionError, match="wrong result type"):
        verify(changed(source, call, type=MapType(1, 1, 1)), "a pass")
    with pytest.raises(AssertionError, match="a call of nothing"):
        verify(changed(source, call, body=None), "a pass")


def test_a_mix_that_forgets_an_alternative_is_refused() -> None:
    source = graph()
    mix = next(n for n, node, _ in source if node.mix is not None)
    with pytest.raises(AssertionError, match="mix"):
        verify(changed(source, mix, kept=(0,)), "a pass")
    with pytest.raises(AssertionError, match="alternatives differ"):
        verify(changed(source, mix, arguments=(0, 1)), "a pass")


def test_links_follow_what_is_added_and_keep_positions() -> None:
    source = graph()
    assert {(a, n) for a, n in source.links.edges()} == {(a, n) for n, _, reads in source for a in reads}
    number = source.add(replace(source.node(1), path=()), (1, 1))
    assert [*source.links.in_edges(number, keys=True)] == [(1, number, 0), (1, number, 1)]


def test_nodes_come_in_the_order_of_their_numbers_and_back() -> None:
    source = graph()
    numbers = [number for number, _, _ in source]
    assert numbers == sorted(numbers) == [number for number, _, _ in reversed(source)][::-1]
    with pytest.raises(AssertionError, match="in the order of their numbers"):
        source.add(source.node(numbers[1]), (0,), number=numbers[-1])


def test_an_input_that_reads_is_refused() -> None:
    broken = graph()
    node = broken.node(0)
    number = broken.add(node, (1,))
    assert number == len(broken) - 1
    with pytest.raises(AssertionError, match="an input reads something"):
        verify(broken, "a pass")


def test_a_fault_inside_a_body_is_found() -> None:
    source = graph()
    call = next(n for n, node, _ in source if node.body is not None)
    body = source.node(call).body
    assert body is not None
    with pytest.raises(AssertionError, match="bottleneck %1 conv"):
        verify(changed(source, call, body=changed(body, 1, type=MapType(1, 1, 1))), "a pass")


def test_a_node_cannot_stand_before_what_it_reads() -> None:
    broken = graph()
    with pytest.raises(AssertionError, match="before its arguments"):
        broken.add(broken.node(1), (99,))

"""`searching`: true in networks with open choices, however these are written."""

import pytest

from genolang.compiler.ir import build_graph
from genolang.diagnostics import Source
from genolang.semantics.check import check_source, expand_network

HEAD = "geno 1\nimport std.ops\nop told = conv(if searching then 5 else 3)\n"
CHOICES = ["(relu | tanh)", "picked", "inner", "deep", "given(relu | tanh)", "given(picked)", "named"]
CLOSED = ["relu", "fixed", "given(relu)", "given(fixed)", "lonely"]
DEFINITIONS = """choice picked = relu | tanh
op inner = tanh -> (relu | tanh)
op deep = inner -> relu
op given(f) = f -> relu
op named(f=picked) = f
op fixed = relu -> tanh
op lonely = conv(1) -> conv(1)
"""


def windows(part: str) -> set[int]:
    """The windows of the convolutions that ask what is searched."""
    text = (
        HEAD
        + DEFINITIONS
        + (
            f"network n {{\n  input image(3, 8, 8)\n  stem {part} -> told\n  head global_avg_pool -> linear(2)\n}}\n"
            "network other {\n  input image(3, 8, 8)\n  stem picked -> inner\n  head global_avg_pool -> linear(2)\n}\n"
        )
    )
    checked = check_source(Source("text", text))
    assert checked.ok, [d.message for d in checked.diagnostics]
    graph = build_graph(expand_network(checked, "n", {}).block)
    return {leaf.attrs["k"] for leaf in graph.leaves.values() if leaf.layer == "conv" and leaf.attrs["k"] != 1}


@pytest.mark.parametrize("part", CHOICES)
def test_a_network_with_open_choices_is_searched(part: str) -> None:
    assert windows(part) == {5}


@pytest.mark.parametrize("part", CLOSED)
def test_a_network_without_is_not_whatever_stands_in_its_file(part: str) -> None:
    assert windows(part) == {3}

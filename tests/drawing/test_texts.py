"""Mermaid, Graphviz and HTML text of small pictures, in full."""

from __future__ import annotations

from pathlib import Path

from genolang.diagnostics import Source
from genolang.drawing.gather import gather
from genolang.drawing.picture import Picture
from genolang.drawing.texts import write_dot, write_html, write_mermaid
from genolang.semantics.check import check_source

SPEC = """geno 1
import std.ops, std.attention

choice operation = skip | sep_conv(3)

cell normal(prev2, prev1) {
  inputs s0 = prev2 -> relu_conv_bn(4), s1 = prev1 -> relu_conv_bn(4)
  nodes  n1
  edges {
    s0 -> n1 : operation -> drop_path
    s1 -> n1 : conv(3) -> se(r=2)
  }
  return concat(s1, n1)
}
"""

MERMAID = """flowchart LR
  subgraph p0["cell normal"]
    direction LR
    p0_0(["s0<br/>prev2 → relu_conv_bn"])
    p0_1(["s1<br/>prev1 → relu_conv_bn"])
    p0_2["n1"]
    p0_3(["concat"])
    p0_0 -.->|"operation"| p0_2
    p0_1 -->|"conv(3)<br/>se(r=2)"| p0_2
    p0_1 --> p0_3
    p0_2 --> p0_3
  end
"""

DOT = """digraph geno {
  rankdir=LR
  node [shape=box, style="rounded,filled", fillcolor="#f6f7f9", fontname="monospace"]
  edge [fontname="monospace", fontsize=11]
  subgraph cluster_0 {
    label="cell normal"
    p0_0 [label="s0\\nprev2 → relu_conv_bn"]
    p0_1 [label="s1\\nprev1 → relu_conv_bn"]
    p0_2 [label="n1"]
    p0_3 [label="concat"]
    p0_0 -> p0_2 [label="operation", style=dashed]
    p0_1 -> p0_2 [label="conv(3)\\nse(r=2)"]
    p0_1 -> p0_3
    p0_2 -> p0_3
  }
}
"""


def drawn(text: str = SPEC) -> list[Picture]:
    return gather(check_source(Source("a.geno", text), Path("a.geno")), None, {}, None)


def test_mermaid_text_of_a_cell() -> None:
    assert write_mermaid(drawn()) == MERMAID


def test_graphviz_text_of_a_cell() -> None:
    assert write_dot(drawn()) == DOT


def test_a_page_has_a_heading_and_a_drawing_for_each_picture() -> None:
    page = write_html([*drawn(), *drawn()], "a<b>.geno")
    assert page.count("<h2>normal</h2>") == page.count("<svg ") == 2
    assert "<h1>a&lt;b&gt;.geno</h1>" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_alternatives_written_on_an_edge_stand_below_each_other() -> None:
    (picture,) = drawn(SPEC.replace("operation ->", "(skip | conv(3) | conv(5)) ->"))
    assert [line.text for line in picture.edges[0].lines] == ["skip", "| conv(3)", "| conv(5)"]
    assert picture.edges[0].kind == "choice"


def test_names_given_inside_a_cell_lead_to_its_output() -> None:
    spec = SPEC.replace("return concat(s1, n1)", "y = n1 -> sigmoid\n  return s1 * y")
    (picture,) = drawn(spec)
    into = [edge.start for edge in picture.edges if edge.end == "return"]
    assert sorted(into) == ["n1", "s1"]
    assert picture.nodes[-1].label == "s1 * y"


def test_an_attention_module_with_nodes_is_drawn_as_a_cell() -> None:
    spec = (
        "geno 1\nattention unit {\n  nodes n1, n2\n  edges earlier -> each : conv(1)\n"
        "  return x * sigmoid(n1 + n2)\n}\n"
    )
    (picture,) = drawn(spec)
    assert picture.title == "attention unit"
    assert [(e.start, e.end) for e in picture.edges[:3]] == [("x", "n1"), ("x", "n2"), ("n1", "n2")]
    assert {e.start for e in picture.edges[3:]} == {"x", "n1", "n2"}

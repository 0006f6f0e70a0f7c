"""Pictures as text for other tools: Mermaid, Graphviz, and one static HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from genolang.diagnostics import printable
from genolang.drawing.picture import Edge, Node, Picture
from genolang.drawing.svg import safe, write_svg

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ margin: 2rem; background: #ffffff; color: #1f2933; font-family: Helvetica, Arial, sans-serif }}
figure {{ margin: 0 0 3rem; overflow-x: auto }}
</style>
</head>
<body>
<h1>{title}</h1>
{figures}
</body>
</html>
"""


def write_html(pictures: Sequence[Picture], title: str) -> str:
    """One page that needs nothing else: a heading and a drawing for each picture."""
    figures = [f"<h2>{safe(p.name)}</h2>\n<figure>\n{write_svg([p])}</figure>" for p in pictures]
    return _PAGE.format(title=safe(title), figures="\n".join(figures))


def write_mermaid(pictures: Sequence[Picture]) -> str:
    """One flowchart with a subgraph for each picture."""
    lines = ["flowchart LR"]
    for number, picture in enumerate(pictures):
        ids = _ids(picture, number)
        way = "LR" if picture.direction == "right" else "TB"
        lines += [f'  subgraph p{number}["{_mermaid(picture.title)}"]', f"    direction {way}"]
        for node in picture.nodes:
            text = "<br/>".join(_mermaid(t) for t in (node.label, *node.details))
            left, right = _SHAPES.get(node.kind, ("[", "]"))
            lines.append(f'    {ids[node.id]}{left}"{text}"{right}')
        for edge in picture.edges:
            text = "<br/>".join(_mermaid(line.text) for line in edge.lines)
            arrow = "-.->" if edge.kind == "choice" else "-->"
            label = f'|"{text}"|' if text else ""
            lines.append(f"    {ids[edge.start]} {arrow}{label} {ids[edge.end]}")
        lines.append("  end")
    return "\n".join(lines) + "\n"


_SHAPES = {"input": ("([", "])"), "output": ("([", "])"), "join": ("((", "))")}


def _mermaid(text: str) -> str:
    """The text with everything that means something to Mermaid or HTML as an entity of Mermaid's."""
    plain = (c.isalnum() or not c.isascii() or c in " _-.,:=()/+" for c in printable(text))
    return "".join(c if keep else f"#{ord(c)};" for c, keep in zip(printable(text), plain, strict=True))


def write_dot(pictures: Sequence[Picture]) -> str:
    """One digraph with a cluster for each picture."""
    down = all(picture.direction == "down" for picture in pictures)
    lines = [
        "digraph geno {",
        f"  rankdir={'TB' if down else 'LR'}",
        '  node [shape=box, style="rounded,filled", fillcolor="#f6f7f9", fontname="monospace"]',
        '  edge [fontname="monospace", fontsize=11]',
    ]
    for number, picture in enumerate(pictures):
        ids = _ids(picture, number)
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(picture.title)}"]
        lines += [f"    {ids[n.id]} [{_dot_node(n)}]" for n in picture.nodes]
        lines += [f"    {ids[e.start]} -> {ids[e.end]}{_dot_edge(e)}" for e in picture.edges]
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_node(node: Node) -> str:
    text = f"label={_quoted(node.label, *node.details)}"
    return text + (", shape=circle" if node.kind == "join" else "")


def _dot_edge(edge: Edge) -> str:
    parts = []
    if edge.lines:
        parts.append(f"label={_quoted(*(line.text for line in edge.lines))}")
    if edge.kind == "choice":
        parts.append("style=dashed")
    return f" [{', '.join(parts)}]" if parts else ""


def _quoted(*lines: str) -> str:
    """A quoted string of Graphviz; a backslash of the text stays one."""
    texts = (printable(t).replace("\\", "\\\\").replace('"', '\\"') for t in lines)
    return '"' + "\\n".join(texts) + '"'


def _ids(picture: Picture, number: int) -> dict[str, str]:
    """Names of our own, so that no word of a spec can be one of the tool's."""
    return {node.id: f"p{number}_{at}" for at, node in enumerate(picture.nodes)}

"""Whole specs as text, each without a problem: what stands in them is legal by construction."""

from __future__ import annotations

import re

from generated.layers import anywhere
from generated.operations import brought, edge, pipeline
from generated.writing import Writing
from hypothesis import strategies as st

from genolang.primitives import MapType

CHOICES = (
    "none | skip | max_pool(3) | sep_conv(3)",
    "skip | avg_pool(3) | dil_conv(3)",
    "max_pool(3) | none | sep_conv(5) -> se(r=2)",
)


@st.composite
def specs(draw: st.DrawFn, room: int = 24) -> str:
    """The text of a spec whose last network is the one to build."""
    w = Writing(draw, room=room)
    image = MapType(w.number(1, 4), w.number(1, 9), w.number(1, 9))
    parts = [f"input image({image.C}, {image.H}, {image.W})"]
    stem, x = pipeline(w, image)
    parts.append(f"stem {stem}")
    if w.whether():
        x = in_cells(w, x, parts) if w.whether() else in_one_cell(w, x, parts)
    staged: list[str] = []
    if w.whether():
        x = in_stages(w, x, parts, staged)
    if w.rarely():
        text, x = pipeline(w, x)
        parts.append(f"body {text}")
    parts.append(f"head {head(w, x)}")
    plugs = plugged(w, staged, reached(w, parts))
    network = f"network {'base' if plugs else 'n'} {{\n  " + "\n  ".join(parts) + "\n}"
    if plugs:
        network += f"\n\nnetwork n = base {plugs}"
    imports = f"import {', '.join(sorted(w.imports))}\n" if w.imports else ""
    return "geno 1\n" + imports + "\n" + "\n\n".join([*w.definitions, network]) + "\n"


def head(w: Writing, x: MapType) -> str:
    last = w.number(0, 2)
    if last == 0:
        return f"global_avg_pool -> linear({w.number(1, 3)})"
    if last == 1:
        return f"conv(({x.H}, {x.W}), 2, pad=0, bias=true)"
    return f"conv(1, 2, bias=true) -> resize(like=input, mode={w.one(['nearest', 'bilinear', 'area'])})"


def in_one_cell(w: Writing, x: MapType, parts: list[str]) -> MapType:
    """Cells with one input, whose edges are what they like."""
    inner = MapType(w.number(1, 4), x.H, x.W)
    name = w.name("cell_")
    nodes = [f"n{n}" for n in range(1, w.number(1, 3) + 1)]
    edges = []
    pattern = w.whether()
    if pattern:
        edges.append(f"earlier -> each : {edge(w, inner, inner)}")
    for number, node in enumerate([] if pattern else nodes):
        starts = ["s", *nodes[:number]]
        edges += [f"{s} -> {node} : {edge(w, inner, inner)}" for s in starts if s == starts[-1] or w.whether()]
    end = w.one([f"concat({', '.join(nodes)})", " + ".join(nodes)])
    w.define(
        f"cell {name}(prev, channels={inner.C}) {{\n  inputs s = prev -> conv(1, channels)\n  nodes {', '.join(nodes)}\n"
        f"  edges {{\n    " + "\n    ".join(edges) + f"\n  }}\n  return {end}\n}}"
    )
    parts.append(f"cells {w.number(1, 3)} of {name}")
    return inner._replace(C=inner.C * (len(nodes) if end.startswith("concat") else 1))


def in_cells(w: Writing, x: MapType, parts: list[str]) -> MapType:
    """Cells as DARTS has them: two inputs, some at half the size."""
    w.use("ops", "")
    channels, count = 2 * w.number(1, 2), w.number(1, 3)
    operation = w.name("choice_")
    alternatives = w.one(CHOICES)
    if "se(" in alternatives:
        w.use("attention", "")
    # A choice takes its argument by name and hands it to every alternative, so these are bare operations.
    if w.whether():
        w.define(f"choice {operation} = {alternatives.replace(' -> se(r=2)', '')}")
        w.chosen = True
    else:
        w.define(
            f"op {operation}(stride=1) = {w.one(['sep_conv(3, stride)', 'skip(stride)', 'max_pool(3, stride)', 'dil_conv(3, stride)'])}"
        )
    gate = f" -> {anywhere(w)}" if w.whether() else ""
    names = [w.name("normal_")]
    last = w.one(["concat(n1, n2)", "n1 + n2"])
    frame = (
        "inputs s0 = prev2 -> fit(channels, like=prev1), s1 = prev1 -> relu_conv_bn(channels)\n  nodes n1, n2\n  {}"
        f"\n  return {last}"
    )
    pattern = f"earlier -> each : {operation}{gate} -> drop_path"
    w.define(f"cell {names[0]}(prev2, prev1, channels={channels}) {{\n  " + frame.format(f"edges {pattern}") + "\n}")
    placed, halved = names[0], w.whether()
    if halved:
        names.append(w.name("reduction_"))
        edges = f"edges inputs -> each : {operation}(stride=2){gate}\n  edges nodes -> later : {operation}"
        w.define(f"cell {names[1]}(prev2, prev1, channels={channels}) {{\n  " + frame.format(edges) + "\n}")
        placed += f", {names[1]}(channels={2 * channels}) at {w.number(0, count - 1)}"
    parts.append(f"cells {count} of {placed}")
    if w.whether():
        parts.append(f"auxiliary relu -> global_avg_pool -> linear(2) at {w.one(['0', '1/2'])} weight 0.4")
    out = (2 * channels if halved else channels) * (2 if last.startswith("concat") else 1)
    return MapType(out, -(-x.H // 2), -(-x.W // 2)) if halved else MapType(out, x.H, x.W)


def in_stages(w: Writing, x: MapType, parts: list[str], staged: list[str]) -> MapType:
    """Stages of units with slots."""
    steps = []
    for _ in range(w.number(1, 2)):
        text, x = pipeline(w, x, 1)
        unit, slot = w.name("unit_"), f"slot_{len(w.slots)}"
        w.slots[slot] = True
        staged.append(slot)
        w.define(
            f"op {unit} = ({brought(w, x, x)} -> slot {slot}) + {w.one(['identity', 'conv(1)'])} -> {w.one(['relu', 'identity'])}"
        )
        steps.append(f"{text} -> repeat({w.number(1, 3)}, {unit})")
    parts.extend(f"stages {step}" for step in steps)
    return x


def reached(w: Writing, parts: list[str]) -> set[str]:
    """The words of the network and of the definitions that it leads to; a draw may have dropped others."""
    definitions = [re.findall(r"\w+", text) for text in w.definitions]
    by_name = {words[1]: words for words in definitions}
    found: set[str] = set()
    new = re.findall(r"\w+", " ".join(parts))
    while new:
        word = new.pop()
        if word not in found:
            found.add(word)
            new += by_name.get(word, ())
    return found


def plugged(w: Writing, staged: list[str], used: set[str]) -> str:
    plugs = []
    for slot in w.slots:
        if slot not in used or not w.whether():
            continue
        module = w.one(
            [
                "se(r=2)",
                "eca",
                "dia(r=2)",
                "sge(groups=1)",
                "bam(r=2, d=1)",
                "conv(1)",
                "cbam(r=2, k=3)",
                "relu -> batch_norm",
            ]
        )
        for name, part in (
            ("se", "attention"),
            ("eca", "plugins"),
            ("dia", "plugins"),
            ("sge", "plugins"),
            ("bam", "attention"),
            ("cbam", "attention"),
        ):
            if module.startswith(f"{name}(") or module == name:
                w.use(part, module)
        sharing = w.one(
            ["", " shared per stage", " shared per network"] if slot in staged else ["", " shared per network"]
        )
        where = w.one(["", " where every 2", " where search"] if slot in staged else [""])
        plugs.append(f"with {module} at {slot}{sharing}{where}")
    return " ".join(plugs)

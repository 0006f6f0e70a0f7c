"""Operations of several layers as text: pipelines, arithmetic, definitions, states, choices and graphs."""

from __future__ import annotations

from collections.abc import Callable

from generated.layers import anywhere, layer
from generated.writing import MOST_CHANNELS, Drawn, Writing, fitted

from genolang.primitives import MapType

Writer = Callable[[Writing, MapType], Drawn]


def pipeline(w: Writing, x: MapType, most: int = 3) -> Drawn:
    stages = []
    for _ in range(w.number(1, most)):
        text, x = part(w, x)
        stages.append(text)
    return " -> ".join(stages), x


def brought(w: Writing, x: MapType, out: MapType, most: int = 2) -> str:
    """A pipeline that ends in a map of a given shape."""
    text, found = pipeline(w, x, most)
    return text if found == out else f"{text} -> {fitted(found, out)}"


def part(w: Writing, x: MapType) -> Drawn:
    """One stage of a pipeline, in brackets where it needs them."""
    if not w.spend() or w.whether():
        return single(w, x)
    return w.one(PARTS)(w, x)


def single(w: Writing, x: MapType) -> Drawn:
    text, out = layer(w, x)
    return (f"({text})" if " " in text else text), out


def added(w: Writing, x: MapType) -> Drawn:
    left, out = pipeline(w, x, 2)
    terms = [f"({left})", *(f"({brought(w, x, out)})" for _ in range(w.number(1, 2)))]
    if w.rarely():
        terms.append(w.one(["0.5", "1", "1/3"]))
    return f"({' + '.join(terms)})", out


def subtracted(w: Writing, x: MapType) -> Drawn:
    left, out = pipeline(w, x, 2)
    return f"(({left}) - {w.one(['0.5 *', '2 *', ''])} ({brought(w, x, out)} -> tanh))", out


def stretched(w: Writing, x: MapType, out: MapType) -> str:
    """What fits a map element by element: of its shape, or with axes of size 1."""
    if x.C == out.C and w.whether():
        return f"{w.one(['global_avg_pool', 'global_max_pool', 'mean(space)'])} -> {w.one(['conv(1, bias=true)', f'linear({x.C})'])}"
    if x[1:] == out[1:] and w.whether():
        return w.one(["conv(3, 1, bias=true)", "mean(channels)", "max(channels)"])
    if x == out and w.rarely():
        return w.one(["mean(height)", "max(width)"])
    return brought(w, x, out)


def masked(w: Writing, x: MapType) -> Drawn:
    left, out = ("identity", x) if w.whether() else pipeline(w, x, 2)
    ends = [
        "sigmoid",
        "tanh",
        "standardize(space) -> sigmoid",
        "batch_norm -> sigmoid",
        "softmax(space)",
        "relu",
        "l2_norm(channels)",
    ]
    mask = f"({stretched(w, x, out)} -> {w.one(ends)})"
    shown = w.one([mask, f"(1 + {mask})", f"(0.5 * {mask} + 1/3)"])
    return f"(({left}) * {shown})", out


def summed_masks(w: Writing, x: MapType) -> Drawn:
    """The map times several masks, added."""
    terms = [f"identity * ({stretched(w, x, x)} -> sigmoid)" for _ in range(w.number(2, 3))]
    return f"({' + '.join(terms)})", x


def divided(w: Writing, x: MapType) -> Drawn:
    left, out = pipeline(w, x, 2)
    return f"(({left}) / (1.5 + ({stretched(w, x, out)} -> {w.one(['sigmoid', 'tanh'])})))", out


def with_numbers(w: Writing, x: MapType) -> Drawn:
    """An operation between signs and numbers."""
    left, out = pipeline(w, x, 2)
    forms = ["(1 - ({}))", "(-({}))", "((0.5 + ({})) / 2)", "(1 / (1.5 + (({}) -> sigmoid)))", "(({}) - 1/3)"]
    return w.one(forms).format(left), out


def joined(w: Writing, x: MapType) -> Drawn:
    first, out = pipeline(w, x, 2)
    texts, channels = [first], out.C
    for _ in range(w.number(1, 2)):
        if channels < MOST_CHANNELS:
            more = MapType(w.number(1, MOST_CHANNELS - channels), out.H, out.W)
            texts.append(brought(w, x, more))
            channels += more.C
    return f"concat({', '.join(texts)})", MapType(channels, out.H, out.W)


def chosen(w: Writing, x: MapType) -> Drawn:
    """A choice: in place or under a name, by sum or by product."""
    if not w.choices:
        return single(w, x)
    w.chosen = True
    product = w.rarely()

    def write() -> tuple[list[str], MapType]:
        first, out = pipeline(w, x, 2)
        texts = [first]
        for _ in range(w.number(1, 3)):
            plain = (
                w.one(["identity", "skip", "none", "relu", "zeros"]) if x == out and w.whether() and not product else ""
            )
            if plain in ("skip", "none"):
                w.use("ops", plain)
            texts.append(plain or brought(w, x, out))
        return texts, out

    texts, out = w.without_choices(write)
    if product:
        texts = [f"{text} -> sigmoid" for text in texts]
        if w.choices and x == out and w.rarely():
            texts.append(w.use("attention", "ones"))
    elif not w.rarely():
        bare = " | ".join(f"({t})" if " " in t else t for t in texts)
        return f"({bare})", out
    name = w.name("choice_")
    alternatives = " | ".join(f"({t})" if " " in t else t for t in texts)
    w.define(f"choice {name} = {alternatives}{' combine product' if product else ''}")
    return (name if not product or x != out or w.whether() else f"(identity * {name})"), out


def defined(w: Writing, x: MapType) -> Drawn:
    """A definition, new or known for maps of this shape."""
    known = [d for chosen in ({False, w.choices}) for d in w.known.get((x, chosen), [])]
    if known and w.whether():
        return w.one(known)
    before, slots, w.chosen = w.chosen, len(w.slots), False
    text, out = w.one(BODIES)(w, x)
    name = w.name("op_")
    w.define(f"op {name}{text}")
    chosen, w.chosen = w.chosen, before or w.chosen
    if len(w.slots) == slots:
        w.known.setdefault((x, chosen), []).append((name, out))
    return name, out


def expression(w: Writing, x: MapType) -> Drawn:
    text, out = pipeline(w, x)
    return f" = {text}", out


def statements(w: Writing, x: MapType) -> Drawn:
    """Maps with names, which several read."""
    first, y = pipeline(w, x, 2)
    second, z = pipeline(w, y, 2)
    ends = [
        f"z - 1/3 + (y -> {brought(w, y, z, 1)})",
        f"z * (y -> {stretched(w, y, z)} -> sigmoid)",
        f"z + (x -> {brought(w, x, z, 1)}) * (y -> {stretched(w, y, z)} -> sigmoid)",
        f"z * (z -> {stretched(w, z, z)} -> tanh) + z",
    ]
    return f" {{\n  y = x -> {first}\n  z = y -> {second}\n  return {w.one(ends)}\n}}", z


def shared(w: Writing, x: MapType) -> Drawn:
    """One instance that two maps go through."""
    layers, out = pipeline(w, x, 2)
    other = anywhere(w, x)
    sign = w.one(["+", "*", "-"])
    return f" {{\n  h = {layers}\n  return h(x) {sign} sigmoid(h(x -> {other}))\n}}", out


def of_a_map(w: Writing, x: MapType) -> Drawn:
    """A definition with a further map as argument."""
    guide, g = pipeline(w, x, 1)
    text, out = pipeline(w, x, 2)
    name = w.name("of_")
    w.define(f"op {name}(g: map, act=relu) = (x -> {text}) * (g -> {brought(w, g, out, 1)} -> sigmoid) -> act")
    return f" {{\n  g = x -> {guide}\n  return x -> {name}(g=g{w.one(['', ', act=tanh', ', act=batch_norm'])})\n}}", out


def product_of_matrices(w: Writing, x: MapType) -> Drawn:
    """Positions by positions, as attention has it."""
    first = "(x -> transpose)" if w.whether() else "(x -> conv(1, 2) -> transpose)"
    second = "x" if first == "(x -> transpose)" else "(x -> conv(1, 2, bias=true))"
    return (
        f" {{\n  a = matmul({first}, {second}) -> {w.one(['softmax(channels)', 'tanh', 'single_precision -> sigmoid -> precision(like=x)'])}"
        f"\n  return x + matmul(x, a)\n}}"
    ), x


def repeated(w: Writing, x: MapType) -> Drawn:
    text = brought(w, x, x)
    if w.whether():
        return f" = repeat({w.number(1, 3)}, {text})", x
    return (
        f" = for k in [1, {w.one([3, 5])}] : {text} -> conv(k, groups={w.one([1, x.C])}) -> resize(size=({x.H}, {x.W}))",
        x,
    )


def stateful(w: Writing, x: MapType) -> Drawn:
    """A module with state that the map goes through several times."""
    name = w.name("state_")
    seen = w.one(["global_avg_pool", "global_max_pool", "global_avg_pool -> linear(C) -> tanh"])
    mask = w.one(["sigmoid", "linear(C) -> sigmoid", "tanh"])
    w.define(
        f"attention {name}(keep=0.75) state m {{\n  m = keep * m + (1 - keep) * (x -> {seen})\n"
        f"  return x * (m -> {mask})\n}}"
    )
    between = brought(w, x, x, 1)
    return f" {{\n  again = {name}\n  return x -> again -> {between} -> again -> {name}(keep=0.5)\n}}", x


def graph(w: Writing, x: MapType) -> Drawn:
    """Nodes and edges in a definition: each edge by itself, or a pattern."""
    inputs = w.number(0, 1)
    lines = [f"inputs a = x, b = x -> {brought(w, x, x, 1)}"] if inputs else []
    starts = ["a", "b"] if inputs else ["x"]
    nodes = [f"n{n}" for n in range(1, w.number(1, 3) + 1)]
    lines.append(f"nodes {', '.join(nodes)}")
    edges = []
    if w.whether():
        edges.append(f"earlier -> each : {edge(w, x, x)}")
        if len(nodes) > 1 and w.rarely():
            edges.append(f"nodes -> later : {edge(w, x, x)}")
    else:
        for number, node in enumerate(nodes):
            for start in [*starts, *nodes[:number]]:
                if start == starts[0] or w.whether():
                    edges.append(f"{start} -> {node} : {edge(w, x, x)}")
    lines.append("edges {\n    " + "\n    ".join(edges) + "\n  }")
    fits = x.C * len(nodes) <= MOST_CHANNELS
    end = w.one([nodes[-1], " + ".join(nodes), *([f"concat({', '.join(nodes)})"] if fits and len(nodes) > 1 else [])])
    out = MapType(x.C * len(nodes), x.H, x.W) if end.startswith("concat") else x
    lines.append(f"return {end}")
    return " {\n  " + "\n  ".join(lines) + "\n}", out


def edge(w: Writing, x: MapType, out: MapType) -> str:
    if w.choices and w.whether():
        text, found = chosen(w, x)
        text = text if found == out else f"{text} -> {fitted(found, out)}"
    else:
        text = brought(w, x, out)
    return text if not w.rarely() else f"{text} -> drop_path"


def slotted(w: Writing, x: MapType) -> Drawn:
    """A unit with a place for a plug-in."""
    name = f"slot_{len(w.slots)}"
    w.slots[name] = False
    return (
        f" = ({brought(w, x, x)} -> slot {name}) + {w.one(['identity', 'conv(1)'])} -> {w.one(['relu', 'identity'])}",
        x,
    )


BODIES: tuple[Writer, ...] = (
    expression,
    statements,
    shared,
    of_a_map,
    repeated,
    graph,
    stateful,
    product_of_matrices,
    slotted,
)
PARTS: tuple[Writer, ...] = (
    added,
    masked,
    joined,
    defined,
    chosen,
    subtracted,
    divided,
    summed_masks,
    defined,
    chosen,
    with_numbers,
)

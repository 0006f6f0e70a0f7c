"""Search specs that are in order by construction: every way in which a choice can stand in a text.

Without any feature a spec has one cell whose pattern of edges holds one choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from generated.search_maker import Draw, Maker, Spec

# Features, and pairs of them, that do not hold yet, each with what happens. Taking one out of here turns it
# on everywhere: in its own test, in the mixtures of features and in the long run.
WAITING: dict[str, str] = {}


def spec(draw: Draw, features: Iterable[str]) -> Spec:
    wanted = set(features)
    assert wanted <= FEATURES.keys(), wanted
    return Maker(draw, {name: add for name, add in FEATURES.items() if name in wanted}).make()


# Features: each puts something more into a spec.


def alternatives_in_place(m: Maker) -> None:
    m.uses.append(m.in_place())
    m.uses.append(f"relu -> {m.in_place()}")


def argument(m: Maker) -> None:
    """A choice handed to a definition."""
    m.uses += [f"{m.wrapper()}({m.operation})", f"{m.wrapper()}(f={m.in_place()})"]
    two = m.named(m.name("both"), "op", "(f, g)", m.one(["f -> g", "f + g", "g -> f -> g"]))
    m.uses.append(f"{two}({m.operation}, {m.one([m.operation, m.in_place(), 'relu'])})")


def nested(m: Maker) -> None:
    """Arguments of arguments, and definitions that hand theirs on."""
    inner, outer = m.wrapper(), m.name("outer")
    m.named(outer, "op", "(f)", m.one([f"{inner}(f)", f"{inner}(f) -> f", f"{inner}({inner}(f))"]))
    m.uses += [f"{outer}({m.operation})", f"{inner}({inner}({m.operation}))", f"{outer}({m.in_place()})"]


def twice(m: Maker) -> None:
    m.uses += [f"{m.operation} -> relu -> {m.operation}", f"{m.operation} -> {m.operation}",
               f"{m.operation} + {m.operation}"]  # fmt: skip


def two_choices(m: Maker) -> None:
    gate = m.choice("gate", m.alternatives())
    m.uses += [f"{m.operation} -> {gate}", f"{gate} -> {m.operation}", gate]


def inside(m: Maker) -> None:
    """A choice in the text of a definition that edges or parts call."""
    unit = m.op(m.name("unit"), "", m.around(m.one([m.operation, m.in_place()])))
    outer = m.op(m.name("deep"), "", f"{unit} -> relu -> {unit}")
    m.uses += [unit, outer, f"{unit} -> {m.operation}"]


def inside_with_argument(m: Maker) -> None:
    """A choice inside a definition that has an argument too, perhaps a named operation."""
    unit = m.named(m.name("unit"), "op", "(f)", f"{m.operation} -> f -> {m.in_place()}")
    m.uses += [f"{unit}(relu)", f"{unit}({m.operation})", f"{unit}(f={m.in_place()})"]
    shared = m.name("sharing")
    m.definitions.append(
        f"op {shared} {{\n  mlp = {m.one(['conv(3)', m.operation])}\n  return x -> {unit}(mlp) -> mlp\n}}"
    )
    m.uses.append(shared)


def default(m: Maker) -> None:
    """A choice as the default of a definition's parameter."""
    unit = m.named(m.name("unit"), "op", f"(f={m.one([m.operation, m.in_place()])}, n=2)", "relu -> f")
    m.uses += [unit, f"{unit}(n=3)", f"{unit}(f=conv(3))", f"{unit}({m.operation})"]


def cell_parameter(m: Maker) -> None:
    m.cell_args.append(f"f={m.one([m.operation, m.in_place()])}")
    m.uses[:] = ["f", m.one(["f -> relu", m.operation])]


def given_to_cell(m: Maker) -> None:
    """A choice that a cell is given from outside belongs to no edge of the cell."""
    cell, graph = m.name("filled"), m.name("graph")
    edge = m.one(["f", "f -> relu", f"f -> {m.operation}"])
    m.definitions.append(f"cell {cell}(p, q, f=relu, channels=4) {{\n  nodes n1, n2\n  edges earlier -> each : {edge}\n"
                         "  return n1 + n2\n}")  # fmt: skip
    m.definitions.append(f"op {graph}(f=conv(1)) {{\n  inputs p = x, q = x -> tanh\n  nodes n1, n2\n"
                         f"  edges earlier -> each : {edge}\n  return n2\n}}")  # fmt: skip
    m.parts.append(f"body {graph}({m.operation})")
    m.placed += [f"{cell}(f={m.operation}) at 0", f"{cell}(f={m.one(['relu', m.operation, m.in_place()])}) at 1"]
    m.uses += [f"{graph}({m.operation})", f"{graph}(f={m.in_place()})", graph]


def network_parameter(m: Maker) -> None:
    m.network_args.append(f"g={m.one([m.operation, m.in_place()])}")
    m.parts += ["body g", m.one(["body relu -> g", "body g -> g"])]


def bodies(m: Maker) -> None:
    """Choices in the parts of a network."""
    m.parts += [f"body {m.around(m.use())}", f"body {m.operation}"]


def repetition(m: Maker) -> None:
    """One place of the text, several times in the network."""
    forms = [f"for k in [3, 1] : {m.operation} -> conv(k)", "for k in [3, 1] : (conv(k) | relu)",
             f"repeat(2, {m.operation})", f"repeat(2, {m.operation} -> relu)"]  # fmt: skip
    m.parts.append(f"body {m.one(forms)}")
    m.uses.append(f"({m.one(forms)})")


def conditions(m: Maker) -> None:
    m.uses += [f"(if 1 < 2 then {m.operation} else relu)", f"(if 2 < 1 then relu else {m.in_place()})"]
    unit = m.named(m.name("unit"), "op", "(deep=true)", f"if deep then {m.operation} -> relu else {m.in_place()}")
    m.uses += [unit, f"{unit}(deep=false)"]


def joins(m: Maker) -> None:
    """Choices between infix signs, where an alternative may need brackets."""
    m.uses += [f"identity + {m.operation}", f"0.5 * {m.operation}", f"concat({m.operation}, {m.in_place()}) -> conv(1, 4)",
               f"{m.operation} - {m.in_place()}", f"{m.operation} * sigmoid"]  # fmt: skip
    name = m.name("join")
    m.definitions.append(f"op {name} {{\n  y = x -> {m.operation}\n  return y + (x -> {m.in_place()}) * 0.5\n}}")
    m.uses.append(name)


def named_operation(m: Maker) -> None:
    """A name for a choice is one instance with its weights, and one decision."""
    name = m.name("same")
    m.definitions.append(f"op {name} {{\n  f = {m.one([m.operation, m.in_place()])}\n  return x -> f -> relu -> f\n}}")
    m.uses.append(name)
    m.parts += [f"shared = {m.operation}", "body shared -> relu -> shared"]


def parameters(m: Maker) -> None:
    """A choice with parameters, which its alternatives use."""
    options = m.some(("conv(k)", "conv(k) -> relu", "sep_conv(k)", "identity", "conv(3, groups=g)"), 2, 4)
    name = m.choice("sized", options, params="(k=3, g=2)")
    m.uses += [name, f"relu -> {name}", f"{name}(k=5)", f"{name}(g=1, k=1) -> {name}"]
    gate = m.choice(
        "layered", ["layer(k) -> relu", "layer(3)", "act"], params="(layer=conv, k=2 + 1, act=relu -> tanh)"
    )
    m.uses += [gate, f"{gate}(act=identity)", f"{gate}(k=5) -> {name}(k=5)"]


def added(m: Maker) -> None:
    """A choice that hands arguments on to its alternatives, and one with calls that lead nowhere."""
    name = m.choice("strided", m.some(("sep_conv(3)", "max_pool(3)", "skip", "conv(3)", "conv_7x1_1x7"), 2, 4))
    m.uses += [f"{name}(stride=1)", f"{name}(stride=1) -> {name}(stride=1)"]


def stages(m: Maker) -> None:
    unit = m.named(m.name("phase"), "op", "(k)", "relu -> conv(k) -> batch_norm")
    m.parts += [f"stages {unit}(3) | {unit}(1) | identity", f"stages {m.operation} -> {m.in_place()}",
                f"stages for k in [3, 1] : {unit}(k) -> {m.operation}"][: m.number(1, 3)]  # fmt: skip


def slots(m: Maker) -> None:
    """Slots whose module is left to the search, and modules that hold choices or are graphs themselves."""
    m.imports += ["std.attention", "std.plugins"]
    block = m.name("block")
    m.definitions.append(
        f"op {block}(k=3) {{\n  y = x -> conv(k) -> batch_norm\n  return relu((y -> slot place) + x)\n}}"
    )
    m.parts += [f"stages {block} -> {block}(1)", f"stages repeat(2, {block})"]
    module = m.one(["se(r=2)", "dia(r=2)", "eca", "(identity | se(r=2))", "se(r=2) -> conv(1)"])
    shared = m.one(["", " shared per stage", " shared per network"])
    where = m.one([" where search", " where all", " where every 2 from 1", ""])
    m.plugs.append(f"with {module} at place{shared}{where}")


def plugged_graph(m: Maker) -> None:
    """An attention module that is a graph to be searched, in a body or in slots."""
    name = m.name("graph")
    keep = m.flag()
    options = [*m.alternatives(2, 3), *(["none"] if keep else [])]
    candidate = m.choice("candidate", options)
    lines = [
        f"attention {name} {{",
        "  inputs a = x, b = x",
        "  nodes n1, n2",
        f"  edges earlier -> each : {candidate}",
    ]
    lines += ["  keep 1 edges per node by " + candidate] if keep else []
    m.definitions.append("\n".join([*lines, "  return x * sigmoid(n1 + n2)", "}"]))
    m.parts.append(f"body {name}")
    m.uses.append(name)


def within(m: Maker) -> None:
    """Alternatives that hold a choice themselves, which is decided where they are."""
    gate = m.choice("gate", m.alternatives())
    wrap = m.wrapper()
    unit = m.op(m.name("unit"), "", f"relu -> {gate}")
    name = m.choice(
        "nest", [m.one(["relu", "conv(3)"]), f"{wrap}({gate})", f"{wrap}({m.in_place()})", unit][: m.number(2, 4)]
    )
    m.uses += [name, f"{name} -> {name}", f"{wrap}({name})", f"({wrap}({gate}) | identity | {gate} -> relu)"]


def called(m: Maker) -> None:
    """Choices that are called with a map: by name, with arguments, in place, as a parameter, one in another."""
    name = m.choice(
        "sized", m.some(("conv(k)", "conv(k) -> relu", "identity", "conv(3) + identity"), 2, 4), params="(k=3)"
    )
    op = m.name("calling")
    forms = [f"{name}(x)", f"{name}(x, k=5)", f"{m.in_place()}(x)", f"{name}({name}(x, k=1))", "f(x)", "f(x -> relu)"]
    first, second = m.one(forms), m.one(forms)
    m.definitions.append(f"op {op}(f={m.one([m.operation, m.in_place()])}) = {first} {m.one(['+', '-', '*'])} {second}")
    m.uses += [op, f"{op}({m.operation})", f"relu -> {op}(f={name})"]
    m.parts.append(f"body {op}(relu)")


def masks(m: Maker) -> None:
    """Masks that are mixed by their product."""
    m.imports.append("std.attention")
    options = m.some(("se_mask(r=2)", "ones", "bam_code_mask(r=2, d=1)", "cbam_code_mask(r=2, k=3)"), 2, 4)
    mask = m.choice("mask", options, " combine product")
    m.uses += [f"masked({mask})", f"{m.operation} -> masked(by={mask})"]


def imported(m: Maker) -> None:
    """Alternatives behind an alias, and a choice whose definition stands in another file."""
    m.imports += ["std.attention as att", "own.more"]
    m.uses.append(m.choice("gate", ["identity", *m.some(("att.se(r=2)", "att.cbam(r=2, k=3)", "core.conv(3)"), 1, 3)]))
    m.files["own/more.geno"] = ("geno 1\nimport std.ops\nop far = conv(3) -> relu\nchoice foreign = far | skip | dil_conv(3)\n"
                                "op around(f) = relu -> f\n")  # fmt: skip
    m.uses += ["foreign", "foreign -> relu", f"around({m.operation})"]


def imported_as(m: Maker) -> None:
    """A choice behind an alias."""
    m.imports += ["own.others as more"]
    m.files["own/others.geno"] = (
        "geno 1\nimport std.ops\nop far = conv(3) -> relu\nchoice distant = far | skip | relu\n"
    )
    m.uses += ["more.distant", "relu -> more.distant"]


def unused(m: Maker) -> None:
    """A module for maps of four channels, which an answer may leave out."""
    own = m.named(m.name("own"), "attention", "", "x * (x -> conv(3, 4) -> sigmoid)")
    gate = m.choice("gate", ["identity", own, "conv(3)"])
    m.uses.append(gate)
    m.parts.append(f"body {gate}")


FEATURES: dict[str, Callable[[Maker], None] | None] = {
    "formatting": None, "explicit": None, "sections": None, "keep": None, "two_cells": None, "two_networks": None,
    "in_place": alternatives_in_place, "two_choices": two_choices, "twice": twice, "inside": inside,
    "bodies": bodies, "repetition": repetition, "conditions": conditions, "joins": joins,
    "named_operation": named_operation, "parameters": parameters, "added": added, "within": within, "called": called, "stages": stages,
    "masks": masks, "imported": imported, "imported_as": imported_as, "unused": unused, "default": default,
    "plugged_graph": plugged_graph, "slots": slots, "argument": argument, "nested": nested,
    "inside_with_argument": inside_with_argument, "network_parameter": network_parameter,
    "given_to_cell": given_to_cell,
    # Last, since it says what the edges hold.
    "cell_parameter": cell_parameter,
}  # fmt: skip

"""Specs broken in one way each: where the message points, and what it proposes."""

import pytest

import genolang
from genolang.diagnostics import Diagnostic, render

HEADER = "geno 1\nimport std.ops, std.attention as att\n"


def said(text: str) -> list[Diagnostic]:
    return genolang.check(HEADER + text + "\n", "s.geno")


def alone(text: str) -> Diagnostic:
    found = said(text)
    assert len(found) == 1, [f"{d.code}: {d.message}" for d in found]
    return found[0]


def network(body: str, params: str = "") -> str:
    return f"network n{params} {{\n  input image(6, 8, 8)\n  {body}\n  head global_avg_pool -> linear(10)\n}}"


def cell(edges: str, rest: str = "") -> str:
    return (
        "choice operation = none | skip | max_pool(3) | sep_conv(3)\n"
        f"cell c(prev2, prev1) {{\n  nodes n1, n2\n  {edges}\n  {rest}\n  return n2\n}}\n" + network("cells 1 of c")
    )


# The text, its code, what the main place quotes, and a part of the message or the help.
CASES = [
    # text and grammar
    ("op f = relu => conv(3)", "G005", "=", "write `->`"),
    ("op f = relu → conv(3)", "G004", "→", "write `->`"),
    ("op f = relu conv(3)", "G005", "conv", "joined by `->`"),
    ("op f = relu -> -> conv(3)", "G005", "->", "something is missing"),
    ("op f = (relu -> )", "G005", ")", "ends in an arrow"),
    ("op f = conv(3 5)", "G005", "5", "is a comma missing?"),
    ("op f = conv(k: 3)", "G005", ":", "`name=value`"),
    ("op f = conv(3 ** 2)", "G005", "*", "there is no power"),
    ("op f = if C == 3 relu else tanh", "G005", "relu", "if levels == 0 then"),
    ("op f = if C = 3 then relu else tanh", "G005", "=", "write `==`"),
    ("op f = if 1 < C < 9 then relu else tanh", "G005", "<", "join two of them with `and`"),
    ("op f = if C > 1 || C < 9 then relu else tanh", "G005", "|", "write `or`"),
    ("op f = conv(3) ; relu", "G004", ";", "end with the line"),
    ("op f = softmax('space')", "G004", "'space'", '`"text"`'),
    ("op f = conv(3, 64K)", "G004", "64K", "`k` (thousand)"),
    ("op f = conv(3, 1_000)", "G004", "1_000", "write `1000`"),
    ("op f = conv(3, 3x)", "G004", "3x", "a name begins with a letter"),
    ("op größe = relu", "G004", "größe", "letters a to z"),
    ('op f = softmax("space)', "G012", '"space)', "no closing quote"),
    ("op f = relu)", "G006", ")", "closes nothing"),
    ("op f = conv(3]", "G006", "]", "write `)`"),
    ("opp f = relu", "G005", "opp", "did you mean `op`?"),
    ("return relu", "G005", "return", "closed too early"),
    ("def f(x): relu", "G005", "def", "`attention`"),
    ("op f", "G005", "", "op name(k, stride=1)"),
    ("cell c(prev2 prev1) {\n  return prev1\n}", "G005", "prev1", "cell name(prev2, prev1"),
    ("op f {\n  retrun x\n}", "G005", "x", "did you mean `return`?"),
    ("op f {\n  relu -> conv(3)\n  return x\n}", "G005", "->", "hand it back (`return ...`)"),
    ("op f {\n  y += 3\n  return x\n}", "G005", "+", "a name of its own"),
    ("op f {\n  for k in [3, 5] : conv(k)\n  return x\n}", "G005", "k", "`return for n in"),
    (cell("edges earlier each : skip"), "G005", "each", "edges earlier -> each : operation"),
    (cell("edges earlier -> each skip"), "G005", "skip", "edges earlier -> each : operation"),
    (cell("edges earlier -> each : skip", "keep 2 edges by operation"), "G005", "by", "per node by"),
    (network("cells 3 normal"), "G005", "normal", "cells 8 of normal"),
    ("import std.ops std.attention", "G005", "std", "import std.ops, std.attention"),
    # names
    ("op f = batchnorm", "G101", "batchnorm", "did you mean `batch_norm`?"),
    ("op f = att.see", "G101", "att.see", "did you mean `se`?"),
    ("op f = core.cnv(3)", "G101", "core.cnv", "did you mean `conv`?"),
    ("op f = atn.se", "G101", "atn", "did you mean `att`?"),
    ("op f = max(chanels)", "G101", "chanels", "did you mean `channels`?"),
    (
        network("cells 3 of norml") + "\ncell normal(p) {\n  return p\n}\nop norm_al = relu",
        "G101",
        "norml",
        "did you mean `normal`?",
    ),
    ("cell c(p) {\n  return p -> conv(1, C)\n}", "G101", "C", "`name.C`"),
    ("op f = se", "G101", "se", "`import std.attention` brings it in"),
    ("op f(x) = relu", "G106", "x", "leave it out"),
    (
        cell("edges earlier -> each : skip", "keep 2 edges per node by operatoin"),
        "G405",
        "operatoin",
        "did you mean `operation`?",
    ),
    # values and arguments
    (network("body sep_conv(kernel=3)"), "G202", "kernel=3", "sep_conv(k, stride=1)"),
    (network("body sep_conv(3, strid=2)"), "G202", "strid=2", "did you mean `stride`?"),
    (network("body sep_conv"), "G201", "sep_conv", "needs `k`"),
    (network("body conv(1, C / 4)").replace("C / 4", "6 / 4"), "G206", "6 / 4", "`//` divides and rounds down"),
    (network("body att.se(r=0)"), "G209", "att.se(r=0)", "division by zero"),
    (network("body relu < -conv(3)"), "G205", "relu < -conv(3)", "run to the right"),
    (network("body factorized_reduce(7)"), "G212", "factorized_reduce(7)", "even number"),
    ("attention a = x * att.se", "G214", "att.se", "(x -> att.se)"),
    ("attention a(r=2) = if r then x else x", "G211", "r", "compare it"),
    # shapes
    ("attention a = x + conv(3, stride=2)(x)", "G301", "x + conv(3, stride=2)(x)", "strides"),
    ("attention a = x + conv(3, 7)(x)", "G301", "x + conv(3, 7)(x)", "another number of channels"),
    (network("body conv(3, groups=4)"), "G303", "conv(3, groups=4)", "divide both"),
    ("attention a = x * linear(C)(x)", "G304", "linear(C)(x)", "pool first"),
    # cells, choices, networks
    (cell("edges earlier -> n3 : skip"), "G401", "n3", "`n1`, `n2`"),
    (cell("edges earlierr -> each : skip"), "G401", "earlierr", "did you mean `earlier`?"),
    (cell("edges each -> n2 : skip"), "G401", "each", "at the end of an edge only"),
    (cell("edges earlier -> prev1 : skip"), "G403", "earlier -> prev1 : skip", "leads into the input"),
    (cell("edges earlier -> n1 : skip"), "G402", "n2", "add one"),
    (cell("edges earlier -> each : operation(strid=1)"), "G406", "strid=1", "does not take `strid`"),
    (cell("edges earlier -> each : operation(2)"), "G406", "2", "operation(stride=2)"),
    (network("cells 3 of sep_conv(3), skip"), "G413", "skip", "1/3, 2/3"),
    (network("cells 3 of sep_conv(3) at 1/3"), "G413", "sep_conv(3) at 1/3", "without `at`"),
    (network("input image(6, 8, 8)"), "G412", "input image(6, 8, 8)", "`input` stands once"),
    ("network n {\n  stem relu\n}", "G410", "stem relu", "input image(3, 32, 32)"),
    # sections
    ("train {\n  epoch 5\n}", "G501", "epoch 5", "did you mean `epochs`?"),
    ("train {\n  optimizer sgd(lr=cosin(1, 0))\n}", "G504", "cosin", "did you mean `cosine`?"),
    ("train {\n  optimizer sgd(momentum=0.9)\n}", "G503", "sgd(momentum=0.9)", "learning rate"),
    ("search {\n  method dart\n}", "G504", "dart", "did you mean `darts`?"),
    ("search {\n  data cifar\n}", "G601", "cifar", "did you mean `cifar10`?"),
    ('train {\n  data "digits:here"\n}', "G601", '"digits:here"', "takes no path"),
]


@pytest.mark.parametrize(("text", "code", "quoted", "proposed"), CASES)
def test_mistake_is_named_placed_and_answered(text: str, code: str, quoted: str, proposed: str) -> None:
    found = alone(text)
    assert found.code == code, found
    assert found.span is not None and found.span.text.strip() == quoted
    assert proposed in f"{found.message} {found.help}", (found.message, found.help)


def test_at_least_sixty_mistakes_are_looked_at() -> None:
    assert len(CASES) >= 60


def test_every_wrong_statement_is_reported() -> None:
    found = said("op f {\n  y = relv(x)\n  z = conv(3 5)\n  w = relu +\n  return y\n}\nop g = sigmoit\nop h = 3 ->")
    # Of a definition with a syntax error only that is said; others are looked at all the same.
    assert [(d.code, d.span.line if d.span else 0) for d in found] == [
        ("G005", 5),
        ("G005", 7),
        ("G101", 9),
        ("G005", 11),
    ]


def test_wrong_statements_of_a_cell_and_a_network_are_reported_together() -> None:
    text = cell("edges {\n    earlier -> n1 : sep_conv(3, 1, 4)\n    earlier -> n2 : factorized_reduce(3)\n  }")
    assert [d.code for d in said(text)] == ["G203", "G212"]


def test_unclosed_bracket_hides_only_its_own_definition() -> None:
    found = said("op f(k) = conv(k, out=C // 3\nop g = relv\n" + network("body sep_conv(4, 1, 9)"))
    assert [(d.code, d.span.line if d.span else 0) for d in found] == [("G006", 3), ("G101", 4), ("G203", 7)]


def test_unclosed_bracket_in_braces_hides_only_its_own_statement() -> None:
    found = said("op f {\n  y = conv(3 5)\n  z = conv(3, (4)\n}\nop g = relv")
    assert [(d.code, d.span.line if d.span else 0) for d in found] == [("G005", 4), ("G006", 5), ("G101", 7)]


def test_names_that_wrong_text_would_have_given_are_not_reported_again() -> None:
    assert [d.code for d in said("op f = relu relu\nop g = f -> conv(3)\n" + network("body g"))] == ["G005"]
    assert [d.code for d in genolang.check("geno 1\nimport nothing\nop g = found_there")] == ["G103"]


def test_error_in_a_section_does_not_hide_those_in_networks() -> None:
    found = said(network("body conv(3, groups=5)") + "\ntrain {\n  epoch 3\n}")
    assert [d.code for d in found] == ["G303", "G501"]


def test_error_in_one_definition_does_not_hide_those_of_networks_without_it() -> None:
    found = said("op f = relv\n" + network("body conv(3, groups=5)"))
    assert [d.code for d in found] == ["G101", "G303"]


def test_error_inside_the_library_points_at_the_users_call_first() -> None:
    found = alone(network("body att.cbam(k=1/2)"))
    assert found.span is not None and found.span.source.name == "s.geno"
    assert found.labels[0].span.source.name == "std/attention.geno"
    assert "cbam" in found.labels[0].text


def test_shape_error_shows_how_each_operand_got_its_shape() -> None:
    text = "attention a {\n  y = x -> conv(3, 16, stride=2) -> batch_norm\n  z = x -> conv(3, 16) -> relu\n"
    found = alone(text + "  return y + z\n}")
    texts = [label.text for label in found.labels]
    assert texts == [
        "this is batch_norm 16x8x8 <- conv 16x8x8 <- the input 64x16x16",
        "this is relu 16x16x16 <- conv 16x16x16 <- the input 64x16x16",
    ]


def test_no_suggestion_is_of_a_kind_that_cannot_stand_there() -> None:
    found = said(cell("edges earlier -> each : skip").replace("return n2", "return concat(n2, nn)"))
    assert found[0].code == "G101" and found[0].help != "did you mean `n`?"


def test_control_characters_of_a_spec_never_reach_the_terminal() -> None:
    for found in genolang.check("geno 1\nop f = \x1b[31mrelu\x07 \u202e \x9b\n"):
        assert all(c == "\n" or c.isprintable() for c in render(found))


def test_a_requirement_of_a_network_is_said_instead_of_what_it_would_have_prevented() -> None:
    error = alone("import std.resnet_cifar\nnetwork n = resnet_cifar(depth=21)")
    assert error.code == "G212" and "a multiple of 6" in error.message
    own = alone(
        'network n(depth=7) {\n  require depth % 2 == 0, "even"\n  half = depth / 2\n  input image(6, 8, 8)\n'
        "  body repeat(half, conv(3))\n  head global_avg_pool -> linear(10)\n}"
    )
    assert (own.code, own.message) == ("G212", "even")


def test_requirements_of_costs_are_looked_at_when_the_network_is_whole() -> None:
    text = "half = 2\n  require half > {} and params > 0\n  require half > {}\n  body conv(3)"
    assert said(network(text.format(1, 1))) == []
    assert [d.code for d in said(network(text.format(3, 1)))] == ["G212"]
    assert [d.code for d in said(network(text.format(1, 3)))] == ["G212"]


def test_a_mistake_in_a_module_is_said_once_though_the_network_that_uses_it_fails() -> None:
    error = alone("attention m state h {\n  h = h + x\n  return x * h\n}\n" + network("body m"))
    assert error.code == "G420" and error.notes == ()

"""Definitions that no network leads to are tried too; what depends on what they are given is not held against them."""

import shutil
from pathlib import Path

import pytest

import genolang

NETWORK = """
network n {
  input image(3, 16, 16)
  stem  conv(3, 8)
  head  global_avg_pool -> linear(4)
}
"""


def found(text: str) -> list[tuple[str, str]]:
    return [(d.code, d.span.text) for d in genolang.check(f"geno 1\n{text}\n{NETWORK}") if d.span]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("op a = conv(kernel_size=3)", ("G202", "kernel_size=3")),
        ("op a(f) = f -> conv(kernel_size=3)", ("G202", "kernel_size=3")),
        ("op a(f, k) = x + (x -> f) -> conv(k, colour=1)", ("G202", "colour=1")),
        ("op a = dropout(1.5)", ("G207", "1.5")),
        ("op a(k=3) = conv(k) -> conv(3) + 2 -> relu(1, 2)", ("G203", "1")),
        ("op b(k) = conv(k)\nop a = b", ("G201", "b")),
        ("op b(k) = conv(k)\nop a = b(3, 4)", ("G203", "4")),
        (
            "cell c(p, q, channels=4) {\n  nodes n1\n  edges earlier -> each : conv(3, size=2)\n  return n1\n}",
            ("G202", "size=2"),
        ),
    ],
)
def test_what_is_wrong_whatever_it_is_given_is_said(text: str, problem: tuple[str, str]) -> None:
    assert problem in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "op a = linear(3)",
        "op a = slice(start=100, stop=101)",
        "op a = conv(3, groups=7)",
        'op a { require C == 5, "five channels"\n  return x\n}',
        "op a(f, g) = f -> g",
        "op a(values) = for k in values : conv(k)",
        "op a(way) = mean(way)",
        "op a(unit, depth) = if depth == 0 then unit else unit -> a(unit, depth - 1)",
        "op a(m: map) = x * m",
        "op a(r) = conv(1, C // r) -> relu",
        "op a(mode) = resize(size=8, mode=mode)",
        "attention a(by) = x * (x -> by)",
        "cell c(p, q, f=relu, channels=4) {\n  nodes n1\n  edges earlier -> each : f\n  return n1\n}",
    ],
)
def test_what_may_be_right_for_other_maps_or_values_is_no_error(text: str) -> None:
    assert found(text) == []


def test_every_shipped_spec_is_in_order_as_a_file_of_ones_own(tmp_path: Path) -> None:
    specs = Path(genolang.__file__).parent / "specs"
    shutil.copytree(specs, tmp_path / "specs")
    from genolang.diagnostics import Source
    from genolang.semantics.check import check_source

    wrong = {}
    for path in sorted((tmp_path / "specs").rglob("*.geno")):
        diagnostics = check_source(Source(str(path), path.read_text("utf-8")), path).diagnostics
        wrong |= {path.name: [str(d) for d in diagnostics]} if diagnostics else {}
    assert wrong == {}

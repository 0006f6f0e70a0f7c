"""Programs that would run for ever, or fill the memory, are refused soon and by the name of a limit."""

import random
import time

import pytest
from wrong_specs import assert_answered

import genolang
from genolang.lang.limits import LIMITS, limit, limit_note, variable

DEEP = 60


def used(body: str, head: str = "f") -> str:
    return (
        f"geno 1\nimport std.ops\n{body}\nnetwork n {{\n  input image(4, 8, 8)\n  body {head}\n"
        "  head global_avg_pool -> linear(10)\n}\n"
    )


def doubling(first: str, step: str, last: str) -> str:
    lines = [first, *(step.format(old=f"a{i}", new=f"a{i + 1}") for i in range(DEEP))]
    return used("op f {\n  " + "\n  ".join(lines) + f"\n  return {last.format(f'a{DEEP}')}\n}}")


def definitions(text: str, last: str, count: int = 30) -> str:
    return "\n".join(text.format(a=i, b=i + 1) for i in range(count)) + f"\nop d{count}{last}"


BOMBS = {
    "definitions that double": (used(definitions("op d{a} = d{b} -> d{b}", " = conv(3)"), "d0"), "G507"),
    "calls that no memo knows": (
        used(definitions("op d{a}(k) = d{b}(2*k) -> d{b}(2*k + 1)", "(k) = relu"), "d0(1)"),
        "G507",
    ),
    "recursion of two": (
        used("op r(n, k) = if n == 0 then identity else r(n - 1, 2*k) -> r(n - 1, 2*k + 1)", "r(38, 1)"),
        "G507",
    ),
    "recursion without end": (used("op r(n) = r(n + 1) -> r(n)", "r(1)"), "G210"),
    "choice of itself": (used("choice c = relu | conv(c)", "c"), "G210"),
    "repeat of repeats": (used("op f = repeat(9999, repeat(9999, repeat(9999, identity)))"), "G507"),
    "repeat too often": (used("op f = repeat(1e14, relu)"), "G507"),
    "loops in loops": (
        used("op f = " + " ".join(f"for a{i} in range(9999) :" for i in range(4)) + " identity"),
        "G507",
    ),
    "range too long": (used("op f = for a in range(1e14) : relu"), "G205"),
    "list that doubles": (doubling("a0 = [1, 2]", "{new} = {old} + {old}", "for a in {} : relu"), "G507"),
    "list of lists": (doubling("a0 = [1, 2]", "{new} = [{old}, {old}]", "conv({})"), "G507"),
    "pipeline that doubles": (doubling("a0 = relu -> relu", "{new} = {old} -> {old}", "{}"), "G507"),
    "operation handed on twice": (
        used("op g(f, n) = if n == 0 then f else g(f -> f, n - 1)", "g(identity, 39)"),
        "G507",
    ),
    "fork handed on twice": (used("op g(f, n) = if n == 0 then f else g(f + f, n - 1)", "g(relu, 39)"), "G507"),
    "fraction that squares": (used("op g(f, n) = if n == 0 then relu else g(f * f, n - 1)", "g(1/3, 39)"), "G207"),
    "number that squares": (used("op g(f, n) = if n == 0 then relu else g(f * f, n - 1)", "g(3, 39)"), "G207"),
    "channels that double": (used("op f = repeat(200, concat(identity, identity))"), "G507"),
    "parameters": (used("op f = conv(3, 1000000) -> conv(3, 1000000)"), "G507"),
    "edges": (
        "geno 1\ncell c(p) {\n  nodes "
        + ", ".join(f"m{i}" for i in range(20000))
        + "\n  edges earlier -> each : relu\n  return m1\n}\nnetwork n {\n  input image(3, 8, 8)\n"
        "  cells 1 of c\n  head global_avg_pool -> linear(9)\n}\n",
        "G507",
    ),
    "cells": (
        "geno 1\ncell c(p) {\n  return relu(p)\n}\nnetwork n {\n  input image(3, 8, 8)\n"
        "  cells 9999 of c\n  head global_avg_pool -> linear(9)\n}\n",
        "G507",
    ),
    "network of itself": ("geno 1\nnetwork a = b\nnetwork b = a\n", "G210"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_soon(name: str) -> None:
    text, code = BOMBS[name]
    began = time.process_time()
    said = genolang.check(text)
    assert time.process_time() - began < 4
    assert code in {d.code for d in said}, said
    for diagnostic in said:
        assert diagnostic.code != "G507" or any("GENOC_LIMIT_" in note for note in diagnostic.notes)


LONG_NAMES = ["".join(random.Random(i).choices("ab", k=99)) for i in range(9_000)]
MASSES = {
    **{f"open {sign}": sign * 10_000_000 for sign in "([{"},
    **{f"closed {sign}": sign * 1_000_000 for sign in ")]}"},
    "lines of brackets": "()\n" * 500_000,
    "line ends": "\n" * 4_000_000,
    "comments": "# a\n" * 800_000,
    "quotes": '"\n' * 500_000,
    "bytes": "".join(chr(i % 256) for i in range(300_000)),
    "a long name": "geno 1\nop f = " + "a" * 1_000_000,
    "a long number": "geno 1\nop f = conv(" + "9" * 1_000_000 + ")",
    "a long string": 'geno 1\nop f = softmax("' + "a" * 1_000_000 + '")',
    "a long import": "geno 1\nimport a" + ".a" * 50_000,
    "many imports": "geno 1\nimport " + ", ".join(f"a{i}" for i in range(20_000)),
    "nots": used("op f = if " + "not " * 40_000 + "true then relu else tanh"),
    "signs": used("op f = conv(" + "-" * 60_000 + "3)"),
    "conditions": used("op f = " + "if true then relu else " * 10_000 + "relu"),
    "differences": used("op f = conv(9" + " - 1" * 40_000 + ")"),
    "calls of calls": used("op f = conv" + "(3)" * 30_000),
    "stages": used("op f = " + " -> ".join(["relu"] * 45_000)),
    "edges": "geno 1\ncell c(p) {\n  nodes n1\n  edges {\n" + "    p -> n1 : relu\n" * 100_000 + "  }\n}\n",
    "definitions": "geno 1\n" + "\n".join(f"op f{i} = relv{i}" for i in range(18_000)),
    "near misses": "geno 1\n" + "\n".join(f"op {name} = {name[:-9]}c{name[-8:]}" for name in LONG_NAMES),
    "some near misses": "geno 1\n" + "\n".join(f"op {name} = {name[:-9]}c{name[-8:]}" for name in LONG_NAMES[:399]),
    "modules": "geno 1\n" + "\n".join(f"attention a{i} = x * sigmoid(x)" for i in range(8_000)),
    "parameters": "geno 1\nop f(" + ", ".join(f"p{i}=1" for i in range(9_000)) + ") = relu\n",
    "settings": "geno 1\nsearch {\n" + "  a 1\n" * 30_000 + "}\n",
}


@pytest.mark.parametrize("name", MASSES)
def test_mass_of_text_is_answered_soon(name: str) -> None:
    assert_answered(MASSES[name], grace_s=4.0)


@pytest.mark.parametrize("name", MASSES)
def test_no_more_than_so_many_problems_are_reported(name: str) -> None:
    assert len(genolang.check(MASSES[name])) <= limit("problems")


def test_limit_is_raised_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = used("op f = repeat(10001, relu)")
    assert [d.code for d in genolang.check(text)] == ["G507"]
    monkeypatch.setenv(variable("repeat"), "20000")
    limit.cache_clear()
    try:
        assert genolang.check(text) == []
        assert "20,000" in limit_note("repeat")
    finally:
        monkeypatch.undo()
        limit.cache_clear()


@pytest.mark.parametrize("wrong", ["", "many", "-3", "1e9", "9" * 30])
def test_limit_that_is_no_number_in_the_environment_is_ignored(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("chain"), wrong)
    limit.cache_clear()
    try:
        assert limit("chain") == LIMITS["chain"][0]
    finally:
        monkeypatch.undo()
        limit.cache_clear()

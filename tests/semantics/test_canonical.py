"""Which texts `genoc diff` takes for the same: names of arguments, defaults and namespaces do not count."""

import pytest

from genolang.diagnostics import Source
from genolang.lang import syntax as s
from genolang.semantics.canonical import canonical
from genolang.semantics.check import check_source

HEAD = "geno 1\nimport std.ops, std.attention, std.ops as o\nop own(a, b=2, c=[1, 2]) = conv(a) -> conv(b) -> conv(c)\n"


def same(one: str, other: str, local: frozenset[str] = frozenset()) -> bool:
    checked = check_source(Source("text", f"{HEAD}op one(k=3) = {one}\nop other(k=3) = {other}\n"))
    assert checked.ok, [d.message for d in checked.diagnostics]
    first, second = checked.module.file.items[-2:]
    assert isinstance(first, s.Definition) and isinstance(second, s.Definition)
    return canonical(first.body, checked.module, local) == canonical(second.body, checked.module, local)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv(3)", "conv(k=3)"),
        ("conv(3, 8)", "conv(3, out=8)"),
        ("conv(out=8, k=3)", "conv(3, 8)"),
        ("conv(3, stride=1)", "conv(3)"),
        ("conv(3, 8, 1)", "conv(3, 8)"),
        ("conv(3, bias=false)", "conv(3)"),
        ("conv(3, bias=true, stride=2)", "conv(3, stride=2, bias=true)"),
        ("relu()", "relu"),
        ("sep_conv(3)", "sep_conv(k=3)"),
        ("sep_conv(3, stride=1)", "sep_conv(3)"),
        ("o.sep_conv(3)", "sep_conv(3)"),
        ("o.skip", "skip"),
        ("own(1, 2)", "own(1)"),
        ("own(1, c=[1, 2])", "own(a=1)"),
        ("own(1, b=2, c=[1, 2])", "own(1)"),
        ("relu -> conv(3, stride=1)", "relu -> conv(k=3)"),
        ("conv([3, 3], 8)", "conv([3, 3], out=8)"),
        ("se(r=16)", "se(16)"),
    ],
)
def test_what_is_written_otherwise_and_means_the_same(one: str, other: str) -> None:
    assert same(one, other) and same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv(3)", "conv(5)"),
        ("conv(3, 8)", "conv(3, 9)"),
        ("conv(3, stride=2)", "conv(3)"),
        ("conv(3, 1)", "conv(3, stride=1)"),
        ("conv(3, bias=true)", "conv(3)"),
        ("sep_conv(3, stride=2)", "sep_conv(3)"),
        ("own(1, 3)", "own(1)"),
        ("own(1, c=[2, 1])", "own(1)"),
        ("own(1, c=[1, 3])", "own(1)"),
        ("own(2)", "own(1)"),
        ("relu", "tanh"),
        ("skip", "sep_conv(3)"),
        ("conv(3) -> relu", "relu -> conv(3)"),
        ("conv(k)", "conv(3)"),
        ("se(r=8)", "se"),
        ("dropout(1)", "dropout(0.5)"),
    ],
)
def test_what_means_something_else(one: str, other: str) -> None:
    assert not same(one, other) and not same(other, one)


def test_a_name_of_the_place_is_none_of_the_language() -> None:
    assert same("conv(3, 8, 1)", "conv(3, 8)") and not same("conv(3, 8, 1)", "conv(3, 8)", frozenset({"conv"}))

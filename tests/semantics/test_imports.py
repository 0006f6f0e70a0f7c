from pathlib import Path

import pytest

from genolang.semantics.check import check_source
from genolang.semantics.modules import MAX_IMPORTS, read_source


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(**files: str) -> list[tuple[str, str, int]]:
    """What is said of `main.geno` among some files: code, file and line."""
    for name, text in files.items():
        Path(f"{name}.geno").write_text("geno 1\n" + text, "utf-8")
    found = check_source(read_source("main.geno"), Path("main.geno")).diagnostics
    return [(d.code, d.span.source.name, d.span.line) for d in found if d.span is not None]


def test_circle_is_reported_where_it_closes() -> None:
    assert said(main="import a\n", a="import b\n", b="import main\n") == [("G104", "b.geno", 2)]
    assert said(main="import main\n") == [("G104", "main.geno", 2)]


def test_problems_of_this_file_come_before_those_of_imported_ones() -> None:
    found = said(a="op g = relu relu\n", main="import a\nop f = relu -> sigmoid\nop h = conv(3 4)\n")
    assert found == [("G005", "main.geno", 4), ("G005", "a.geno", 2)]


def test_names_of_a_broken_import_are_not_called_unknown() -> None:
    assert said(a="op g = relu relu\n", main="import a\nop f = g -> perhaps\n") == [("G005", "a.geno", 2)]
    assert said(a="op g = relu relu\n", main="import a as b\nop f = b.g\n") == [("G005", "a.geno", 2)]
    assert ("G101", "main.geno", 3) in said(a="op g = relu relu\n", main="import a as b\nop f = b.h\n")


def test_name_behind_an_alias_is_checked_without_being_used() -> None:
    assert said(a="op g = relu\n", main="import a as b\nop f = b.gg\n") == [("G101", "main.geno", 3)]


def test_long_chain_of_imports_is_refused() -> None:
    chain = {f"m{i}": f"import m{i + 1}\n" for i in range(400)}
    found = said(**chain, m400="op f = relu\n", main="import m0\n")
    assert [code for code, _, _ in found] == ["G007"]
    short = {f"n{i}": f"import n{i + 1}\n" for i in range(MAX_IMPORTS - 3)}
    assert said(**short, **{f"n{MAX_IMPORTS - 3}": "op f = relu\n"}, main="import n0\n") == []


def test_file_imported_twice_is_read_once() -> None:
    diamond = {"a": "import c\nop p = u\n", "b": "import c\nop q = u\n", "c": "op u = relu\n"}
    assert said(**diamond, main="import a, b, c\nop f = p -> q -> u\n") == []

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genolang.cli.main import main
from genolang.diagnostics import Source
from genolang.lang.formatter import format_source
from genolang.semantics.compare import Change, compare
from genolang.semantics.modules import LIBRARY, library_names, load_module

SPECS = {"/".join(name): LIBRARY.joinpath(*name).with_suffix(".geno") for name in library_names()}
SPEC = """geno 1
import std.ops, std.attention as att

choice operation(r=8) = skip | sep_conv(3) | att.se(r)

op unit(out, k=3) = conv(k, out) -> relu

cell normal(a, b, channels=8) {
  inputs s0 = a -> unit(channels), s1 = b -> unit(channels)
  nodes  n1, n2
  edges  earlier -> each : operation -> drop_path
  keep   1 edges per node by operation
  return n1 + n2
}

cell found(a, channels=8) {
  nodes n1, n2
  edges {
    a -> n1 : sep_conv(3)
    a -> n2 : skip
    a -> n2 : relu
    n1 -> n2 : sep_conv(5, stride=1)
  }
  return concat(n1, n2)
}

network n(channels=8, depth=3) {
  input image(3, 9, 9)
  stem  conv(3, channels)
  cells depth of normal, found at 1/3
  head  global_avg_pool -> linear(10)
}

search { method darts  epochs 50 }
train { epochs 9  optimizer sgd(lr=0.1) }
"""


def changes(before: str, after: str) -> list[Change]:
    return compare(*(load_module(Source(name, text), None) for name, text in (("a", before), ("b", after))))


def after(*edits: tuple[str, str]) -> list[Change]:
    """What `diff` says of an edit of SPEC."""
    text = SPEC
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    found = changes(SPEC, text)
    back = changes(text, SPEC)
    assert len(back) == len(found), "what is added on the way there is removed on the way back"
    return found


def said(found: list[Change]) -> list[tuple[str, str, str | None, str | None]]:
    return [(c.kind, c.where, c.before, c.after) for c in found]


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_no_different_when_formatted_or_bare_of_comments(name: str) -> None:
    text = SPECS[name].read_text("utf-8")
    bare = re.sub(r"#[^\n]*", "", text)
    assert changes(text, format_source(Source(name, bare))) == []


@pytest.mark.parametrize(
    "edit",
    [
        ("conv(k, out) -> relu", "(conv(k, out) -> relu)"), ("sep_conv(5, stride=1)", "sep_conv(k=5)"),
        ("a -> n2 : skip", "a -> n2 : skip()"), ("method darts", "method darts(order=first)"),
        ("sgd(lr=0.1)", "sgd(lr=1/10, momentum=0)"), ("epochs 9", "epochs 9  batch 64"),
        ("a -> n1 : sep_conv(3)", "a -> n1 : sep_conv(3, stride=1)"), ("a -> n1 : sep_conv(3)", "a -> n1 : core.identity -> sep_conv(3)"),
        ("import std.ops, std.attention as att", "import std.attention as att\nimport std.ops"),
        ("earlier -> each : operation -> drop_path", "earlier -> n1 : operation -> drop_path\n  edges earlier -> n2 : operation -> drop_path"),
        ("  keep   1 edges per node by operation\n  return n1 + n2", "  return n1 + n2\n  keep 1 edges per node by operation"),
    ],
)  # fmt: skip
def test_other_words_for_the_same_are_no_change(edit: tuple[str, str]) -> None:
    if "core.identity" in edit[1]:
        assert len(after(edit)) == 1, "while another operation is"
    else:
        assert after(edit) == []


def test_definitions_may_change_their_order() -> None:
    head, *definitions = SPEC.split("\n\n")
    assert changes(SPEC, "\n\n".join([head, *reversed(definitions)])) == []


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("n1 -> n2 : sep_conv(5, stride=1)", "n1 -> n2 : sep_conv(3)"),
         ("operation-changed", "cell found, edge n1 -> n2", "sep_conv(5, stride=1)", "sep_conv(3)")),
        (("a -> n2 : relu", "a -> n2 : silu"), ("operation-changed", "cell found, edge a -> n2", "relu", "silu")),
        (("    a -> n2 : relu\n", ""), ("edge-removed", "cell found, edge a -> n2", "relu", None)),
        (("    a -> n2 : relu", "    a -> n2 : relu\n    n1 -> n2 : tanh"),
         ("edge-added", "cell found, edge n1 -> n2", None, "tanh")),
        (("earlier -> each : operation -> drop_path", "earlier -> each : operation"),
         ("operation-changed", "cell normal, edges earlier -> each", "operation -> drop_path", "operation")),
        (("earlier -> each", "inputs -> each"),
         ("edge-removed", "cell normal, edge n1 -> n2", "operation -> drop_path", None)),
        (("op unit(out, k=3)", "op unit(out, k=5)"), ("parameter-changed", "op unit, parameter k", "k=3", "k=5")),
        (("op unit(out, k=3)", "op unit(out, k=3, act=relu)"),
         ("parameter-added", "op unit, parameter act", None, "act=relu")),
        (("op unit(out, k=3)", "op unit(k=3, out=8)"), ("parameter-changed", "op unit, parameter out", "out", "out=8")),
        (("conv(k, out) -> relu", "conv(k, out) -> silu"),
         ("body-changed", "op unit", "conv(k, out) -> relu", "conv(k, out) -> silu")),
        (("op unit(", "attention unit("), ("definition-changed", "attention unit", "op unit(out, k=3) = conv(k, out) -> relu", "attention unit(out, k=3) = conv(k, out) -> relu")),
        (("skip | sep_conv(3)", "skip | sep_conv(5)"), ("alternative-changed", "choice operation", "sep_conv(3)", "sep_conv(5)")),
        (("skip | sep_conv(3)", "skip | none | sep_conv(3)"), ("alternative-added", "choice operation", None, "none")),
        (("skip | sep_conv(3)", "sep_conv(3) | skip"),
         ("alternatives-reordered", "choice operation", "skip | sep_conv(3) | att.se(r)", "sep_conv(3) | skip | att.se(r)")),
        (("| att.se(r)\n", "| att.se(r) combine product\n"), ("definition-changed", "choice operation, combine", None, "product")),
        (("keep   1", "keep   2"), ("statement-changed", "cell normal, keep", "keep 1 edges per node by operation", "keep 2 edges per node by operation")),
        (("s1 = b -> unit(channels)", "s1 = b -> unit(channels, 5)"),
         ("statement-changed", "cell normal, input s1", "s1 = b -> unit(channels)", "s1 = b -> unit(channels, 5)")),
        (("  stem  conv(3, channels)\n", "  stem  conv(3, channels)\n  stem  relu\n"),
         ("statement-added", "network n, stem 2", None, "stem relu")),
        (("found at 1/3", "found at 2/3"), ("statement-changed", "network n, cells", "cells depth of normal, found at 1/3", "cells depth of normal, found at 2/3")),
        (("epochs 9", "epochs 20"), ("setting-changed", "train, epochs", "9", "20")),
        (("epochs 9 ", ""), ("setting-changed", "train, epochs", "9", "20 (the default)")),
        (("method darts", "method darts(order=2)"), ("setting-changed", "search, method", "darts", "darts(order=2)")),
        (("search { method darts  epochs 50 }\n", ""), ("section-removed", "search", "search { method darts epochs 50 }", None)),
        (("import std.ops,", "import"), ("import-removed", "import std.ops", "std.ops", None)),
    ],
)  # fmt: skip
def test_each_change_is_said_once_and_where(edit: tuple[str, str], expected: tuple[str, ...]) -> None:
    assert expected in said(after(edit))
    assert len(after(edit)) == (2 if expected[3] == "out=8" else 1)


def test_the_order_of_what_runs_in_order_is_a_change() -> None:
    (found,) = after(
        ("  stem  conv(3, channels)\n", ""), ("  head  global", "  stem  conv(3, channels)\n  head  global")
    )
    assert (found.kind, found.where) == ("statements-reordered", "network n")
    assert (found.before, found.after) == ("input, stem, cells, head", "input, cells, stem, head")


@pytest.mark.parametrize("name", ["att_darts/found", "darts/networks", "darts/search", "std/ops", "quickstart"])
def test_no_number_can_change_unnoticed(name: str) -> None:
    text = SPECS[name].read_text("utf-8")
    code = re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), text)
    places = [m for m in re.finditer(r"(?<![\w.-])\d+(?![\w.-])", code) if not code[: m.start()].endswith("geno ")]
    assert len(places) > 10
    for place in places:
        changed = f"{text[: place.start()]}{int(place[0]) + 1}{text[place.end() :]}"
        try:
            assert changes(text, changed), f"line {text[: place.start()].count(chr(10)) + 1}: {place[0]}"
        except Exception as error:
            assert "G5" in str(error), error  # settings have ranges


def test_published_cells_differ_by_the_edges_of_their_genotypes() -> None:
    sizes = json.loads((Path(__file__).parents[1] / "data" / "genotypes.json").read_text())

    def edges(name: str, kind: str) -> set[tuple[Any, ...]]:
        return {(number // 2, *gene) for number, gene in enumerate(sizes[name][kind])}

    expected = {
        (cell, f"{['s0', 's1', 'n1', 'n2', 'n3', 'n4'][gene[2]]} -> n{gene[0] + 1}")
        for cell, kind in (("normal", "normal"), ("reduction", "reduce"))
        for gene in edges("DARTS_V1", kind) ^ edges("DARTS_V2", kind)
    }
    found = changes(*(SPECS[f"darts/{v}"].read_text("utf-8") for v in ("v1", "v2")))
    assert {(c.where.split()[1].rstrip(","), c.where.partition("edge ")[2]) for c in found} == expected


def test_files_that_both_import_are_compared_too(tmp_path: Path) -> None:
    for side, k in (("one", 3), ("two", 5)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "mine.geno").write_text(f"geno 1\nop unit = conv({k})\n")
        (tmp_path / side / "top.geno").write_text("geno 1\nimport mine\nop twice = unit -> unit\n")
    found = run(tmp_path / "one/top.geno", tmp_path / "two/top.geno", "--json")
    (change,) = json.loads(found.stdout)
    assert (change["where"], change["before"], change["after"]) == ("mine: op unit", "conv(3)", "conv(5)")
    assert change["after_span"]["file"].endswith("two/mine.geno")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, words)], catch_exceptions=False)


def test_json_is_a_list_of_changes_with_both_places(tmp_path: Path) -> None:
    first, second = tmp_path / "a.geno", tmp_path / "b.geno"
    first.write_text(SPEC)
    second.write_text("# A comment moves everything down.\n" + SPEC.replace("a -> n2 : relu", "a -> n2 : silu"))
    second.write_text(SPEC.replace("geno 1\n", "geno 1\n\n").replace("a -> n2 : relu", "a -> n2 : silu"))
    (change,) = json.loads(run(first, second, "--json").stdout)
    line = SPEC[: SPEC.index("a -> n2 : relu")].count("\n") + 1
    place = {"line": line, "column": 15, "end_line": line, "end_column": 19}
    assert change == {
        "kind": "operation-changed", "where": "cell found, edge a -> n2", "before": "relu", "after": "silu",
        "before_span": {"file": str(first), **place},
        "after_span": {"file": str(second), **place, "line": line + 1, "end_line": line + 1},
    }  # fmt: skip


def test_exit_codes(tmp_path: Path) -> None:
    assert run("darts/v1", "darts/v2").exit_code == 0
    assert run("darts/v1", "darts/v2", "--exit-code").exit_code == 1
    assert run("darts/v1", "darts/v1", "--exit-code", "--json").stdout == "[]\n"
    broken = tmp_path / "broken.geno"
    broken.write_text("geno 1\nop f =\n")
    assert run("darts/v1", broken).exit_code == 1
    missing = run("darts/v1", tmp_path / "missing.geno", "--json")
    assert missing.exit_code == 2
    assert [d["code"] for d in json.loads(missing.stdout)["diagnostics"]] == ["G001"]


def test_people_read_one_line_for_an_edge_and_none_of_a_whole_definition() -> None:
    text = run("att_darts/search", "att_darts/product").stdout
    assert "- choice gate\n" in text and "~ cell normal, edges earlier -> each (operation changed)\n" in text
    assert "+ cell reduction, edge s1 -> n2: max_pool(3, stride=2) -> drop_path\n" in run("darts/v1", "darts/v2").stdout


def test_comparing_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys\nfrom genolang.cli.main import main\n"
        "main(['diff', 'darts/v1', 'darts/search'], standalone_mode=False)\n"
    )
    code = f"import atexit, sys\natexit.register(lambda: print({{'torch', 'numpy', 'networkx'}} & set(sys.modules)))\n{code}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"

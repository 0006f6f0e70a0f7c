"""`genoc show`: what it writes, where, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from genolang.cli.show import FORMATS, show
from genolang.semantics.modules import LIBRARY

HOSTILE = """geno 1
import std.ops

op odd(word="a") = if word == "a" then relu else tanh

cell normal(prev2, prev1) {
  nodes n1
  edges {
    prev2 -> n1 : odd(word="</text><script>alert(1)</script>&'--> \u202e \u0007")
    prev1 -> n1 : odd(word="click p0_0 href javascript:1 \\\\ `x`")
  }
  return concat(n1, prev1)
}
"""


def run(*args: object) -> Result:
    return CliRunner().invoke(show, [str(a) for a in args])


def texts_of(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_an_svg_is_well_formed_self_contained_and_has_its_own_background() -> None:
    svg = run("darts/v2").stdout
    root = ElementTree.fromstring(svg)
    children = [child.tag.rpartition("}")[2] for child in root]
    assert children[:2] == ["title", "rect"]
    paper = root[1].attrib
    assert (paper["width"], paper["height"]) == (root.attrib["width"], root.attrib["height"])
    assert paper["fill"] == "#ffffff"
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "rect", "g", "text", "path", "polygon"}
    assert "href" not in svg and "url(" not in svg


def test_every_operation_and_attention_module_of_a_found_cell_is_drawn() -> None:
    texts = texts_of(run("att_darts/found", "--only", "reduction").stdout)
    wanted = {
        "max_pool(3, stride=2)": 1,
        "dil_conv(3, stride=2)": 1,
        "avg_pool(3, stride=2)": 3,
        "skip": 3,
        "bam_code": 4,
        "double_attention": 1,
        "cbam_code": 3,
    }
    assert {word: texts.count(word) for word in wanted} == wanted
    assert {"s0", "s1", "n1", "n2", "n3", "n4", "concat"} <= set(texts)
    assert "drop_path" not in " ".join(texts)


def test_an_open_edge_shows_its_choices_and_the_notes_their_alternatives() -> None:
    texts = texts_of(run("att_darts/search", "--only", "normal").stdout)
    assert texts.count("operation") == texts.count("gate") == 14
    assert "keep 2 edges per node by operation" in texts
    assert any(t.startswith("gate: identity | se | bam_code") for t in texts)


def test_a_network_is_a_chain_with_repetition_shapes_and_parameters() -> None:
    texts = texts_of(run("att_darts/found", "--only", "cifar").stdout)
    assert texts[0] == "network cifar: 3,231,343 parameters, 486M MACs"
    assert texts.count("normal x6") == 3 and texts.count("reduction") == 2
    assert {"20 cells", "stem", "head", "logits", "3x32x32", "108x32x32", "10x1x1"} <= set(texts)
    assert "auxiliary" not in texts


def test_parameters_reach_the_network() -> None:
    args = "--network", "cifar", "--set", "auxiliary=true", "--set", "depth=8", "--only", "cifar"
    texts = texts_of(run("att_darts/found", *args).stdout)
    assert {"auxiliary", "weight 0.4"} <= set(texts)
    assert any(text.startswith("8 cells: ") for text in texts)


def test_without_a_network_modules_are_drawn_at_the_trial_shape() -> None:
    done = run("std/attention", "--json")
    names = {"se", "ge", "bam", "bam_code", "cbam", "cbam_code", "double_attention"}
    assert names <= set(json.loads(done.stdout)["pictures"])
    texts = texts_of(run("std/attention", "--only", "cbam").stdout)
    assert texts.count("mlp (shared)") == 4
    assert {"64x16x16", "64x1x1", "2x16x16", "1x16x16", "concat", "conv(7, 1)", "×"} <= set(texts)


def test_only_draws_any_operation_with_its_arguments() -> None:
    texts = texts_of(run("darts/v2", "--only", "sep_conv(5, stride=2)").stdout)
    assert "conv(5, stride=2, groups=64)" in texts and "64x8x8" in texts


@pytest.mark.parametrize("form", FORMATS)
def test_the_files_suffix_says_the_format(form: str, tmp_path: Path) -> None:
    target = tmp_path / f"drawing.{form}"
    target.write_text("old")
    done = run("darts/v2", "-o", target, "--json")
    assert json.loads(done.stdout) == {
        "file": str(target),
        "pictures": ["normal", "reduction", "cifar", "imagenet"],
        "format": form,
    }
    begins = {"svg": "<svg", "html": "<!DOCTYPE html>", "mmd": "flowchart", "dot": "digraph"}
    assert target.read_text("utf-8").startswith(begins[form])
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_stdout_has_the_drawing_alone_and_the_talk_is_on_stderr(tmp_path: Path) -> None:
    assert run("darts/v2", "--format", "dot").stdout.startswith("digraph")
    done = run("darts/v2", "-o", tmp_path / "a.svg")
    assert done.stdout == "" and "normal, reduction" in done.stderr


@pytest.mark.parametrize("spec", sorted(LIBRARY.rglob("*.geno")), ids=lambda p: p.stem)
@pytest.mark.parametrize("form", FORMATS)
def test_a_drawing_is_the_same_every_time(spec: Path, form: str) -> None:
    assert run(spec, "--format", form).stdout == run(spec, "--format", form).stdout


def test_a_drawing_does_not_depend_on_the_hash_seed() -> None:
    command = [sys.executable, "-m", "genolang.cli.main", "show", "att_darts/search"]
    drawn = {
        subprocess.run(command, capture_output=True, check=True, env={"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert len(drawn) == 1


def test_neither_torch_nor_networkx_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom genolang.cli.show import show\n"
        "show(['att_darts/found', '-o', sys.argv[1]], standalone_mode=False)\n"
        "print([m for m in ('torch', 'numpy', 'networkx') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.svg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_hostile_words_are_only_ever_text(tmp_path: Path) -> None:
    spec = tmp_path / "a.geno"
    spec.write_text(HOSTILE, "utf-8")
    for form in ("svg", "html"):
        text = run(spec, "--format", form).stdout
        assert "<script" not in text and "\u202e" not in text and "\u0007" not in text
        assert "&lt;script&gt;" in text
    ElementTree.fromstring(run(spec).stdout)
    mermaid = run(spec, "--format", "mmd").stdout
    quoted = [line for line in mermaid.splitlines() if '"' in line]
    assert all(line.count('"') == 2 for line in quoted)
    assert "<" not in mermaid.replace("<br/>", "") and "`" not in mermaid
    dot = run(spec, "--format", "dot").stdout
    assert 'odd(word=\\"' in dot
    assert all(line.count('"') % 2 == line.count('\\"') % 2 for line in dot.splitlines())


def test_a_hostile_name_on_the_command_line_is_escaped() -> None:
    svg = run("darts/v2", "--only", 'sep_conv(3) -> ("<b>" == "a" or true)').stdout
    assert "<b>" not in svg
    title = "sep_conv(3) -> (if '<b>' == 'a' then relu else tanh)".replace("'", '"')
    texts = texts_of(run("darts/v2", "--only", title).stdout)
    assert texts[0] == f"operation {title}"


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "drawing.svg"
    folder.mkdir()
    done = run("darts/v2", "-o", folder)
    assert done.exit_code == 1 and "G709" in done.stderr and "it is a folder" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("-o", "a.png"),
        ("-o", "a"),
        ("-o", "a.svg", "--format", "dot"),
        ("--format", "png"),
        ("--set", "depth"),
        ("--on", "8x8"),
        ("--on", "0x8x8"),
        ("--on", "8x8x9999999"),
    ],
)
def test_a_wrong_call_ends_with_2(args: tuple[str, ...]) -> None:
    assert run("darts/v2", *args).exit_code == 2


def test_a_file_in_a_folder_that_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    for folder in ("missing", "file"):
        (tmp_path / "file").write_text("")
        done = run("darts/v2", "-o", tmp_path / folder / "a.svg")
        assert done.exit_code == 1 and "G709" in done.stderr


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("body", ["c + tanh", "c + unit", "c -> unit -> (relu | unit)", "unit -> twice"])
def test_choices_in_sums_and_slots_with_numbers_are_drawn(body: str, form: str, tmp_path: Path) -> None:
    spec = tmp_path / "a.geno"
    spec.write_text(f"""geno 1
choice c = relu | tanh
op unit = conv(3) -> slot stem_0
op twice = (conv(1) -> slot slot_0) + relu
network base {{
  input image(2, 8, 8)
  body  {body} -> twice -> unit
  head  global_avg_pool -> linear(2)
}}
network n = base with conv(1) at slot_0 with relu -> conv(1) at stem_0 shared per network
""")
    done = run(spec, "--network", "n", "--format", form)
    assert done.exit_code == 0 and "twice" in done.stdout


def test_a_wrong_program_is_not_drawn(tmp_path: Path) -> None:
    spec = tmp_path / "a.geno"
    spec.write_text("geno 1\nop a = nothing_there\n")
    target = tmp_path / "a.svg"
    done = run(spec, "-o", target, "--json")
    assert done.exit_code == 1 and not target.exists()
    assert [d["code"] for d in json.loads(done.stdout)["diagnostics"]] == ["G101"]


def test_a_file_without_anything_to_draw_says_what_to_ask_for() -> None:
    done = run("darts/networks")
    assert done.exit_code == 2 and "--only" in done.stderr


def test_an_operation_is_drawn_on_a_map_of_the_given_shape() -> None:
    texts = texts_of(run("darts/networks", "--only", "tower(10)", "--on", "576x8x8").stdout)
    assert {"conv(2, 768, pad=0)", "576x8x8", "768x1x1", "On a map of 576x8x8."} <= set(texts)


def test_an_operation_without_its_arguments_is_an_error_at_its_name() -> None:
    done = run("darts/v2", "--only", "sep_conv")
    assert done.exit_code == 1 and "G201" in done.stderr and "--only:1:1" in done.stderr

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from genolang.cli.explain import explain
from genolang.diagnostics.codes import CODES
from genolang.diagnostics.pages import page
from genolang.primitives import PRIMITIVES
from genolang.semantics.lookup import find_entries
from genolang.semantics.modules import library_module, library_names


def run(*arguments: str) -> Result:
    return CliRunner().invoke(explain, arguments)


@pytest.mark.parametrize("word", ["G301", "g301", "shapes-differ", "Shapes_Differ"])
def test_code_is_explained_by_its_page(word: str) -> None:
    result = run(word)
    assert result.exit_code == 0
    assert result.output == page("G301")


def test_page_as_json_has_code_name_and_text() -> None:
    found = json.loads(run("--json", "G404").output)
    assert found == {"ok": True, "code": "G404", "name": CODES["G404"], "page": page("G404")}


@pytest.mark.parametrize("word", ["cbam", "std.attention.cbam", "std/attention/cbam"])
def test_definition_is_shown_with_place_signature_comment_and_whole_text(word: str) -> None:
    (found,) = json.loads(run("--json", word).output)["found"]
    assert found["name"] == "std.attention.cbam" and found["kind"] == "attention"
    assert found["file"] == "std/attention.geno"
    line = library_module(("std", "attention")).source.line(found["line"])
    assert line.startswith("attention cbam(") and found["text"].startswith(line)
    assert found["signature"] == "cbam(r=16, k=7)"
    assert "ECCV 2018" in found["comment"] and not found["comment"].startswith("#")
    assert found["text"].endswith("}")


@pytest.mark.parametrize("name", library_names())
def test_text_of_every_definition_has_balanced_brackets(name: tuple[str, ...]) -> None:
    for definition in library_module(name).definitions:
        (entry,) = find_entries(".".join((*name, definition)))
        assert entry.text.count("(") == entry.text.count(")")
        assert entry.text.count("{") == entry.text.count("}")


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_is_explained(name: str) -> None:
    entry = find_entries(f"core.{name}")[0]
    assert entry.kind == "primitive" and entry.signature.startswith(name)
    assert PRIMITIVES[name].doc in entry.comment


def test_name_of_a_primitive_and_of_the_library_shows_both() -> None:
    assert [e.kind for e in find_entries("max_pool")] == ["primitive", "op"]


def test_file_of_the_library_lists_what_it_defines() -> None:
    (entry,) = find_entries("std.ops")
    assert "op sep_conv(k, stride=1)" in entry.text.split("\n")


@pytest.mark.parametrize(
    ("word", "meant"), [("cbm", "cbam"), ("shapes-difer", "shapes-differ"), ("con", "conv"), ("G30", "G301")]
)
def test_unknown_name_is_a_wrong_call_with_a_suggestion(word: str, meant: str) -> None:
    result = run("--json", word)
    assert result.exit_code == 2
    said = json.loads(result.output)
    assert said["ok"] is False and (word == "G30" or said["help"] == f"did you mean `{meant}`?")


def test_explain_imports_no_torch_numpy_or_networkx() -> None:
    code = (
        "import sys; from genolang.cli.main import main\n"
        "try: main(['explain', 'cbam'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'networkx', 'triton', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

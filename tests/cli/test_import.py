import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from genolang.cli.main import main

GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2],"
    " reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1)], reduce_concat=[2])"
)
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|"
BITS = "001,100,111"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, list(words), input=stdin.encode(), catch_exceptions=False)


@pytest.mark.parametrize(("format", "text"), [("darts", GENOTYPE), ("nasbench201", CELL), ("ean", BITS)])
def test_an_imported_spec_is_checked_planned_and_exported_again(format: str, text: str) -> None:
    for given, stdin in ((text, ""), ("-", text)):
        assert run("import", format, given, "-o", "found.geno", "--force", stdin=stdin).exit_code == 0
    assert run("check", "found.geno").exit_code == 0 and run("fmt", "--check", "found.geno").exit_code == 0
    found = run("export", format, "found.geno")
    assert found.exit_code == 0 and found.stdout.strip().endswith(text)
    answer = json.loads(run("export", format, "found.geno", "--json").stdout)
    assert answer == {"format": format, "text": found.stdout.rstrip("\n")}
    Path("input.txt").write_text(text + "\n")
    answer = json.loads(run("import", format, "input.txt", "--json").stdout)
    assert answer == {"format": format, "file": None, "text": Path("found.geno").read_text()}


def test_without_a_file_the_spec_is_printed() -> None:
    found = run("import", "nasbench201", CELL, "--name", "mine")
    assert found.exit_code == 0 and found.stdout.startswith("geno 1\n") and "cell mine(prev)" in found.stdout


def test_a_file_is_not_overwritten_unasked() -> None:
    Path("mine.geno").write_text("geno 1\n")
    found = run("import", "ean", BITS, "-o", "mine.geno")
    assert found.exit_code == 2 and Path("mine.geno").read_text() == "geno 1\n"


def test_a_file_may_be_called_anything() -> None:
    Path("a (copy).py").write_text(f"A = {GENOTYPE}\n")
    assert run("import", "darts", "a (copy).py").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("import", "darts", "nowhere.py"), "G001", 2),
        (("import", "ean", "001,100"), "G610", 1),
        (("export", "darts", "darts/search"), "G609", 1),
        (("export", "darts", "nowhere"), "G001", 2),
        (("export", "nasbench201", "darts/v2"), "G609", 1),
    ],
)
def test_what_is_wrong_is_a_diagnostic(words: tuple[str, ...], code: str, exit_code: int) -> None:
    found = run(*words, "--json")
    assert found.exit_code == exit_code
    assert [d["code"] for d in json.loads(found.stdout)["diagnostics"]] == [code]


def test_another_format_is_a_wrong_call() -> None:
    assert run("import", "keras", "x").exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["import", "darts", GENOTYPE],
        ["export", "darts", "darts/v2"],
        ["export", "ean", "ean/resnet164", "--name", "se_ean_a"],
    ],
)
def test_neither_direction_imports_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom genolang.cli.main import main\n"
        f"main({words!r}, standalone_mode=False)\n"
        "print({'torch', 'numpy', 'networkx'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"

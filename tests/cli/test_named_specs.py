"""Specs as people name them: files, folders, standard input; help and version as people ask for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import genolang
from genolang.cli.main import COMMANDS, main

FINE = "geno 1\n\nop f {\n  return x\n}\n"
WRONG = "geno 1\n\nop f {\n  return y\n}\n"


def genoc(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=text)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "a.geno": FINE,
        "deep/er/b.geno": WRONG,
        "deep/c.geno": FINE,
        "deep/notes.txt": "no spec",
        ".hidden/d.geno": WRONG,
        "empty/notes.txt": "",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, "utf-8")


def test_a_folder_stands_for_all_specs_below_it() -> None:
    answer = json.loads(genoc("check", "--json", ".").stdout)
    assert not answer["ok"] and [d["file"] for d in answer["diagnostics"]] == ["deep/er/b.geno"]
    said = genoc("check", ".")
    assert said.exit_code == 1 and said.stderr.endswith("1 error in 3 files\n")
    assert genoc("check", "deep/c.geno", "a.geno").stderr == "no problems in 2 files\n"


def test_a_folder_without_a_spec_is_said() -> None:
    said = genoc("check", "empty", "a.geno")
    assert said.exit_code == 2 and "there is no spec in the folder empty" in said.stderr


def test_a_spec_may_come_through_standard_input() -> None:
    assert genoc("check", "-", text=FINE).exit_code == 0
    answer = json.loads(genoc("check", "-", "--json", text=WRONG).stdout)
    assert [d["file"] for d in answer["diagnostics"]] == ["<stdin>"]
    importing = "geno 1\nimport c\nop g = x -> f\n"
    assert "c" in genoc("check", "-", text=importing).stderr
    assert genoc("check", "-", "--stdin-name", "deep/new.geno", text=importing).exit_code == 0
    answer = json.loads(genoc("check", "-", "--stdin-name", "deep/new.geno", "--json", text=WRONG).stdout)
    assert [d["file"] for d in answer["diagnostics"]] == ["deep/new.geno"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_the_option_says(command: str) -> None:
    said = genoc("help", command)
    assert said.exit_code == 0
    assert said.stdout.split("\n", 1)[1] == genoc(command, "--help").stdout.split("\n", 1)[1]


def test_help_alone_lists_the_commands_and_an_unknown_one_is_a_wrong_call() -> None:
    assert genoc("help").stdout.split("\n", 1)[1] == genoc("--help").stdout.split("\n", 1)[1]
    said = genoc("help", "chek")
    assert said.exit_code == 2 and "did you mean `check`" in said.stderr


def test_the_version_and_the_package_by_its_name() -> None:
    assert genoc("-V").stdout == genoc("--version").stdout == f"genoc, version {genolang.__version__}\n"
    done = subprocess.run([sys.executable, "-m", "genolang", "-V"], capture_output=True, text=True, check=True)
    assert done.stdout == f"genoc, version {genolang.__version__}\n"

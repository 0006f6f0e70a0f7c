"""What names of files a command is given, it ends with a message, and reads no more than a limit."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from soak.command_lines import SPEC, furnish

from genolang.cli.main import main
from genolang.diagnostics import GenoError
from genolang.semantics.modules import read_source


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(tmp_path)
    monkeypatch.chdir(tmp_path)


def run(*words: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, list(words), input=stdin, catch_exceptions=False)


def ends_in(result: Result, code: str, exit_code: int) -> bool:
    return result.exit_code == exit_code and code in result.stderr


@pytest.mark.parametrize(
    "path",
    [
        "fifo",
        "/dev/zero",
        "/dev/full",
        "/dev/null",
        "folder",
        "",
        "a" * 300,
        "b/" * 3000,
        "file/x.geno",
        "loop",
        "\udcff",
    ],
)
@pytest.mark.parametrize("command", ["check", "plan", "show", "fmt", "train", "compile"])
def test_what_is_no_plain_file_is_not_read(command: str, path: str) -> None:
    assert ends_in(run(command, path), "G001", 2)


@pytest.mark.parametrize("path", [".", "//"])
@pytest.mark.parametrize("command", ["plan", "show", "fmt", "train", "compile"])
def test_a_folder_of_specs_is_for_check_alone(command: str, path: str) -> None:
    assert ends_in(run(command, path), "G001", 2)


@pytest.mark.parametrize("command", ["diff", "import"])
def test_nor_is_it_by_commands_of_two_arguments(command: str) -> None:
    first = "spec.geno" if command == "diff" else "darts"
    for path in ("fifo", "/dev/zero", "a" * 300):
        assert ends_in(run(command, first, path), "G001", 2)


def test_no_more_is_read_than_the_limit() -> None:
    """Of a file that has grown since it was looked at, and of standard input, too."""
    Path("long.geno").write_bytes(b"#" * 4_000_001)
    with pytest.raises(GenoError) as caught:
        read_source("long.geno")
    assert caught.value.diagnostics[0].code == "G003"
    for command in (["fmt", "-"], ["import", "ean", "-"]):
        assert "G003" in run(*command, stdin=b"#" * 4_000_001).stderr
    Path("full.geno").write_bytes(b"geno 1\n".ljust(4_000_000, b"\n"))
    assert run("check", "full.geno").exit_code == 0


@pytest.mark.parametrize(
    "target", ["file/x.svg", "a" * 300 + ".svg", "not/there.svg", "folder.svg", "x\0.svg", "null.svg"]
)
def test_what_cannot_be_written_is_said(target: str) -> None:
    Path("folder.svg").mkdir()
    Path("null.svg").symlink_to("/dev/null")
    assert ends_in(run("show", "spec.geno", "-o", target), "G709", 1)
    assert ends_in(run("import", "ean", "001,100,111", "-o", target, "--force"), "G709", 1)
    assert ends_in(run("new", target, "--force"), "G709", 1)
    assert Path("null.svg").is_symlink() and not list(Path().glob(".*tmp"))


@pytest.mark.parametrize(
    "words",
    [
        ["compile", "spec.geno", "-o", "file/x"],
        ["bench", "plain.geno", "--network", "n", "--small", "--rounds", "2", "-o", "file/x.json"],
    ],
)
def test_a_folder_that_cannot_be_made_is_said(words: list[str]) -> None:
    assert ends_in(run(*words), "G709", 1)


def test_a_name_as_long_as_names_can_be_is_written() -> None:
    name = "a" * 250 + ".geno"
    assert run("new", name).exit_code == 0 and run("check", name).exit_code == 0


def test_a_file_that_is_replaced_keeps_its_permissions() -> None:
    os.chmod("spec.geno", 0o640)
    Path("spec.geno").write_text("geno 1\nop a=relu\n")
    assert run("fmt", "spec.geno").exit_code == 0
    assert Path("spec.geno").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("word", ["specs", "specs.", ".", "", "core", "std", "\udcff"])
def test_a_word_that_is_explained_by_nothing_is_said_to_be_unknown(word: str) -> None:
    found = run("explain", word)
    assert found.exit_code == 2 and "is called" in found.stderr


def test_half_a_character_is_printed_as_its_escape() -> None:
    found = run("check", "\udcff.geno", "--json")
    assert json.loads(found.stdout)["diagnostics"][0]["message"].startswith("cannot read \udcff.geno")
    assert ends_in(run("import", "darts", "Genotype(\udcff)"), "G002", 1)


@pytest.mark.parametrize("words", [["fmt", "-"], ["export", "ean", "ü.geno"], ["show", "ü.geno"], ["explain", "G004"]])
def test_results_are_utf_8_where_the_locale_is_not(words: list[str]) -> None:
    text = "geno 1\n# Übung →\n"
    Path("ü.geno").write_text(SPEC)
    done = subprocess.run(
        [sys.executable, "-m", "genolang.cli.main", *words],
        input=text.encode(),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"Traceback" not in done.stderr
    assert words[0] != "fmt" or done.stdout.decode() == text


@pytest.mark.parametrize("name", ["C", "x", "each", "cifar", "nor_conv"])
def test_an_imported_cell_has_a_name_with_which_the_spec_checks(name: str) -> None:
    assert ends_in(run("import", "nasbench201", "|nor_conv_3x3~0|", "--name", name), "G610", 1)


@pytest.mark.parametrize("name", ["C", "x", "resnet_cifar", "earlier"])
def test_an_imported_network_has_a_name_with_which_the_spec_checks(name: str) -> None:
    assert ends_in(run("import", "ean", "001,100,111", "--name", name), "G610", 1)


def test_a_terminal_gets_escapes_for_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    shown = Terminal(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("# Ü\n".encode())))
    with pytest.raises(SystemExit):
        main(["fmt", "-"])
    shown.flush()
    assert shown.buffer.getvalue() == b"# \\xdc\n"  # type: ignore[attr-defined]

"""The tutorial is run as its reader would run it."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from genolang.cli.main import main
from genolang.diagnostics import Source
from genolang.lang.formatter import format_source

TEXT = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")
STEPS = re.findall(r"```(geno coordinate\.geno|sh)\n(.*?)```", TEXT, re.S)


def test_the_tutorial_runs_from_its_first_line_to_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "coordinate.geno"
    ran = []
    for kind, text in STEPS:
        if kind != "sh":
            spec.write_text((spec.read_text() + "\n" if spec.exists() else "") + text)
            continue
        for line in text.splitlines():
            name, *arguments = shlex.split(line)
            assert name == "genoc"
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception}"
            ran.append(arguments[0])
    assert ran == ["check", "plan", "compile", "show", "search"]
    assert (tmp_path / "build").is_dir() and (tmp_path / "coordinate.svg").read_text().startswith("<svg")
    found = (tmp_path / "run" / "found.geno").read_text()
    assert re.search(
        r"network where_to = digits with coordinate at residual shared per stage where \[\"[01]{2}\", \"[01]{2}\"\]",
        found,
    )
    assert CliRunner().invoke(main, ["check", "run/found.geno"]).exit_code == 0


def test_the_module_takes_under_fifteen_lines_and_the_last_choice_compiles(tmp_path: Path) -> None:
    blocks = [text for kind, text in STEPS if kind != "sh"]
    module = re.search(r"attention coordinate.*?\n}\n", blocks[0], re.S)
    assert module is not None and len(module[0].splitlines()) < 15
    whole = tmp_path / "whole.geno"
    whole.write_text("\n".join(blocks))
    result = CliRunner().invoke(main, ["plan", str(whole), "--network", "which", "--json"])
    assert result.exit_code == 0 and '"choices": 1' in result.output
    assert format_source(Source("whole", format_source(Source("whole", whole.read_text()))))


def test_the_misspelt_word_of_the_tutorial_is_recognised(tmp_path: Path) -> None:
    spec = tmp_path / "a.geno"
    spec.write_text(STEPS[0][1].replace("mean(x, width)", "mean(x, widht)"))
    result = CliRunner().invoke(main, ["check", str(spec)])
    assert result.exit_code == 1 and "did you mean `width`" in result.output

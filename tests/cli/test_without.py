"""Passes that trainings and searches are told to do without."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from genolang.cli.main import main
from genolang.compiler import driver
from genolang.compiler.torch.module import NetworkModule

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[NetworkModule]:
    """Every network that is built."""
    found: list[NetworkModule] = []
    whole = driver.to_module

    def spied(*asked: Any, **how: Any) -> NetworkModule:
        found.append(whole(*asked, **how))
        return found[-1]

    monkeypatch.setattr(driver, "to_module", spied)
    return found


TINY = """geno 1
import std.ops
choice operation = skip | sep_conv(3) | none
network n {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm -> operation
  head  global_avg_pool -> linear(10)
}
network discrete {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm -> relu
  head  global_avg_pool -> linear(10)
}
search { method darts epochs 1 seeds 1 random 1 score_epochs 1 batch 300 }
train { epochs 1 batch 300 }
"""


def run(*words: str) -> dict[str, Any]:
    Path("n.geno").write_text(TINY, "utf-8")
    found = CliRunner().invoke(main, [*words, "--json", "--threads", "1"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    answered: dict[str, Any] = json.loads(found.stdout)
    return answered


@pytest.mark.parametrize(
    "words", [("train", "n.geno", "--network", "discrete"), ("search", "n.geno", "--network", "n")]
)
def test_trainings_and_searches_do_without_capture_when_told_to(
    built: list[NetworkModule], words: tuple[str, ...]
) -> None:
    run(*words)
    assert built and all(module.captured for module in built)
    built.clear()
    answered = run(*words, "--without", "capture", "--out", "other")
    assert built and not any(module.captured for module in built)
    command = json.loads(Path(answered["run"], "run.json").read_text("utf-8"))["command"]
    assert command[command.index("--without") + 1] == "capture", "what resumes the run does without it too"


def test_what_one_command_did_without_the_next_one_has(built: list[NetworkModule]) -> None:
    run("train", "n.geno", "--network", "discrete", "--without", "capture,share")
    run("train", "n.geno", "--network", "discrete")
    assert [module.captured for module in built] == [False, True]

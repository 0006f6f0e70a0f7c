"""`--jobs`: the same answers, whoever trains them."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from search.slot_space import SLOTS
from search.timeless import timeless
from search.tiny_space import TEXT, small_digits

from genolang.cli.main import main
from genolang.search import comparison, timing
from genolang.train.run_folder import read_journal

SPEC = TEXT.replace(
    "search { method darts }",
    """search {
  method darts
  epochs 3
  batch 8
  random 2
  score_epochs 2
}""",
)
SLOT_SPEC = SLOTS.replace(
    "search { method ean }",
    """search {
  method ean(steps=2)
  epochs 1
  batch 8
  random 0
  score_epochs 1
}""",
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "BATCH", 2)
    monkeypatch.setattr(timing, "SHORTEST_S", 0.0)
    data = small_digits()
    np.savez(
        tmp_path / "data.npz",
        x_train=data.train_images.numpy(),
        y_train=data.train_labels.numpy(),
        x_test=data.test_images.numpy(),
        y_test=data.test_labels.numpy(),
    )
    (tmp_path / "tiny.geno").write_text(SPEC)
    (tmp_path / "slots.geno").write_text(SLOT_SPEC)
    return tmp_path


def words(files, *more):
    return [*map(str, more), "--data", f"npz:{files / 'data.npz'}", "--threads", "1"]


def genoc(files, *more):
    result = CliRunner().invoke(main, words(files, *more))
    assert result.exit_code == 0, result.output
    return result


def same(files, name):
    found = [
        timeless(json.loads((files / folder / name).read_text().replace(str(files / folder), "")))
        for folder in ("a", "b")
    ]
    assert found[0] == found[1]


def test_ctrl_c_in_a_terminal_saves_and_the_command_it_names_goes_on_to_the_same_answer(files):
    genoc(files, "search", files / "tiny.geno", "--out", files / "a")
    call = [
        sys.executable,
        "-m",
        "genolang.cli.main",
        *words(files, "search", files / "tiny.geno", "--jobs", 2, "--out", files / "b"),
    ]
    # As on a terminal, the signal goes to all processes of the group.
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not (files / "b" / "run.json").exists():
            time.sleep(0.02)
        while process.poll() is None and len(read_journal(files / "b")) < 2:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        talk = process.stderr.read()
        assert process.wait() == 130, talk
    assert "Traceback" not in talk and "G710" in talk and f"--jobs 2 --resume {files / 'b'}" in talk
    genoc(files, "search", files / "tiny.geno", "--jobs", 2, "--resume", files / "b")
    assert (files / "a" / "found.geno").read_bytes() == (files / "b" / "found.geno").read_bytes()
    same(files, "metrics.json")


def test_lines_of_other_processes_name_their_phase(files):
    found = genoc(files, "search", files / "tiny.geno", "--jobs", 2, "--set", "epochs=30", "--out", files / "a")
    lines = found.stderr.splitlines()
    theirs = [line for line in lines if line.startswith("score-random-")]
    assert len(theirs) == 4 and all(" epoch " in line and "train loss" in line for line in theirs)
    assert sum(line.startswith("search-0 epoch") for line in lines) == 30


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (("search", "--method", "all(evaluations=4, methods=[random, darts])"), "metrics.json"),
        (("study", "schemes", "--count", "2", "--random", "3"), "study.json"),
        (("study", "correlation", "--count", "3"), "study.json"),
    ],
)
def test_comparisons_and_studies_are_the_same_with_other_processes(files, verb, name):
    for folder, jobs in (("a", 1), ("b", 2)):
        genoc(files, *verb, files / "slots.geno", "--network", "slots", "--jobs", jobs, "--out", files / folder)
    same(files, name)


def test_jobs_are_part_of_the_runs_command_and_help_shows_them(files):
    genoc(files, "search", files / "tiny.geno", "--jobs", 2, "--set", "random=0", "--out", files / "a")
    command = json.loads((files / "a" / "run.json").read_text())["command"]
    assert command[command.index("--jobs") + 1] == "2"
    assert "--threads 1 --jobs 2" in CliRunner().invoke(main, ["search", "--help"]).stdout
    refused = CliRunner().invoke(main, ["search", str(files / "tiny.geno"), "--jobs", "0"])
    assert refused.exit_code == 2

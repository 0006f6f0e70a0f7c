"""Runs that are killed, interrupted or told to end come to the same answer, weights and scores."""

import os
import random
import subprocess
import sys

import pytest
from search import killed_search
from search.timeless import assert_same_runs

KINDS = list(killed_search.KINDS)


def check(folder, kind, stops, seed):
    command = [sys.executable, killed_search.__file__, kind, str(folder), str(stops), str(seed)]
    process = subprocess.run(
        command,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert process.returncode == 0, process.stderr
    straight, killed = folder / "straight", folder / "killed"
    assert_same_runs(killed, straight)
    answers = {path.name: path.read_bytes() for path in straight.iterdir() if path.is_file()}
    assert len(answers) >= 3
    assert answers == {name: (killed / name).read_bytes() for name in answers}
    return int(process.stdout)


def test_a_search_stopped_ten_times_finds_the_same_answer_bit_for_bit(tmp_path):
    assert check(tmp_path, "search", stops=10, seed=1) >= 6


@pytest.mark.parametrize("kind", KINDS[1:])
def test_comparisons_and_studies_that_are_stopped_come_to_the_same_end(tmp_path, kind):
    assert check(tmp_path, kind, stops=4, seed=2) >= 2


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_every_run_stopped_many_times_comes_to_the_same_end(tmp_path, kind):
    for number in range(5):
        assert check(tmp_path / str(number), kind, stops=30, seed=random.SystemRandom().randrange(10**9)) >= 3

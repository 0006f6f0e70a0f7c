import json
import os
import subprocess
import sys

import pytest
from search import killed_search

from genolang.train.checkpoint import load_checkpoint
from genolang.train.run_folder import read_journal


def plain_lines(folder):
    """The journal without times, which differ between runs."""

    def timeless(entry):
        if isinstance(entry, dict):
            return {key: timeless(value) for key, value in entry.items() if key != "seconds"}
        return [timeless(item) for item in entry] if isinstance(entry, list) else entry

    return sorted(json.dumps(timeless(entry)) for entry in read_journal(folder))


def tensors(folder, phase):
    return load_checkpoint(folder / "checkpoints", phase).tensors


def check(tmp_path, kills, seed):
    killed_search.sitting(tmp_path / "straight")
    command = [sys.executable, killed_search.__file__, str(tmp_path / "killed"), str(kills),
               str(seed)]
    process = subprocess.run(command, env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}, capture_output=True,
                             text=True, check=False, timeout=1200)
    assert process.returncode == 0, process.stderr
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert (killed / "found.geno").read_bytes() == (straight / "found.geno").read_bytes()
    assert plain_lines(killed) == plain_lines(straight)
    for phase in ("search-3", "search-4", "score-3", "score-random-1"):
        expected, found = tensors(straight, phase), tensors(killed, phase)
        assert expected.keys() == found.keys()
        assert all(expected[name].equal(found[name]) for name in expected)
    assert not list(killed.rglob(".*.tmp"))
    return int(process.stdout)


def test_a_search_killed_a_dozen_times_finds_the_same_answer_bit_for_bit(tmp_path):
    assert check(tmp_path, kills=14, seed=1) >= 10


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_a_search_killed_many_times_finds_the_same_answer_bit_for_bit(tmp_path, seed):
    assert check(tmp_path, kills=40, seed=seed) >= 15

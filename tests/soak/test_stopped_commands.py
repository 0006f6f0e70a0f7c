"""Commands that are killed or interrupted at any time, with any `--jobs`, come to one end."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from search.slot_space import SLOTS
from search.timeless import assert_same_runs, timeless
from search.tiny_space import TEXT, small_digits

SETTINGS = """
  epochs 3
  batch 8
  random 2
  score_epochs 2
}
train {
  epochs 30
  batch 4
}"""
SPECS = {
    "tiny": TEXT.replace("search { method darts }", "search {\n  method darts\n  seeds 2" + SETTINGS),
    "slots": SLOTS.replace("search { method ean }", "search {\n  method ean(steps=4)" + SETTINGS),
}
COMMANDS = {
    "search": ("search", "tiny.geno"),
    "all": (
        "search",
        "slots.geno",
        "--network",
        "slots",
        "--method",
        "all(evaluations=12, methods=[ean, darts, genetic])",
    ),
    "schemes": ("study", "schemes", "slots.geno", "--network", "slots", "--count", "3", "--random", "3"),
    "correlation": ("study", "correlation", "slots.geno", "--network", "slots", "--count", "4"),
    "train": ("train", "slots.geno", "--network", "plain"),
}
PATHS = os.pathsep.join(path for path in sys.path if path)


def begun(folder, words):
    call = [sys.executable, "-m", "genolang.cli.main", *words, "--data", "npz:data.npz", "--threads", "1"]
    return subprocess.Popen(
        call,
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": PATHS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(folder):
    """What a run wrote beside its journal and checkpoints; the words of its command may tell other jobs."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".geno", ".safetensors")}
    for path in folder.glob("*.json"):
        value = timeless(json.loads(path.read_text().replace(str(folder.name), "")))
        found[path.name] = value["facts"] if path.name == "run.json" else value
    return found


def test_the_rule_for_times_finds_them():
    assert timeless({"seconds": 1, "plain_seconds": 2, "time_increment": 3, "a": [{"seconds": 4, "b": 5}]}) == {
        "a": [{"b": 5}]
    }


@pytest.mark.soak
@pytest.mark.parametrize("kind", list(COMMANDS))
def test_a_command_stopped_at_any_time_with_any_jobs_comes_to_one_end(tmp_path, kind):
    draw = random.Random()
    data = small_digits()
    np.savez(
        tmp_path / "data.npz",
        x_train=data.train_images.numpy(),
        y_train=data.train_labels.numpy(),
        x_test=data.test_images.numpy(),
        y_test=data.test_labels.numpy(),
    )
    for name, text in SPECS.items():
        (tmp_path / f"{name}.geno").write_text(text)
    began = time.monotonic()
    with begun(tmp_path, [*COMMANDS[kind], "--out", "whole"]) as process:
        assert process.wait() == 0, process.stderr.read()
    took = time.monotonic() - began
    ended = False
    for number in range(12):
        jobs = () if kind == "train" else ("--jobs", str(draw.randint(1, 3)))
        folder = "--resume" if (tmp_path / "stopped" / "run.json").exists() else "--out"
        with begun(tmp_path, [*COMMANDS[kind], *jobs, folder, "stopped"]) as process:
            if number < 11:
                time.sleep(took * (0.3 + 0.7 * draw.random()))
                stop = draw.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
                if draw.random() < 0.5:
                    os.killpg(process.pid, stop)
                else:
                    process.send_signal(stop)
            talk = process.stderr.read()
            code = process.wait()
        # Before a run has begun there is nothing that could be gone on with.
        begins = "in stopped" in talk
        # Python ends itself by SIGINT where Ctrl-C came inside `exec`, as at an import; to a shell that is 130 too.
        ends = (0, 130, -signal.SIGINT, -signal.SIGKILL, -signal.SIGTERM)
        assert ("Traceback" not in talk and code in ends) or not begins, talk
        ended = code == 0
    assert ended, talk
    assert_same_runs(tmp_path / "stopped", tmp_path / "whole")
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")

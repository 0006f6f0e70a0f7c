import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from train.tiny import CPU, TinyNet
from train.tiny_run import RUN_SETTINGS, sitting, small_digits

from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder
from genolang.train.training import split_indices, train_network


@pytest.fixture
def single_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_split_is_a_partition_that_depends_on_the_seed_alone():
    train, held_out = split_indices(11, 0.3, seed=4)
    assert len(held_out) == 3 and sorted([*train.tolist(), *held_out.tolist()]) == list(range(11))
    assert torch.equal(split_indices(11, 0.3, seed=4)[0], train)
    assert not torch.equal(split_indices(11, 0.3, seed=5)[0], train)


def test_a_split_leaves_something_to_train_on():
    assert [len(part) for part in split_indices(1, 0.9, seed=0)] == [1, 0]


def test_a_run_writes_weights_and_metrics(tmp_path):
    with RunFolder.create(tmp_path, "geno 1\n", ("genoc", "train", "a.geno")) as run:
        module = TinyNet()
        result = train_network(module, RUN_SETTINGS, small_digits(), Phase(5, CPU, run))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["run"] == str(tmp_path) and metrics["params"] == result.params
    for key in ("train_accuracy", "val_accuracy", "test_accuracy"):
        assert 0 <= metrics[key] <= 1 and metrics[key] == getattr(result, key)
    assert metrics["val_accuracy"] == max(epoch["val_accuracy"] for epoch in metrics["history"])
    assert len(metrics["history"]) == metrics["epochs"] == 4 and metrics["seconds"] > 0
    best = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(best[name], value) for name, value in module.state_dict().items())
    assert best.keys() == safetensors.torch.load_file(tmp_path / "last.safetensors").keys()


def test_nothing_held_out_leaves_validation_empty():
    settings = replace(RUN_SETTINGS, split=0.0, epochs=2)
    result = train_network(TinyNet(), settings, small_digits(), Phase(5, CPU))
    assert result.val_accuracy is None and result.test_accuracy is not None


def test_a_finished_run_resumes_to_the_same_files(tmp_path):
    sitting(tmp_path)
    names = ("weights.safetensors", "last.safetensors", "metrics.json", "journal/train.jsonl")
    before = [(tmp_path / name).read_bytes() for name in names]
    sitting(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == before


@pytest.mark.usefixtures("single_thread")
def test_a_run_killed_again_and_again_ends_byte_for_byte_as_one_left_alone(tmp_path):
    sitting(tmp_path / "straight")
    killed = tmp_path / "killed"
    moments = random.Random(20)
    ends = []
    for _ in range(3):
        with start(killed) as process:
            for _ in range(moments.randint(1, 6)):
                process.stdout.readline()
            time.sleep(moments.uniform(0, 0.01))
            process.kill()
        ends.append(process.returncode)
    assert ends[0] == -signal.SIGKILL
    with start(killed) as process:
        process.stdout.read()
    assert process.returncode == 0
    for name in ("weights.safetensors", "last.safetensors"):
        assert (killed / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    assert len((killed / "journal" / "train.jsonl").read_text().splitlines()) == 4


def start(folder):
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here.parents[1], here.parent)))
    return subprocess.Popen(
        [sys.executable, str(here / "tiny_run.py"), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )

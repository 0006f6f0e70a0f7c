import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from search.side_worker import Patient, job_in, opened, run_in, workers_in
from search.timeless import assert_same_runs

from genolang.diagnostics import GenoError
from genolang.search.workers import Task
from genolang.train.checkpoint import load_checkpoint
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import read_journal

PATHS = os.pathsep.join(path for path in sys.path if path)


def plain(result):
    trials = tuple(replace(trial, history=()) for trial in result.trials)
    return replace(result, seconds=0.0, history=(), trials=trials)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    return folder, plain(run_in(folder, 1))


class Begun(Patient):
    """Presses Ctrl-C, or does what it is given, once a worker has told that it trains."""

    def __init__(self, folder, then=None):
        super().__init__(folder)
        self.then, self.done = then, False

    def message(self, text):
        super().message(text)
        if " epoch " in text and not self.done:
            self.done = True
            if self.then is None:
                raise KeyboardInterrupt
            self.then()


def workers_of(process):
    found = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "side_worker" in line]


def test_several_processes_come_to_the_same_run_as_one(tmp_path, alone):
    reporter = Patient(tmp_path)
    assert plain(run_in(tmp_path, 3, reporter=reporter)) == alone[1]
    assert_same_runs(tmp_path, alone[0])
    theirs = {text.split()[0] for text in reporter.messages if " epoch " in text}
    assert theirs and not theirs & reporter.phases


def test_a_killed_worker_is_gone_on_for(tmp_path, alone):
    def kill():
        (worker,) = workers_of(os.getpid())
        os.kill(worker, signal.SIGKILL)

    reporter = Begun(tmp_path, kill)
    assert plain(run_in(tmp_path, 2, reporter=reporter)) == alone[1]
    assert reporter.done and [text for text in reporter.messages if "its process has ended (-9)" in text]
    assert_same_runs(tmp_path, alone[0])


def test_an_interrupted_run_lets_its_workers_save_and_goes_on_to_the_same_end(tmp_path, alone):
    with pytest.raises(GenoError) as error:
        run_in(tmp_path, 2, reporter=Begun(tmp_path))
    assert error.value.diagnostics[0].code == "G710"
    assert workers_of(os.getpid()) == []
    assert plain(run_in(tmp_path, 2)) == alone[1]
    assert_same_runs(tmp_path, alone[0])


def test_a_run_that_waits_for_a_worker_can_be_interrupted(tmp_path):
    def interrupt():
        while size(tmp_path) < 4:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    with opened(tmp_path) as run, workers_in(run, 1, "long") as workers, pytest.raises(GenoError) as error:
        job = job_in(run, "long", SilentReporter(), workers)
        job.open()
        task = Task("score-random-0", 3, job.random_answers()[0])
        workers.offer(task)
        threading.Thread(target=interrupt, daemon=True).start()
        time.sleep(0.2)
        job.settle(task)
    assert error.value.diagnostics[0].code == "G710"
    saved = load_checkpoint(tmp_path / "checkpoints", "score-random-0").meta["progress"]
    epochs = sum(entry["phase"] == "score-random-0" for entry in read_journal(tmp_path))
    assert 0 < saved["epoch"] == epochs < 1000


def test_what_goes_wrong_in_a_worker_is_the_same_diagnostic(tmp_path):
    found = []
    for jobs in (1, 2):
        with pytest.raises(GenoError) as error:
            run_in(tmp_path / str(jobs), jobs, "exploding")
        (diagnostic,) = error.value.diagnostics
        found.append((diagnostic.code, diagnostic.message, diagnostic.help))
    assert found[0] == found[1] and found[0][0] in ("G701", "G702")


def test_a_worker_that_cannot_begin_is_done_without(tmp_path, alone):
    assert plain(run_in(tmp_path, 2, module="search.no_such_module")) == alone[1]
    assert_same_runs(tmp_path, alone[0])


def sitting(folder):
    return subprocess.Popen(
        [sys.executable, __file__, str(folder)], env={**os.environ, "PYTHONPATH": PATHS}, stderr=subprocess.PIPE
    )


def size(folder):
    return len(read_journal(folder)) if (folder / "run.json").exists() else 0


def killed(folder, draw):
    """One sitting of which the run's process, its worker, or both are killed; whether the first was."""
    begun, lines = size(folder), draw.randint(1, 5)
    with sitting(folder) as process:
        while process.poll() is None and size(folder) < begun + lines:
            time.sleep(0.005)
        time.sleep(0.03 * draw.random())
        whom = draw.choice(["run", "run", "worker", "both"])
        found = workers_of(process.pid) if whom != "run" else []
        for one in [*found, *([process.pid] if whom != "worker" else [])]:
            # Some have ended by themselves by now.
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        if whom != "worker":
            return process.wait() == -signal.SIGKILL
        assert process.wait() == 0, process.stderr.read()
    return False


def check_killed(folder, alone, kills, seed):
    draw = random.Random(seed)
    count = sum(killed(folder, draw) for _ in range(kills))
    # The folder is locked until a killed run's worker has ended, and that is soon.
    assert plain(run_in(folder, 1)) == alone[1]
    assert_same_runs(folder, alone[0])
    return count


def test_a_run_killed_together_with_its_worker_or_not_goes_on_to_the_same_end(tmp_path, alone):
    # This draw kills the run alone, and goes on at once.
    assert check_killed(tmp_path, alone, 1, seed=1) == 1


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_many_times_together_with_its_worker_or_not(tmp_path, alone, seed):
    for number in range(6):
        check_killed(tmp_path / str(number), alone, 3, 10 * seed + number)


if __name__ == "__main__":
    run_in(Path(sys.argv[1]), 2, reporter=Patient(Path(sys.argv[1])))

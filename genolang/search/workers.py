"""Other processes that train for a run, side by side with it: `genoc search --jobs`.

What a phase comes to follows from its task and the run's settings alone, so it does not matter which
process trains it, nor when. Workers keep journals and checkpoints of their own phases in the run's folder.
A worker is never needed: what one has not brought to its end, because it was killed or has failed, the
run's process takes up from the last checkpoint, and so meets itself whatever there is to meet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from genolang.files import remove_temporary_files
from genolang.search.space import Genotype
from genolang.train.interrupt import interrupted, interruptible
from genolang.train.reporter import EpochRecord, Reporter, SilentReporter
from genolang.train.run_folder import RunFolder

LOOK_S = 0.1
"""How often a run that waits for a worker looks for an interrupt and for what there is to say."""

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A phase to train: the score of a genotype under a seed, or without one a search."""

    phase: str
    seed: int
    genotype: Genotype | None = None

    def to_json(self) -> dict[str, Any]:
        genotype = None if self.genotype is None else self.genotype.to_json()
        return {"phase": self.phase, "seed": self.seed, "genotype": genotype}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Task:
        genotype = None if data["genotype"] is None else Genotype.from_json(data["genotype"])
        return Task(data["phase"], data["seed"], genotype)


class Workers:
    """Up to `most` processes, each started once there is a task for it, stopped by `close` or `with`.

    `command` starts one, which is told `setup` and then serves as `genolang.search.serving` does. It
    holds the run's folder locked for as long as it lives, and does not outlive this process by more
    than a moment.
    """

    def __init__(self, run: RunFolder, command: Sequence[str], setup: Mapping[str, Any], most: int) -> None:
        self._run, self._command, self._most = run, tuple(command), most
        self._setup = {**setup, "run": str(run.path), "command": run.command}
        self._changed = threading.Condition()
        self._offered: deque[Task] = deque()
        self._training: set[str] = set()
        self._entries: dict[str, Entry] = {}
        self._waiting = 0
        self._closed = False
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        self._relay = _Relay(SilentReporter())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reporting(self, reporter: Reporter) -> Reporter:
        """The reporter, which then also tells what workers say, before what it is told itself."""
        self._relay.reporter = reporter
        return self._relay

    def offer(self, task: Task) -> None:
        """Lets a worker train the task; its entry is asked for by `settle`."""
        with self._changed:
            self._offered.append(task)
            self._changed.notify_all()
            if len(self._offered) > self._waiting and len(self._processes) < self._most and not self._closed:
                try:
                    self._start()
                except OSError as error:
                    self._relay.say(f"no process can be started beside this one: {error.strerror}")

    def settle(self, task: Task, perform: Callable[[Task], Entry]) -> Entry:
        """What the task comes to, trained here by `perform` unless a worker has it.

        While a worker is still at it, other tasks on offer are trained here. Error: G710 and what
        `perform` raises.
        """
        while True:
            with self._changed:
                if task.phase in self._entries:
                    return self._entries.pop(task.phase)
                mine: Task | None = task
                if task.phase in self._training:
                    mine = self._offered.popleft() if self._offered else None
                elif task in self._offered:
                    self._offered.remove(task)
            if mine is None:
                self._wait_for(task)
            else:
                self._entries[mine.phase] = perform(mine)

    def close(self) -> None:
        """Lets the workers save where they are, and waits until they have ended."""
        with self._changed:
            self._closed = True
            self._offered.clear()
            self._changed.notify_all()
        try:
            for process in self._processes:
                process.terminate()
            for thread in self._threads:
                thread.join()
        finally:
            for process in self._processes:
                process.kill()

    def pass_on(self) -> None:
        """Tells the reporter what workers have said by now."""
        self._relay.pass_on()

    def _wait_for(self, task: Task) -> None:
        with interruptible() as interrupt:
            while task.phase in self._training and not interrupt.requested:
                with self._changed:
                    self._changed.wait(LOOK_S)
                with interrupt.deferred():
                    self.pass_on()
        if interrupt.requested:
            raise interrupted(self._run.resume_command)

    def _start(self) -> None:
        # Away from the terminal's Ctrl-C: this process tells them to stop.
        # The same modules as here, and none from the folder that the user happens to be in.
        process = subprocess.Popen(
            [sys.executable, "-P", *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            pass_fds=self._run.handles,
            process_group=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        thread = threading.Thread(target=self._attend, args=(process,), daemon=True)
        self._processes.append(process)
        self._threads.append(thread)
        thread.start()

    def _attend(self, process: subprocess.Popen[str]) -> None:
        """Gives a worker tasks, one after another, and hears what it says, until it ends."""
        # What could not be told to a worker that has ended is tried once more when its pipe is closed.
        with suppress(BrokenPipeError), process:
            alive = _tell(process, self._setup)
            while alive and (task := self._next()) is not None:
                alive, entry = self._train(process, task)
                if not alive:
                    self._bury(process, task)
                with self._changed:
                    self._training.discard(task.phase)
                    if entry is not None:
                        self._entries[task.phase] = entry
                    self._changed.notify_all()

    def _next(self) -> Task | None:
        """The next task on offer; waits for one, None after the end."""
        with self._changed:
            self._waiting += 1
            while not self._offered and not self._closed:
                self._changed.wait()
            self._waiting -= 1
            if not self._offered:
                return None
            task = self._offered.popleft()
            self._training.add(task.phase)
            return task

    def _train(self, process: subprocess.Popen[str], task: Task) -> tuple[bool, Entry | None]:
        """Whether the worker lives on, and what its task came to, None where it failed."""
        assert process.stdout is not None
        alive = _tell(process, task.to_json())
        while alive and (line := process.stdout.readline()).endswith("\n"):
            message = json.loads(line)
            if "done" in message:
                return True, message["done"]
            if "failed" in message:
                self._relay.say(f"{task.phase}: {message['failed']}")
                return True, None
            self._relay.say(message["line"])
        return False, None

    def _bury(self, process: subprocess.Popen[str], task: Task) -> None:
        code = process.wait()
        with suppress(OSError):
            for folder in ("checkpoints", "journal"):
                remove_temporary_files(self._run.path / folder, process.pid)
        if not self._closed:
            self._relay.say(f"{task.phase}: its process has ended ({code}); going on without")


def _tell(process: subprocess.Popen[str], message: Mapping[str, Any]) -> bool:
    """Whether the worker can still be told anything."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
    except OSError:
        return False
    return True


class _Relay:
    """A reporter that first tells what was said in other threads; itself it is called in one."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self._said: SimpleQueue[str] = SimpleQueue()

    def say(self, text: str) -> None:
        """Keeps a line of another thread until this reporter's is there."""
        self._said.put(text)

    def pass_on(self) -> None:
        while not self._said.empty():
            self.reporter.message(self._said.get())

    def epoch_started(self, phase: str, epoch: int, epochs: int) -> None:
        self.reporter.epoch_started(phase, epoch, epochs)

    def step_done(self, step: int, steps: int, loss: float) -> None:
        self.pass_on()
        self.reporter.step_done(step, steps, loss)

    def epoch_done(self, record: EpochRecord) -> None:
        self.pass_on()
        self.reporter.epoch_done(record)

    def message(self, text: str) -> None:
        self.pass_on()
        self.reporter.message(text)

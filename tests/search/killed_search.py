"""A tiny search that is killed again and again: `python killed_search.py FOLDER KILLS SEED`.

Every sitting is a forked child, which starts at once; SIGKILL meets it after a drawn number of
steps or a drawn time, so also within its writes. The last sitting is left alone. It prints the
number of kills and of sittings that ended by themselves.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from search.tiny_space import COMMAND, CPU, SETTINGS, checked_text, program_of, small_digits

from genolang.search.search import SearchResult, run_search
from genolang.search.writeback import discrete_text
from genolang.train.files import write_atomically
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder

RUN_SETTINGS = replace(SETTINGS, order=2, epochs=4, score_epochs=2)


class TellSteps(SilentReporter):
    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def step_done(self, step: int, steps: int, loss: float) -> None:
        os.write(self.pipe, b".")


def sitting(folder: Path, reporter: SilentReporter | None = None) -> SearchResult:
    if (folder / "run.json").exists():
        run = RunFolder.resume(folder)
    else:
        run = RunFolder.create(folder, "geno 1\n", COMMAND)
    checked = checked_text()
    with run:
        result = run_search(checked, None, {}, RUN_SETTINGS, small_digits(), run, seed=3,
                            device=CPU, resume=True, reporter=reporter, save_every_s=0.0)
        text = discrete_text(checked, program_of(), result.genotype)
        write_atomically(folder / "found.geno", text.encode())
    return result


def started(folder: Path) -> tuple[int, int]:
    """A child at work: its process and the pipe that it writes a byte into at every step."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sitting(folder, TellSteps(writing))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return child, reading


def killed(folder: Path, draw: random.Random) -> bool:
    """One sitting and its end; False where it was faster than the kill."""
    child, pipe = started(folder)
    if draw.random() < 0.5:
        for _ in range(draw.randint(1, 2)):
            os.read(pipe, 1)
        time.sleep(draw.random() * 0.01)
    else:
        select.select([pipe], [], [], 60)
        time.sleep(draw.random() * 0.06)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(pipe)
    return os.WIFSIGNALED(status)


def main(folder: Path, kills: int, seed: int) -> None:
    # What torch loads at its first step is loaded once, before any child is forked.
    checked = checked_text()
    quick = replace(RUN_SETTINGS, epochs=1, score_epochs=1, seeds=1, random=0)
    run_search(checked, None, {}, quick, small_digits(), seed=3, device=CPU)
    draw = random.Random(seed)
    done = 0
    for _ in range(kills):
        done += killed(folder, draw)
    child, pipe = started(folder)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 0, status
    os.close(pipe)
    print(done)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

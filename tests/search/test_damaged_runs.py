"""A run's folder that was damaged ends in a diagnostic or in the run's own answer, never in another one."""

import os
import random
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from search.side_worker import images
from search.timeless import timeless
from search.tiny_space import COMMAND, CPU, SETTINGS, StopAfter, checked_text

from genolang.diagnostics import GenoError
from genolang.search.search import run_search
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder

PLAIN = replace(SETTINGS, epochs=2, score_epochs=2, seeds=1, random=2)
LONG_S = float(os.environ.get("SOAK_SECONDS", "600"))


def sitting(folder, reporter=None):
    reporter = reporter or SilentReporter()
    with RunFolder.resume(folder) as run:
        found = run_search(
            checked_text(),
            None,
            {},
            PLAIN,
            images(),
            Phase(3, CPU, run, resume=True, reporter=reporter, save_every_s=0.0),
        )
    return timeless(asdict(found))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run stopped in the middle of scoring, and what it comes to."""
    path = tmp_path_factory.mktemp("stopped")
    RunFolder.create(path / "run", "geno 1\n", COMMAND).close()
    with pytest.raises(GenoError):
        sitting(path / "run", StopAfter(28))
    shutil.copytree(path / "run", path / "whole")
    assert len(list((path / "run" / "checkpoints").iterdir())) >= 6
    return path / "run", sitting(path / "whole")


def damage(folder: Path, draw: random.Random) -> str:
    """Damages one file as disks, editors and people do; what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    path = draw.choice(files)
    content = bytearray(path.read_bytes())
    at = draw.randrange(len(content) + 1)
    kind = draw.choice(["bit", "digit", "cut", "zeros", "gone", "doubled", "swapped", "appended"])
    if kind == "bit" and content:
        content[at % len(content)] ^= 1 << draw.randrange(8)
    elif kind == "digit" and any(48 <= byte < 58 for byte in content):
        place = draw.choice([number for number, byte in enumerate(content) if 48 <= byte < 58])
        content[place] = 48 + (content[place] - 47) % 10
    elif kind == "cut":
        del content[at:]
    elif kind == "zeros":
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    elif kind == "gone":
        path.unlink()
    elif kind == "doubled":
        content[at:at] = content[at : at + draw.randint(1, 400)]
    elif kind == "swapped":
        other = draw.choice(files)
        content = bytearray(other.read_bytes())
    elif kind == "appended":
        content += draw.randbytes(draw.randint(1, 40)) + b"\n"
    if kind != "gone":
        path.write_bytes(content)
    return f"{kind} at {at} of {path.name}"


def check(stopped, folder: Path, key: str) -> bool:
    """Whether the damage was refused."""
    run, expected = stopped
    shutil.copytree(run, folder)
    done = damage(folder, random.Random(key))
    try:
        found = sitting(folder)
    except GenoError as error:
        assert {d.code for d in error.diagnostics} <= {"G704", "G705", "G706"}, done
        return True
    except BaseException as error:
        error.add_note(f"{key}: {done}")
        raise
    assert found == expected, f"{key}: {done}"
    return False


def test_a_damaged_run_ends_in_a_diagnostic_or_in_its_own_answer(stopped, tmp_path):
    refused = [check(stopped, tmp_path / str(number), f"3.{number}") for number in range(20)]
    assert any(refused) and not all(refused)


@pytest.mark.soak
def test_runs_damaged_for_long_end_in_diagnostics_or_in_their_own_answers(stopped, tmp_path):
    seed, end, number = random.SystemRandom().randrange(10**9), time.monotonic() + LONG_S, 0
    while time.monotonic() < end:
        check(stopped, tmp_path / "run", f"{seed}.{number}")
        shutil.rmtree(tmp_path / "run")
        number += 1
    assert number > 20

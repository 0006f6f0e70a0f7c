"""No command line and no file from outside ends in a traceback. The long form runs for SOAK_SECONDS."""

import itertools
import os
import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from soak.command_lines import assert_answered, command_line, furnish
from soak.damaged import Kind, assert_read, damaged, kinds

SOAK_S = float(os.environ.get("SOAK_SECONDS", "600"))
KINDS = list(kinds())
named = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def until(seconds: float) -> Iterable[int]:
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())


def some_seed() -> int:
    return random.SystemRandom().randrange(10**9)


def attack_commands(folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int, numbers: Iterable[int]) -> int:
    count = 0
    for number in numbers:
        # What some commands leave is in the way of others.
        if number % 50 == 0:
            place = folder / str(number)
            place.mkdir()
            furnish(place)
            monkeypatch.chdir(place)
        words = command_line(random.Random(f"{seed}.{number}"))
        try:
            assert_answered(words)
        except BaseException as error:
            error.add_note(f"genoc {words!r}")
            raise
        count += 1
    return count


def attack_files(kind: Kind, folder: Path, seed: int, numbers: Iterable[int]) -> tuple[int, int]:
    """How many damaged files were given, and how many of them were read all the same."""
    path = folder / kind.name
    assert assert_read(kind, path, kind.whole)
    count = read = 0
    for number in numbers:
        content = damaged(random.Random(f"{seed}.{number}"), kind.whole)
        try:
            read += assert_read(kind, path, content)
        except BaseException as error:
            error.add_note(f"{kind.name}: {content!r}")
            raise
        count += 1
    return count, read


def test_no_command_line_ends_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attack_commands(tmp_path, monkeypatch, 1, range(250)) == 250


@named
def test_no_damaged_file_ends_in_a_traceback(kind: Kind, tmp_path: Path) -> None:
    count, read = attack_files(kind, tmp_path, 1, range(100))
    assert count > read


@pytest.mark.soak
def test_no_command_line_ends_in_a_traceback_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"{attack_commands(tmp_path, monkeypatch, some_seed(), until(SOAK_S / 4)):,} command lines")


@pytest.mark.soak
@named
def test_no_damaged_file_ends_in_a_traceback_for_long(kind: Kind, tmp_path: Path) -> None:
    count, read = attack_files(kind, tmp_path, some_seed(), until(SOAK_S / 4 / len(KINDS)))
    print(f"{kind.name}: {count:,} damaged files, of which {read:,} were read all the same")

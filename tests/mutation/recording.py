"""Which tests call which functions: a plugin of pytest (`-p tests.mutation.recording`) that writes them down.

Calls are recorded by function and not by line: names stay when lines move, and a recording costs little.
What a test starts as a process of its own is not seen.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "genolang"
INTO = "MUTATION_RECORDING"


@dataclass
class Test:
    __test__ = False
    """A test that passed: its seconds, and the functions that it called, as `module.py:scope`."""

    seconds: float
    calls: list[str]


@dataclass
class Recording:
    tests: dict[str, Test] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Recording:
        if not path.exists():
            return Recording()
        kept = json.loads(path.read_text("utf-8"))
        names = kept["functions"]
        files = {file for file in {test.partition("::")[0] for test in kept["tests"]} if (ROOT / file).exists()}
        return Recording(
            {
                test: Test(seconds, [names[i] for i in calls])
                for test, (seconds, calls) in kept["tests"].items()
                if test.partition("::")[0] in files
            }
        )

    def write(self, path: Path) -> None:
        names = sorted({name for test in self.tests.values() for name in test.calls})
        at = {name: i for i, name in enumerate(names)}
        tests = {name: (test.seconds, [at[call] for call in test.calls]) for name, test in self.tests.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"functions": names, "tests": tests}), "utf-8")
        part.replace(path)

    def for_function(self, module: str, scope: str) -> list[str]:
        """The tests to ask about a function: those first that call it.

        What a test asks for may have been computed for an earlier test of its file and kept, so the others of
        that file follow those that called the function.
        """
        wanted = f"{module}:{scope}"
        mirrored = "tests/" + module.partition("/")[2].partition("/")[0] + "/"
        return self._sorted(
            mirrored,
            {
                name
                for name, test in self.tests.items()
                if wanted in test.calls or any(call.startswith(wanted + ".") for call in test.calls)
            },
        )

    def for_import(self, module: str) -> list[str]:
        """The tests to ask about what runs on import: the folder's own, and those that call or name the module."""
        dotted = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        files = {name.partition("::")[0] for name in self.tests}
        naming = {file for file in files if dotted in (ROOT / file).read_text("utf-8")}
        mirrored = "tests/" + module.partition("/")[2].partition("/")[0] + "/"
        return self._sorted(
            mirrored,
            {
                name
                for name, test in self.tests.items()
                if name.startswith(mirrored)
                or name.partition("::")[0] in naming
                or any(call.startswith(f"{module}:") for call in test.calls)
            },
        )

    def _sorted(self, mirrored: str, callers: set[str]) -> list[str]:
        """Of every file its quickest test, then of every file the next: many kinds of tests in a short time."""
        files = {name.partition("::")[0] for name in callers}
        order: list[tuple[bool, int, bool, float, str]] = []
        for file in files:
            mine = [name for name in self.tests if name.partition("::")[0] == file]
            mine.sort(key=lambda name: (name not in callers, self.tests[name].seconds))
            order += [
                (name not in callers, turn, not file.startswith(mirrored), self.tests[name].seconds, name)
                for turn, name in enumerate(mine)
            ]
        return [name for *_, name in sorted(order)]


def scope_of(code: CodeType) -> str:
    """`Class.method` for a method, and for what is nested in it without a name of its own."""
    parts = code.co_qualname.replace(".<locals>", "").split(".")
    named = next((i for i, part in enumerate(parts) if part.startswith("<")), len(parts))
    return ".".join(parts[:named])


class _Recorder:
    def __init__(self, into: Path) -> None:
        self.into = into
        self.recording = Recording()
        self.failed = False

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        seen: dict[int, CodeType] = {}

        def trace(frame: FrameType, event: str, argument: Any) -> None:
            seen.setdefault(id(frame.f_code), frame.f_code)

        self.failed = False
        begun = time.perf_counter()
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
        if not self.failed:
            calls = {
                f"{Path(code.co_filename).relative_to(ROOT)}:{scope_of(code)}"
                for code in seen.values()
                if code.co_filename.startswith(f"{PACKAGE}{os.sep}")
            }
            self.recording.tests[item.nodeid] = Test(round(time.perf_counter() - begun, 4), sorted(calls))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= not report.passed

    def pytest_sessionfinish(self) -> None:
        kept = Recording.read(self.into)
        files = {name.partition("::")[0] for name in self.recording.tests}
        kept.tests = {name: test for name, test in kept.tests.items() if name.partition("::")[0] not in files}
        kept.tests |= self.recording.tests
        kept.write(self.into)


def pytest_configure(config: pytest.Config) -> None:
    if into := os.environ.get(INTO):
        config.pluginmanager.register(_Recorder(Path(into)))

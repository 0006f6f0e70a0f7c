"""Runs the tests of a module against its mutants, each in a process of its own; no file is ever changed.

A fault inside a function is put into the function that is loaded: pytest collects all tests once, and every
mutant is a fork of that process, which runs nothing but its tests. A fault in what runs on import, such as a
table or a default, needs the import: its process is forked before the package is loaded, and reads the changed
text in place of the module's.
"""

from __future__ import annotations

import difflib
import functools
import gc
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.operators import Mutant
from tests.mutation.recording import ROOT, scope_of

# What the tests load besides the package.
THIRD_PARTY = ("click", "lark", "networkx", "numpy", "rich.console", "scipy.stats", "torch", "torch._dynamo")
MEMORY = 8 << 30
# The exit code of a process that cannot change what is loaded.
LATE = 70
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Task:
    key: str
    module: str
    mutant: Mutant
    tests: list[str]
    # What these tests take where nothing is wrong.
    seconds: float

    @property
    def source(self) -> str:
        return (ROOT / self.module).read_text("utf-8")

    @property
    def limit(self) -> int:
        """How many seconds its processes may compute."""
        return int(10 + 3 * self.seconds)

    @property
    def diff(self) -> str:
        before, after = self.source.splitlines(True), self.mutant.apply(self.source).splitlines(True)
        return "".join(difflib.unified_diff(before, after, self.module, self.module, n=1))


@dataclass(frozen=True)
class Result:
    key: str
    module: str
    operator: str
    # "killed", "timed out", "alive", or "not called": no test of the recording calls the function.
    end: str
    diff: str


def run(tasks: list[Task], into: Path, jobs: int) -> None:
    """Adds the result of each task to `into`, a line each."""
    into.parent.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        if not task.tests:
            _note(into, task, "not called")
    tasks = [task for task in tasks if task.tests]
    inside = [task for task in tasks if task.mutant.scope and not task.mutant.on_import]
    on_import = [task for task in tasks if task not in inside]
    files = sorted({name.partition("::")[0] for task in inside for name in task.tests})
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        if inside:
            _alone(lambda: _pytest([*files, f"--basetemp={folder / 'inside'}"], _Loop(inside, into, jobs, folder)))
            late = _lines(folder / "late")
            on_import += [task for task in inside if task.key in late]
        if on_import:
            for library in _lines(folder / "libraries") if inside else THIRD_PARTY:
                importlib.import_module(library)
        _shared(on_import, into, jobs, lambda task: _imported(task, folder), folder)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _shared(tasks: list[Task], into: Path, jobs: int, work: Callable[[Task], int], folder: Path) -> None:
    """Does the tasks in `jobs` processes, each in a fork of its own; `late` are those that cannot be done so."""

    def share(mine: list[Task]) -> int:
        for task in mine:
            end = _end(task, work)
            if end == "late":
                _add(folder / "late", task.key)
            else:
                _note(into, task, end)
        return 0

    workers = [FORK.Process(target=lambda mine=tasks[i::jobs]: os._exit(share(mine))) for i in range(jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit(f"a worker ended with {worker.exitcode}")


def _note(into: Path, task: Task, end: str) -> None:
    _add(into, json.dumps(asdict(Result(task.key, task.module, task.mutant.operator, end, task.diff))))


def _add(into: Path, line: str) -> None:
    with into.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _end(task: Task, work: Callable[[Task], int]) -> str:
    process = FORK.Process(target=_limited, args=(task, work))
    process.start()
    process.join(10 * task.limit)
    if process.exitcode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return "timed out"
    if process.exitcode == -signal.SIGXCPU:
        return "timed out"
    return {0: "alive", LATE: "late"}.get(process.exitcode, "killed")


def _limited(task: Task, work: Callable[[Task], int]) -> None:
    os.setpgrp()
    resource.setrlimit(resource.RLIMIT_CPU, (task.limit, task.limit + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os._exit(work(task))


def _alone(work: Callable[[], int]) -> None:
    """Work in a process of its own, which leaves nothing loaded in this one."""
    process = FORK.Process(target=lambda: os._exit(work()))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"the tests ended with {process.exitcode}")


def _pytest(arguments: list[str], *plugins: object) -> int:
    # A failure is as good as its smallest example.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", phases=phases, database=None)
    hypothesis.settings.load_profile("mutation")
    return int(
        pytest.main(
            [
                "-o",
                "addopts=-q --import-mode=importlib",
                "--tb=no",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:xdist",
                "-s",
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
                "-m",
                "not soak",
                *arguments,
            ],
            plugins=[*plugins],
        )
    )


# Faults inside functions


class _Loop:
    """In place of running all tests: runs those of every task in a fork that holds its fault."""

    def __init__(self, tasks: list[Task], into: Path, jobs: int, folder: Path) -> None:
        self.tasks, self.into, self.jobs, self.folder = tasks, into, jobs, folder

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        loaded = _Loaded()
        (self.folder / "libraries").write_text("\n".join(n for n in THIRD_PARTY if n in sys.modules), "utf-8")
        gc.freeze()

        def work(task: Task) -> int:
            try:
                loaded.change(task)
            except (LookupError, ValueError):
                return LATE
            chosen = [items[name] for name in task.tests if name in items]
            for item, following in zip(chosen, [*chosen[1:], None], strict=True):
                if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
                    return 1
            return 0

        _shared(self.tasks, self.into, self.jobs, work, self.folder)
        return True


class _Loaded:
    """The functions of the package that are loaded, and what they keep."""

    def __init__(self) -> None:
        self.functions: dict[str, list[types.FunctionType]] = {}
        self.caches: list[Any] = []
        for thing in gc.get_objects():
            # Not `isinstance`: some things answer that with a warning.
            if type(thing) is types.FunctionType:
                self.functions.setdefault(thing.__code__.co_filename, []).append(thing)
            elif type(thing) is functools._lru_cache_wrapper and _ours(thing):
                self.caches.append(thing)

    def change(self, task: Task) -> None:
        """Give the function of a mutant, and those inside it, their changed code."""
        path = str(ROOT / task.module)
        scope = task.mutant.scope
        code = {
            new.co_qualname: new
            for new in _codes(compile(task.mutant.apply(task.source), path, "exec", dont_inherit=True))
        }
        changed = 0
        for function in self.functions.get(path, []):
            name = scope_of(function.__code__)
            if name == scope or name.startswith(scope + ".") or scope.startswith(name + "."):
                function.__code__ = code[function.__code__.co_qualname]
                changed += 1
        if not changed:
            raise LookupError(f"{scope} of {task.module} is not loaded")
        for cache in self.caches:
            cache.cache_clear()


def _ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).startswith("genolang")


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


# Faults in what runs on import


def _imported(task: Task, folder: Path) -> int:
    name = task.module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    sys.meta_path.insert(0, _Finder(name, str(ROOT / task.module), task.mutant.apply(task.source)))
    return _pytest(["-x", f"--basetemp={folder}/{task.key}", *task.tests])


class _Finder:
    def __init__(self, name: str, path: str, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        package = [str(Path(self.path).parent)] if self.path.endswith("__init__.py") else None
        loader = _Loader(name, self.path, self.source)
        return spec_from_file_location(name, self.path, loader=loader, submodule_search_locations=package)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)

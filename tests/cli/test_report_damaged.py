"""Whatever stands in the files of a run, `genoc report` gives a page or a diagnostic."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.pages import FOUND, SPEC, Page, epoch, finish

from genolang.cli.reporting.page import write_page
from genolang.cli.reporting.reading import read_run
from genolang.diagnostics import GenoError
from genolang.files import json_digest, write_json
from genolang.train.about import FORMAT, read_about
from genolang.train.journal import Journal
from genolang.train.run_folder import RunFolder, read_journal

COMMAND = ["genoc", "search", "small.geno"]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    10**400,
    1e308,
    -1e-320,
    float("nan"),
    float("inf"),
    "",
    "word\ud800\0",
    "<b>",
    [],
    [[]],
    [1, "a"],
    [["a"]],
    [None, 3],
    {},
    {"key": 1},
    {"weights": [[1]], "key": []},
]
FINITE = [value for value in VALUES if json.dumps(value) not in ("NaN", "Infinity")]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside nested JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


def journals(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in read_journal(folder):
        found.setdefault(entry["phase"], []).append(entry)
    return found


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value there, or without the place where `new` is Ellipsis."""
    found = copy.deepcopy(value)
    holder = found
    for key in at[:-1]:
        holder = holder[key]
    if new is ...:
        del holder[at[-1]]
    else:
        holder[at[-1]] = new
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of few lines, each of another kind."""
    with RunFolder.create(tmp_path_factory.mktemp("whole") / "run", SPEC, COMMAND) as run:
        finish(run)
        entries = {entry["phase"].rstrip("0123456789"): entry for entry in read_journal(run.path)}
        step = {"phase": "search-9", "step": 0, "schemes": ["01"], "accuracy": [0.5], "reward": [0.25], "p_bar": 0.5}
        metrics = json.loads((run.path / "metrics.json").read_bytes())
    with RunFolder.create(tmp_path_factory.mktemp("short") / "run", SPEC, COMMAND) as short:
        for entry in [*entries.values(), step]:
            short.append(entry.pop("phase"), entry)
        short.append("search-1", epoch(0, metrics={"val_miou": 0.5}))
        (short.path / "found.geno").write_text(FOUND)
        short.write_metrics({**metrics, "baseline": [0.25], "genotype": {"cell": {"n1": ["skip"]}}})
    return short.path


def cases(whole: Path) -> list[tuple[str, tuple[Any, ...], Any]]:
    """All changes of one value in one file."""
    held = {
        "run": {"command": list(read_about(whole).command), "facts": {"seed": "3"}},
        "metrics": json.loads((whole / "metrics.json").read_bytes()),
        "journal": journals(whole),
    }
    return [
        (name, at, new)
        for name, value in held.items()
        for at in places(value)
        for new in [*(VALUES if name == "metrics" else FINITE), ...]
    ]


def check(whole: Path, folder: Path, case: tuple[str, tuple[Any, ...], Any]) -> None:
    name, at, new = case
    entries = journals(whole)
    metrics = json.loads((whole / "metrics.json").read_bytes())
    about: dict[str, Any] = {"command": list(read_about(whole).command), "facts": {"seed": "3"}}
    if name == "run":
        about = changed(about, at, new)
    elif name == "metrics":
        metrics = changed(metrics, at, new)
    else:
        entries = changed(entries, at, new)
    with RunFolder.create(folder, SPEC, COMMAND):
        for phase, lines in entries.items():
            journal = Journal(folder, phase)
            for line in lines if isinstance(lines, list) else [lines]:
                journal.append(line if isinstance(line, dict) else {"phase": line})
        (folder / "found.geno").write_text(FOUND)
        (folder / "metrics.json").write_text(json.dumps(metrics))
    body = {"format": FORMAT, **about}
    write_json(folder / "run.json", {**body, "sha256": json_digest(body)})
    try:
        Page(write_page(read_run(folder)).encode().decode())
    except GenoError as error:
        assert error.diagnostics[0].code in ("G704", "G705")


def test_some_changes_of_a_run_give_a_page_or_a_diagnostic(whole: Path, tmp_path: Path) -> None:
    for number, case in enumerate(random.Random(5).sample(cases(whole), 60)):
        check(whole, tmp_path / str(number), case)


@pytest.mark.soak
def test_every_change_of_a_run_gives_a_page_or_a_diagnostic(whole: Path, tmp_path: Path) -> None:
    found = cases(whole)
    assert len(found) > 1000
    for number, case in enumerate(found):
        try:
            check(whole, tmp_path / str(number), case)
        except BaseException as error:
            error.add_note(str(case))
            raise

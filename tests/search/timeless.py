"""Runs without what the clock says, which is all in which two of one kind may differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from genolang.train.checkpoint import load_checkpoint
from genolang.train.run_folder import read_journal


def timeless(value: Any) -> Any:
    """JSON without its fields of times: `seconds`, `..._seconds` and `time_...`."""
    if isinstance(value, dict):
        return {
            key: timeless(item)
            for key, item in value.items()
            if not key.endswith("seconds") and not key.startswith("time_")
        }
    return [timeless(item) for item in value] if isinstance(value, list | tuple) else value


def lines(folder: Path) -> dict[str, list[str]]:
    """Per phase, its lines in their order; with other processes all searches end before the first score."""
    found: dict[str, list[str]] = {}
    for entry in read_journal(folder):
        found.setdefault(entry["phase"], []).append(json.dumps(timeless(entry)))
    return found | {"results": sorted(found.get("results", []))}


def assert_same_runs(folder: Path, expected: Path) -> None:
    """Two runs journalled and kept the same, bit for bit."""
    assert lines(folder) == lines(expected)
    assert not list(folder.rglob(".*.tmp"))
    kept = [{path.name for path in (run / "checkpoints").iterdir()} for run in (folder, expected)]
    phases = [{name.rpartition("-")[0] for name in names} for names in kept]
    assert phases[0] == phases[1]
    for phase in phases[0]:
        one, other = (load_checkpoint(run / "checkpoints", phase) for run in (folder, expected))
        assert timeless(one.meta) == timeless(other.meta), phase
        assert one.tensors.keys() == other.tensors.keys()
        assert all(one.tensors[name].equal(other.tensors[name]) for name in one.tensors), phase

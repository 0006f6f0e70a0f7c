"""What a run's folder holds by now, finished or not; nothing in it is locked or changed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genolang.diagnostics import fail
from genolang.train.about import digest_of, read_about
from genolang.train.run_folder import read_journal

RESULTS = "results"
# What is no measure of an epoch or step.
_ASIDE = frozenset(("phase", "epoch", "step", "seconds"))
Point = tuple[float, float]
LARGEST = 1e300
"""No measure is as large; what a chart computes of such numbers is still finite."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The lines of one phase in the journal: epochs of a training, or steps of a sampler."""

    name: str
    entries: tuple[Mapping[str, Any], ...]

    @property
    def unit(self) -> str:
        return "step" if "step" in self.entries[0] else "epoch"

    def curves(self) -> dict[str, list[Point]]:
        """Every measure by its name, counted from 1; of several in one step it is the mean."""
        found: dict[str, list[Point]] = {}
        for entry in self.entries:
            at = _number(entry.get(self.unit))
            metrics = entry.get("metrics")
            measures = {**entry, **metrics} if isinstance(metrics, dict) else entry
            for name, value in measures.items():
                number = _number(value)
                if name not in _ASIDE and number is not None and at is not None:
                    found.setdefault(name, []).append((at + 1, number))
        return found

    def choices(self) -> dict[str, dict[str, list[Point]]]:
        """By choice set, the mean weight of every alternative over the epochs."""
        found: dict[str, dict[str, list[Point]]] = {}
        for entry in self.entries:
            at = _number(entry.get("epoch"))
            for summary in _items(entry.get("choices")):
                known = summary if at is not None and isinstance(summary, dict) else {}
                for pair in map(_items, _items(known.get("weights"))):
                    weight = _number(pair[1]) if len(pair) == 2 else None
                    if at is not None and weight is not None:
                        curves = found.setdefault(str(known.get("key")), {})
                        curves.setdefault(str(pair[0]), []).append((at + 1, weight))
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """A run: `metrics` and `found` are None before its end, `results` what its phases came to."""

    path: Path
    command: tuple[str, ...]
    spec: str
    found: str | None
    metrics: Mapping[str, Any] | None
    phases: tuple[Phase, ...]
    results: Mapping[str, Mapping[str, Any]]

    @property
    def verb(self) -> str:
        return self.command[1] if len(self.command) > 1 else "run"

    def scores(self, prefix: str) -> dict[str, float]:
        """The scores of finished phases by the number at the end of their names."""
        numbered = {
            of.removeprefix(prefix): _number(entry.get("score"))
            for of, entry in self.results.items()
            if of.startswith(prefix) and of.removeprefix(prefix).isdecimal()
        }
        return {name: score for name, score in numbered.items() if score is not None}


def read_run(path: Path) -> Run:
    """The run in a folder. Errors: G704 for any other folder, G705 for a damaged file."""
    about = read_about(path)
    spec = _text(path / "spec.geno")
    if spec is None or digest_of(spec) != about.facts.get("file spec.geno", digest_of(spec)):
        raise fail(
            "G705",
            f"the run in `{path}` has no longer the `spec.geno` that it began with",
            help="`--resume`, with the spec that it began with, puts it back",
        )
    entries = read_journal(path)
    phases: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        if entry["phase"] != RESULTS:
            phases.setdefault(str(entry["phase"]), []).append(entry)
    return Run(
        path,
        about.command,
        spec,
        _text(path / "found.geno"),
        _json(path / "metrics.json"),
        tuple(Phase(name, tuple(phases[name])) for name in sorted(phases, key=_place)),
        {str(e["of"]): e for e in entries if e["phase"] == RESULTS and "of" in e},
    )


def _place(phase: str) -> tuple[bool, bool, list[tuple[int, str]]]:
    """Supernets, searches, scores, by their numbers: journals have them as they happened to be trained."""
    parts = [
        (len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (-1, part)
        for part in re.split(r"([0-9]+)", phase)
    ]
    return phase.startswith("score"), "supernet" not in phase, parts


def _number(value: object) -> float | None:
    """A number that can be drawn, or the mean of some."""
    if isinstance(value, list) and value:
        numbers = [_number(item) for item in value]
        known = [number for number in numbers if number is not None]
        return sum(known) / len(known) if len(known) == len(numbers) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        return None
    return float(value) if abs(value) > 1 / LARGEST else 0.0


def _items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _json(path: Path) -> dict[str, Any] | None:
    if not os.path.isfile(path):
        return None
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise fail("G705", f"`{path}` cannot be read: {error}") from error
    return found if isinstance(found, dict) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise fail("G705", f"`{path}` cannot be read: {error}") from error


def paired(names: Iterable[str]) -> dict[str, list[str]]:
    """Measures that share a chart: `train_loss` and `val_loss` are both `loss`."""
    found: dict[str, list[str]] = {}
    for name in names:
        half, _, what = name.partition("_")
        found.setdefault(what if half in ("train", "val") and what else name, []).append(name)
    return found

"""Time several forms of one thing in turn, so that whatever else the machine does hits all alike."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from genolang.files import make_folder, write_json

# Seconds by phase of one round.
Timed = Callable[[], Mapping[str, float]]


def interleave(variants: Mapping[str, Timed], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds by variant and phase, one value a round; the first to run changes every round."""
    names = list(variants)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    warmup = 1 if rounds < 5 else 2
    # What is there already is not looked through again every round.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for number in range(warmup + rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                gc.collect()
                phases = variants[name]()
                if number >= warmup:
                    for phase, seconds in phases.items():
                        found[name].setdefault(phase, []).append(seconds)
    finally:
        gc.enable()
        gc.unfreeze()
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and minimum, in milliseconds."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    numbers = {"median_ms": middle, "q1_ms": low, "q3_ms": high, "min_ms": min(values)}
    return {name: float(f"{1000 * value:.4g}") for name, value in numbers.items()}


def ratios(base: Sequence[float], times: Sequence[float]) -> dict[str, float]:
    """The base's time over the other's in the same round: median and quartiles; and the minima's ratio."""
    pairs = [b / t for b, t in zip(base, times, strict=True)]
    low, middle, high = statistics.quantiles(pairs, n=4, method="inclusive")
    numbers = {"median": middle, "q1": low, "q3": high, "of_minima": min(base) / min(times)}
    return {name: round(value, 3) for name, value in numbers.items()}


def environment(device: torch.device) -> dict[str, Any]:
    """Where, when, with what and from which commit figures were taken."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "device": str(device.type),
        "device_name": name,
        "torch": torch.__version__,
        "triton": _triton(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "load_average": [round(v, 2) for v in os.getloadavg()],
    }


def write_results(path: Path, about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """The one form in which results are kept: the environment in which they were begun, and rows."""
    make_folder(path.parent)
    write_json(path, {"environment": about, "rows": rows})


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def _triton() -> str | None:
    if find_spec("triton") is None:
        return None
    import triton

    return str(triton.__version__)


def _commit() -> str | None:
    """The checkout's commit, with a plus where tracked files differ from it; what GENOLANG_COMMIT says
    where there is no repository."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=10", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        same = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "."], cwd=here.parent, check=False)
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("GENOLANG_COMMIT")
    return head + ("+" if same.returncode else "")

"""Time several variants of one thing in turn, so that whatever else the machine does hits all alike."""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

Timed = Callable[[], Mapping[str, float]]


def interleave(
    variants: Mapping[str, Timed], rounds: int, warmup: int = 2
) -> dict[str, dict[str, list[float]]]:
    """Seconds by variant and phase, one value a round; the first to run changes every round."""
    names = list(variants)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for number in range(warmup + rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            gc.disable()
            try:
                phases = variants[name]()
            finally:
                gc.enable()
            if number >= warmup:
                for phase, seconds in phases.items():
                    found[name].setdefault(phase, []).append(seconds)
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Median, quartiles and minimum, in milliseconds."""
    low, middle, high = statistics.quantiles(values, n=4)
    numbers = {"median_ms": middle, "q1_ms": low, "q3_ms": high, "min_ms": min(values)}
    return {name: round(1000 * value, 2) for name, value in numbers.items()}


def ratios(times: list[float], base: list[float]) -> dict[str, float]:
    """Time over the base's in the same round: median and quartiles; and the minima's ratio."""
    low, middle, high = statistics.quantiles([t / b for t, b in zip(times, base, strict=True)], n=4)
    numbers = {"median": middle, "q1": low, "q3": high, "of_minima": min(times) / min(base)}
    return {name: round(value, 4) for name, value in numbers.items()}


def environment(device: torch.device) -> dict[str, Any]:
    """Where and with what figures were taken."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": str(device.type),
        "device_name": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "load_average": [round(v, 2) for v in os.getloadavg()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def write_json(path: Path, value: object) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(json.dumps(value, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def now(device: torch.device) -> float:
    """Seconds, after everything that the device was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

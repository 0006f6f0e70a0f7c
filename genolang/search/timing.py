"""How much slower than the plain network a network is in evaluation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ROUNDS = 15
LEAST_ROUNDS = 5
LIMIT_S = 120.0
# A measurement shorter than this repeats the pass, so that the clock's steps do not show.
SHORTEST_S = 0.02


@dataclass(frozen=True, slots=True)
class Increment:
    """The relative increment of inference time over the plain network: median and quartiles.

    Source: Efficient Attention Network, equation 9. Every ratio is of two measurements of one round.
    """

    median: float
    low: float
    high: float


def measure_increments(
    plain: nn.Module, others: Mapping[str, nn.Module], images: Tensor, *, rounds: int = ROUNDS, limit_s: float = LIMIT_S
) -> tuple[dict[str, Increment], float]:
    """The increments of some networks and the plain one's median seconds per pass.

    Evaluation mode without gradients, each network warmed up, the device waited for; in every round
    all networks are timed once, beginning with another one each time. Rounds end early, but not
    before five, once `limit_s` is over.
    """
    modules = [plain, *others.values()]
    for module in modules:
        module.eval()
    with torch.no_grad():
        for module in modules:
            _seconds(module, images, 1)
        once = _seconds(plain, images, 1)
        repeats = max(1, round(SHORTEST_S / max(once, 1e-9)))
        begun = time.perf_counter()
        taken: list[list[float]] = []
        while len(taken) < rounds and (len(taken) < LEAST_ROUNDS or time.perf_counter() - begun < limit_s):
            first = len(taken) % len(modules)
            order = [*range(first, len(modules)), *range(first)]
            found = {number: _seconds(modules[number], images, repeats) for number in order}
            taken.append([found[number] for number in range(len(modules))])
    ratios = zip(*([t / row[0] - 1 for t in row[1:]] for row in taken), strict=True)
    increments = {
        name: Increment(statistics.median(own), *_quartiles(own)) for name, own in zip(others, ratios, strict=True)
    }
    return increments, statistics.median(row[0] for row in taken)


def _quartiles(values: tuple[float, ...]) -> tuple[float, float]:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _seconds(module: nn.Module, images: Tensor, repeats: int) -> float:
    _wait(images.device)
    begun = time.perf_counter()
    for _ in range(repeats):
        module(images)
    _wait(images.device)
    return (time.perf_counter() - begun) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

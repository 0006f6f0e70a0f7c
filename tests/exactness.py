"""How far a result may be from float64: a multiple of how far plain operations are in the same dtype.

What one processor's rounding comes to says nothing of another's, so that no limit is a number of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# Means over deviations of maps whose variances are taken.
OFFSETS = (0.0, 1.0, 100.0, 1e4)


def distance(found: Tensor, exact: Tensor) -> float:
    """The largest difference over the largest magnitude; as it is where the exact result is nothing."""
    assert found.shape == exact.shape
    if not exact.numel():
        return 0.0
    largest = float(exact.abs().max())
    return float((found.double() - exact).abs().max()) / (largest if largest > 1e-12 else 1.0)


def as_exact(
    found: Mapping[str, Tensor], plain: Mapping[str, Tensor], exact: Mapping[str, Tensor], factor: float = 10.0
) -> None:
    """Every result is at most `factor` times as far from the exact one as the plain one is, which counts as
    off by a unit in the last place where it is nearer. Nothing is asked where the plain one overflows."""
    assert found.keys() == plain.keys() == exact.keys()
    asked = [name for name in exact if plain[name].isfinite().all()]
    assert asked, "all plain results overflow"
    worse = {}
    for name in asked:
        dtype = plain[name].dtype
        assert found[name].dtype == dtype, (name, found[name].dtype)
        mine, theirs = distance(found[name], exact[name]), distance(plain[name], exact[name])
        if not mine <= factor * max(theirs, torch.finfo(dtype).eps):
            worse[name] = f"{mine:.1e} for {theirs:.1e}"
    assert not worse, worse


class Gates(TorchDispatchMode):
    """Writes down which numbers every `relu` passes and which every `max_pool` picks or, given what
    another run wrote down, passes and picks those.

    A number beside zero, or beside the largest, falls to either side by rounding alone, and gradients
    jump there: those of a run in one dtype say something of those of another only through the same gates.
    """

    def __init__(self, given: list[Tensor] | None = None) -> None:
        super().__init__()
        self.given, self.seen = given, list[Tensor]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, result = func._overloadpacket.__name__, func(*args, **(kwargs or {}))
        if name in ("relu", "relu_"):
            self.seen.append(self._passed(result))
        elif name == "max_pool2d_with_indices":
            self.seen.append(self._picked(args[0], *result))
        return result

    def _follow(self, found: Tensor) -> Tensor:
        if self.given is None:
            return found.clone()
        given = self.given[len(self.seen)]
        assert given.shape == found.shape, "the two runs are of different operations"
        return given

    def _passed(self, result: Tensor) -> Tensor:
        passed = self._follow(result > 0)
        # What comes to be passed is next to nothing.
        result.mul_(passed).masked_fill_(passed & (result <= 0), torch.finfo(result.dtype).tiny)
        return passed

    def _picked(self, x: Tensor, values: Tensor, places: Tensor) -> Tensor:
        picked = self._follow(places)
        places.copy_(picked)
        values.copy_(x.flatten(2).gather(2, picked.flatten(2)).view_as(values))
        return picked


def off_by(step: Callable[[torch.dtype], dict[str, Tensor]], dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """How far each result of a step is from the one in float64 through the same gates. A gradient that is
    nothing beside the largest one is rounding alone, and is held to that one."""
    with Gates() as gates:
        found = step(dtype)
    with Gates(gates.seen) as followed:
        exact = step(torch.float64)
    assert len(followed.seen) == len(gates.seen)
    largest = {name: float(of.abs().max()) for name, of in exact.items()}
    least = 1e-6 * max(largest.values())
    return {
        name: float((found[name].double() - of).abs().max()) / max(largest[name], least) for name, of in exact.items()
    }

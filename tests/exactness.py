"""How far a result may be from float64: a multiple of how far plain operations are in the same dtype.

What one processor's rounding comes to says nothing of another's, so that no limit is a number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

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

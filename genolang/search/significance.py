"""Tests and correlations of a few samples, by SciPy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Welch:
    """Welch's t-test of two samples with their means and standard deviations (n - 1).

    `p` is two-sided; it and `t` are None where neither sample varies.
    """

    first: int
    second: int
    first_mean: float
    second_mean: float
    first_std: float
    second_std: float
    t: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's r and Spearman's rho of n pairs with two-sided p; None where a side does not vary."""

    n: int
    pearson: float | None
    pearson_p: float | None
    spearman: float | None
    spearman_p: float | None


def welch(first: Sequence[float], second: Sequence[float]) -> Welch:
    """Whether two samples of two or more have one mean, without assuming one variance."""
    from scipy import stats

    means, stds = (
        (float(np.mean(first)), float(np.mean(second))),
        (float(np.std(first, ddof=1)), float(np.std(second, ddof=1))),
    )
    t = p = None
    if max(stds) > 0:
        with warnings.catch_warnings():
            # Of one sample all values may be the same: its variance of zero is right.
            warnings.simplefilter("ignore", RuntimeWarning)
            found = stats.ttest_ind(first, second, equal_var=False)
        t, p = float(found.statistic), float(found.pvalue)
    return Welch(len(first), len(second), *means, *stds, t, p)


def correlation(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """How far pairs lie on a line, and how far they rise together; three pairs or more."""
    from scipy import stats

    if len(set(x)) < 2 or len(set(y)) < 2:
        return Correlation(len(x), None, None, None, None)
    pearson, spearman = stats.pearsonr(x, y), stats.spearmanr(x, y)
    return Correlation(
        len(x), float(pearson.statistic), float(pearson.pvalue), float(spearman.statistic), float(spearman.pvalue)
    )

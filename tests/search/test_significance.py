import math

import numpy as np
import pytest

from genolang.search.significance import correlation, welch

A = [75.1, 74.8, 75.6, 75.3, 74.9, 75.2]
B = [74.2, 75.0, 73.1, 74.6]


def upper_tail(t, df):
    """The area of Student's density beyond t, by the midpoint rule in u = 1 / x."""
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    u = (np.arange(200_000) + 0.5) / 200_000 / t
    density = np.exp(log_scale - (df + 1) / 2 * np.log1p(1 / (u * u * df)))
    return float((density / (u * u)).mean() / t)


def test_welchs_test_is_that_of_the_formula():
    found = welch(A, B)
    va, vb = np.var(A, ddof=1) / 6, np.var(B, ddof=1) / 4
    t = (np.mean(A) - np.mean(B)) / math.sqrt(va + vb)
    df = (va + vb) ** 2 / (va**2 / 5 + vb**2 / 3)
    assert (found.first, found.second) == (6, 4)
    assert found.t == pytest.approx(t) and found.p == pytest.approx(2 * upper_tail(t, df), rel=1e-4)
    assert (found.first_mean, found.second_std) == (pytest.approx(75.15), pytest.approx(np.std(B, ddof=1)))
    swapped = welch(B, A)
    assert swapped.t == pytest.approx(-t) and swapped.p == pytest.approx(found.p)


def test_where_nothing_varies_there_is_no_test():
    assert (welch([1.0, 1.0], [2.0, 2.0]).t, welch([1.0, 1.0], [2.0, 2.0]).p) == (None, None)
    assert 0 < welch([1.0, 1.0], [2.0, 2.5]).p < 1


def test_correlations_are_those_of_values_and_of_ranks():
    x, y = [0.1, 0.4, 0.2, 0.9, 0.7], [1.0, 2.0, 1.5, 40.0, 3.0]
    found = correlation(x, y)
    assert found.n == 5 and found.pearson == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.spearman == pytest.approx(1.0) and found.pearson < 0.9
    tied = correlation([1, 2, 2, 3], [1, 2, 3, 4])
    assert tied.spearman == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1])


def test_where_a_side_does_not_vary_there_is_no_correlation():
    found = correlation([0.5, 0.5, 0.5], [1.0, 2.0, 3.0])
    assert (found.pearson, found.spearman, found.n) == (None, None, 3)

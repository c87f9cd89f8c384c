"""Variances that are rounding are 0, and those of two arms add up to that of both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.analysis.moments import COLUMNS, Moments

RATES = st.floats(1e-6, 1e9)
COUNTS = st.lists(st.integers(1, 1000), min_size=2, max_size=40)


def summed(columns: dict[str, np.ndarray]) -> Moments:
    """Moments as a database's sums give them, which lose digits."""
    totals = np.zeros((len(next(iter(columns.values()))), len(COLUMNS)))
    for name, values in columns.items():
        totals[:, COLUMNS.index(name)] = values
    return Moments.from_sums(len(totals), totals.sum(axis=0), totals.T @ totals)


@settings(max_examples=200)
@given(RATES, COUNTS)
def test_a_constant_ratio_has_no_variance(rate: float, counts: list[int]) -> None:
    """However the sums are rounded: the same milliseconds for every slate of every user."""
    slates = np.array(counts, dtype=float)
    arm = summed({"timed_slates": slates, "took_ms": rate * slates})
    assert arm.variance(arm.ratio("took_ms", "timed_slates").weights) == 0


@settings(max_examples=200)
@given(st.floats(1e-3, 1e9), COUNTS)
def test_a_ratio_that_varies_has_its_variance(rate: float, counts: list[int]) -> None:
    """A user whose slates take a thousandth longer is seen."""
    slates = np.array(counts, dtype=float)
    took = rate * slates
    took[0] *= 1.001
    arm = summed({"timed_slates": slates, "took_ms": took})
    ratio = took.sum() / slates.sum()
    by_hand = np.var((took - ratio * slates) / slates.mean(), ddof=1)
    found = arm.variance(arm.ratio("took_ms", "timed_slates").weights)
    if by_hand > 1e-9 * ratio**2 * len(counts):
        assert found == pytest.approx(by_hand, rel=1e-3)
    assert found >= 0


@given(st.lists(st.integers(0, 50), max_size=20), st.lists(st.integers(0, 50), max_size=20))
def test_both_arms_together(one: list[int], other: list[int]) -> None:
    """The moments of the users of two arms are those of all users."""
    arms = [Moments.of({"taps": np.array(taps, dtype=float)}) for taps in (one, other)]
    both, expected = arms[0] + arms[1], Moments.of({"taps": np.array([*one, *other], dtype=float)})
    assert both.count == expected.count
    assert both.mean == pytest.approx(expected.mean)
    assert both.covariance == pytest.approx(expected.covariance)

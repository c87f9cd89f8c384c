"""Tests of differences, by hand."""

import numpy as np
import pytest

from ml.metrics.significance import holm, randomisation_p


def test_holm_by_hand() -> None:
    """0.01 × 4, 0.02 × 3, then 0.03 × 2 which is no smaller, then 0.5 × 1; order kept."""
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])


def test_holm_stays_at_or_below_one() -> None:
    """Two large p-values do not add up to more than certainty; none is left alone when there are none."""
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_p_of_five_equal_signs_is_two_in_32() -> None:
    """Of the 32 ways to sign five differences, two are as far from 0 as all alike."""
    assert randomisation_p(np.ones(5)) == pytest.approx(2 / 32, abs=0.01)


def test_p_of_no_difference_is_one() -> None:
    """Signs that cancel out are as likely as anything; NaN queries are left out."""
    assert randomisation_p(np.array([0.1, -0.1, np.nan])) == 1.0


def test_p_of_a_clear_difference_is_the_smallest_there_is() -> None:
    """Fifty queries better by about a tenth leave nothing to chance."""
    better = np.random.default_rng(1).normal(0.1, 0.05, 50)
    assert randomisation_p(better) == pytest.approx(1 / 10_001)
    assert randomisation_p(-better) == pytest.approx(1 / 10_001)


def test_p_values_are_evenly_spread_where_nothing_differs() -> None:
    """About one in twenty comparisons of like encoders looks significant at 5 %."""
    random = np.random.default_rng(2)
    found = [randomisation_p(random.normal(size=30), resamples=400, seed=trial) for trial in range(400)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.03)

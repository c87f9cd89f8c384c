"""Significance tests against values worked out by hand."""

import numpy as np
import pytest

from ml.metrics.significance import holm, randomisation_p


def test_holm_by_hand() -> None:
    """0.01 × 4, 0.02 × 3, 0.03 × 2, 0.5 × 1; the order is kept."""
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])


def test_holm_stays_at_or_below_one() -> None:
    """Large p-values are capped; an empty list stays empty."""
    assert holm([0.7, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_p_of_five_equal_signs_is_two_in_32() -> None:
    """Of the 32 sign assignments to five differences, two have a mean as far from 0."""
    assert randomisation_p(np.ones(5)) == pytest.approx(2 / 32, abs=0.01)


def test_p_of_no_difference_is_one() -> None:
    """Differences that cancel out; NaN is ignored."""
    assert randomisation_p(np.array([0.1, -0.1, np.nan])) == 1.0


def test_p_of_a_clear_difference_is_the_smallest_possible() -> None:
    """Fifty queries that are all better by about 0.1."""
    better = np.random.default_rng(1).normal(0.1, 0.05, 50)
    assert randomisation_p(better) == pytest.approx(1 / 10_001)
    assert randomisation_p(-better) == pytest.approx(1 / 10_001)


def test_p_values_are_uniform_without_a_difference() -> None:
    """About one in twenty comparisons of equal encoders is significant at 5 %."""
    random = np.random.default_rng(2)
    found = [randomisation_p(random.normal(size=30), resamples=400, seed=trial) for trial in range(400)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.03)

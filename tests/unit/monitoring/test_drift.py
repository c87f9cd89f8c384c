"""Figures of drift, on vectors whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring.drift import Drift, centre_shift, leading_share, variance
from tests.factories import make_identity


def vectors(count: int, mean: float = 0.0, seed: int = 1) -> np.ndarray:
    """(count, 8) float32 normal vectors of variance 1 a component."""
    return np.random.default_rng(seed).normal(mean, 1, (count, 8)).astype(np.float32)


def test_samples_of_one_distribution_have_no_shift() -> None:
    """What two samples differ by chance is subtracted."""
    shifts = [centre_shift(vectors(200, seed=seed), vectors(400, seed=seed + 50)) for seed in range(20)]
    assert np.mean(shifts) < 0.003


def test_a_shift_is_a_share_of_the_variance() -> None:
    """Means that differ by half a standard deviation in each component: a quarter."""
    assert centre_shift(vectors(4000, 0.5), vectors(4000, seed=2)) == pytest.approx(0.25, abs=0.03)
    same = np.ones((5, 8), np.float32)
    assert centre_shift(same, same) == 0


def test_the_leading_quarter_has_its_share_of_the_variance() -> None:
    """Of variances 9, 9, 1, 1, 1, 1, 1, 1: three quarters."""
    spread = vectors(20_000) * np.array([3, 3, 1, 1, 1, 1, 1, 1], np.float32)
    assert variance(spread) == pytest.approx(24, rel=0.03)
    assert leading_share(spread) == pytest.approx(0.75, abs=0.01)
    assert leading_share(np.ones((5, 8), np.float32)) == 0


def test_the_deviation_is_in_spreads_of_the_artifact() -> None:
    """0.45 where 0.6 is expected, with a spread of 0.1."""
    assert Drift(make_identity(), 0.45, 0.0, 0.5, 0.5).deviation == pytest.approx(-1.5)

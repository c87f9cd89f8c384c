"""The odds of a tap by score."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.appeal import appeal

SLATES = 4000


def test_the_odds_of_simulated_taps_are_found() -> None:
    """One tap a slate, with odds of exp(8 · score); the last place is none of those that count, and empty."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0.5, 0.1, (SLATES, 5))
    odds = np.exp(8 * scores[:, :4])
    place = (np.cumsum(odds, axis=1) < rng.random((SLATES, 1)) * odds.sum(axis=1, keepdims=True)).sum(axis=1)
    grades = np.eye(5)[place]
    scores[:, 4] = -np.inf
    among = np.tile(np.arange(5) < 4, (SLATES, 1))
    found = appeal(scores, grades, np.ones(SLATES), among)
    assert found.max(axis=1).tolist() == [1] * SLATES
    assert found[:, 4].tolist() == [0] * SLATES
    slope = np.log(found[:, 0] / found[:, 1]) / (scores[:, 0] - scores[:, 1])
    assert slope == pytest.approx(np.full(SLATES, slope[0]))
    assert slope[0] == pytest.approx(8, abs=0.6)


def test_without_a_tap_that_counts_all_have_the_same_appeal() -> None:
    """Nothing says what a score is worth."""
    scores = np.array([[0.3, 0.9, -np.inf]])
    found = appeal(scores, np.array([[0.0, 1.0, 0.0]]), np.ones(1), np.array([[True, False, False]]))
    assert found.tolist() == [[1, 1, 0]]

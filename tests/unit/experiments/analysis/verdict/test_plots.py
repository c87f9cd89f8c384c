"""Scales of plots."""

from __future__ import annotations

import pytest

from experiments.analysis.verdict.effects import Effect
from experiments.analysis.verdict.plots import Scale, band, lift_scale


def of(lift: float, low: float, high: float) -> Effect:
    return Effect(1.0, 1.0 + lift, lift, low, high, 0.5, 0.1)


def test_values_become_pixels() -> None:
    """The ends, the middle, and what lies beyond."""
    scale = Scale(0, 10, 100, 200)
    assert [scale.at(value) for value in (0, 5, 10, 12, -3)] == [100, 150, 200, 200, 100]
    assert Scale(0, 10, 200, 100).at(2) == 180


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (-0.03, 0.11, [0.0, 0.05, 0.1]),
        (0, 6, [0, 1, 2, 3, 4, 5, 6]),
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    """At most seven."""
    assert Scale(low, high, 0, 1).ticks == pytest.approx(ticks)


def test_nothing_and_every_lift_are_in_sight() -> None:
    """One absurd interval does not squeeze the others."""
    scale = lift_scale([of(0.1, 0.05, 0.15), of(0.2, 0.14, 0.26), of(0.3, -0.9, 80)], 0, 100)
    assert scale.low < 0
    assert 0.3 < scale.high < 1


def test_no_interval_still_has_a_scale() -> None:
    """A plot without a single effect."""
    scale = lift_scale([], 0, 100)
    assert scale.low < 0 < scale.high


def test_a_band_goes_there_and_back() -> None:
    """Along the highs and back along the lows."""
    assert band([1, 2], [10, 20], [11, 21]) == "1,11 2,21 2,20 1,10"

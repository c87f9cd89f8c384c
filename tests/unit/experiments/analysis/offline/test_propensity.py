"""Propensities of positions: by hand, from simulated logs, and as weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.analysis.offline.propensity import (
    Propensities,
    Source,
    examination,
    propensities,
    tap_weights,
)
from experiments.analysis.offline.slates import Exposures
from tests.unit.experiments.analysis.offline.click_model import SHOWN, opened

TRUTH = 1 / np.arange(1, SHOWN + 1)


def make_exposures(*cells: tuple[int, int, int, int], block: int = 0) -> Exposures:
    """Cells of (group, position, shown, tapped)."""
    group, position, shown, tapped = np.array(cells, dtype=np.int64).T
    return Exposures(np.full(len(cells), block), group, position, shown, tapped)


def test_slates_of_one_length_give_propensities_by_their_tap_rates() -> None:
    """40, 20 and 8 taps of 100 each: 1, a half and a fifth."""
    found = examination(make_exposures((0, 1, 100, 40), (0, 2, 100, 20), (0, 3, 100, 8)), 3)
    assert found == pytest.approx([1, 0.5, 0.2])


def test_items_that_changed_positions_are_compared_with_themselves() -> None:
    """A good item mostly on top and a poor one mostly below: tap rates say 0.18, either item a half."""
    cells = (0, 1, 900, 360), (0, 2, 100, 20), (1, 1, 100, 10), (1, 2, 900, 45)
    assert examination(make_exposures(*cells), 2) == pytest.approx([1, 0.5], abs=1e-5)


def test_a_chain_of_swaps_identifies_distant_positions() -> None:
    """No item was at both 1 and 3; one at 1 and 2 and one at 2 and 3 tell 0.5 × 0.4."""
    cells = (0, 1, 100, 40), (0, 2, 100, 20), (1, 2, 100, 10), (1, 3, 100, 4)
    assert examination(make_exposures(*cells), 3) == pytest.approx([1, 0.5, 0.2], abs=1e-4)


def test_few_taps_tell_nothing() -> None:
    """199 are too few."""
    assert propensities(make_exposures((0, 1, 500, 100), (0, 2, 500, 99)), Source.SHUFFLED) is None


def test_weights_by_hand() -> None:
    """One over the propensity, at most the clip; a position without taps is taken for the one before."""
    found = Propensities(Source.SHUFFLED, 500, [1.0, 0.5, np.nan, 0.1], [(1.0, 1.0)] * 4)
    weights = tap_weights(found, np.array([[1, 2, 3, 4, 5], [1, 2, 0, 0, 0]]), clip=8)
    assert weights.tolist() == [[1, 2, 2, 8, 8], [1, 2, 0, 0, 0]]


@pytest.mark.parametrize("source", [Source.SHUFFLED, Source.SWAPS])
def test_simulated_propensities_are_found_within_their_intervals(source: Source, shuffled_log: Path) -> None:
    """Position k is looked at 1 / k of the time; nine intervals of 95 % may miss one."""
    with opened(shuffled_log) as log:
        found = propensities(log.shuffled() if source is Source.SHUFFLED else log.swapped(), source)
    assert found is not None
    lows, highs = np.array(found.intervals).T
    within = (lows <= TRUTH + 1e-9) & (highs >= TRUTH - 1e-9)
    assert within.sum() >= SHOWN - 1
    assert np.abs(np.log(found.values / TRUTH)).max() < 0.35
    assert ((highs - lows)[1:] > 0).all()

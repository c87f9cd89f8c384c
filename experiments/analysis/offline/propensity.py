"""How often each position is looked at, told from items that were shown at several by chance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as students_t

from experiments.analysis.offline.slates import BLOCKS, Exposures, Integers

Numbers = NDArray[np.float64]

LEAST_TAPS: Final = 200
"""Fewer taps in all leave most positions without a figure."""
SWEEPS: Final = 1000
PRECISION: Final = 1e-6
"""Of propensities, at which sweeps end."""


class Source(StrEnum):
    """What propensities are estimated from."""

    SHUFFLED = "shuffled slates"
    SWAPS = "swaps"


@dataclass(frozen=True)
class Propensities:
    """The chance that a position is looked at, as a share of the first position's."""

    source: Source
    taps: int
    """That they were estimated from."""
    values: list[float]
    """Of positions from 1; NaN where nothing was tapped."""
    intervals: list[tuple[float, float]]
    """95 %, the first position's being (1, 1)."""


def examination(exposures: Exposures, positions: int, start: Numbers | None = None) -> Numbers:
    """(positions,) the chance that a position is looked at, as a share of the first position's; NaN untapped.

    In the position-based model (Joachims et al. 2017, arXiv 1608.04468, section 5) an item is tapped as often
    as its position is looked at times how often it is wanted. Groups hold what is wanted alike, so positions
    within a group tell their propensities apart: in shuffled slates everything does (section 5.3 there), in
    other logs the items that changed places (Agarwal et al. 2019, arXiv 1812.05161, whose pairs these are).
    The likelihood is that of counts with an effect per group, which needs no effect to be right itself
    (Hausman, Hall and Griliches 1984); its maximum is found by solving for groups and positions in turn.

    start: (positions,) to begin with.
    """
    place = exposures.position - 1
    wanted_taps = np.bincount(exposures.group, exposures.tapped)
    place_taps = np.bincount(place, exposures.tapped, positions)
    looked = np.ones(positions) if start is None else np.nan_to_num(start)
    for _ in range(SWEEPS):
        chances = np.bincount(exposures.group, exposures.shown * looked[place], len(wanted_taps))
        wanted = np.divide(wanted_taps, chances, out=np.zeros(len(chances)), where=chances > 0)
        wants = np.bincount(place, exposures.shown * wanted[exposures.group], positions)
        found = np.divide(place_taps, wants, out=np.zeros(positions), where=wants > 0)
        found /= found[np.flatnonzero(found)[:1]].sum() or 1
        settled = np.abs(found - looked).max(initial=0) < PRECISION
        looked = found
        if settled:
            break
    return np.where(looked > 0, looked, np.nan)


def propensities(exposures: Exposures, source: Source) -> Propensities | None:
    """Propensities with their intervals; None of fewer than LEAST_TAPS taps.

    Intervals are jackknifed (Efron and Tibshirani 1993, chapter 11): each of BLOCKS parts of the users is
    left out in turn, so that users who come often count as one. On the logarithm, where a share is nearer to
    normal.
    """
    taps = int(exposures.tapped.sum())
    if taps < LEAST_TAPS:
        return None
    positions = int(exposures.position.max())
    values = examination(exposures, positions)
    others = np.log([examination(exposures.without(block), positions, values) for block in range(BLOCKS)])
    spread = np.sqrt((BLOCKS - 1) * others.var(axis=0)) * students_t.ppf(0.975, BLOCKS - 1)
    lows, highs = values * np.exp(-spread), values * np.exp(spread)
    return Propensities(source, taps, values.tolist(), list(zip(lows.tolist(), highs.tolist(), strict=True)))


def tap_weights(found: Propensities, positions: Integers, clip: float) -> Numbers:
    """(s, n) how many taps a tap at a position stands for: one over its propensity, at most `clip`.

    A position without a figure takes that of the one before it, or the next below a top without taps.

    positions: (s, n) from 1; 0 has the weight 0. clip: bounds the variance and biases a little towards the
    log (Joachims et al. 2017, section 4).
    """
    known = np.flatnonzero(~np.isnan(found.values))
    places = np.arange(max(len(found.values), int(positions.max(initial=1))))
    nearest = known[np.clip(np.searchsorted(known, places, side="right") - 1, 0, None)]
    weights = np.minimum(1 / np.array(found.values)[nearest], clip)
    return np.concatenate([[0.0], weights])[positions]

"""Position propensities, estimated from items shown at several positions by chance."""

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
"""With fewer taps in total, most positions have no estimate."""
SWEEPS: Final = 1000
PRECISION: Final = 1e-6
"""Largest change of a propensity at which sweeps end."""


class Source(StrEnum):
    """What propensities are estimated from."""

    SHUFFLED = "shuffled slates"
    SWAPS = "swaps"


@dataclass(frozen=True)
class Propensities:
    """The probability that a position is looked at, relative to the first position."""

    source: Source
    taps: int
    """Number of taps used for the estimate."""
    values: list[float]
    """By position from 1; NaN where nothing was tapped."""
    intervals: list[tuple[float, float]]
    """95 % intervals; (1, 1) for the first position."""


def examination(exposures: Exposures, positions: int, start: Numbers | None = None) -> Numbers:
    """Propensities relative to the first position, (positions,) float64; NaN where nothing was tapped.

    In the position-based model (Joachims et al. 2017, arXiv 1608.04468, section 5) the probability of a tap
    is that of looking at the position times the relevance of the item. Relevance is constant within a group,
    so positions within a group identify the propensities: shuffled slates as a whole (section 5.3 there), or
    items that changed positions (Agarwal et al. 2019, arXiv 1812.05161, whose pairs these are). The
    likelihood is the fixed-effects Poisson likelihood (Hausman, Hall and Griliches 1984), maximised by
    solving for groups and positions in turn.

    start: (positions,) float64 to begin with.
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
    """Propensities with their intervals; None for fewer than LEAST_TAPS taps.

    Intervals are from a jackknife over BLOCKS parts of the users (Efron and Tibshirani 1993, chapter 11), so
    that users are the unit, on the logarithm, whose distribution is closer to normal.
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
    """The weight of a tap at each position, (s, n) float64: the inverse propensity, at most `clip`.

    A position without an estimate has that of the one before it, or of the first that has one.

    positions: (s, n) int64 from 1; 0 has the weight 0. clip: bounds the variance at the cost of a small bias
    towards the log (Joachims et al. 2017, section 4).
    """
    known = np.flatnonzero(~np.isnan(found.values))
    places = np.arange(max(len(found.values), int(positions.max(initial=1))))
    nearest = known[np.clip(np.searchsorted(known, places, side="right") - 1, 0, None)]
    weights = np.minimum(1 / np.array(found.values)[nearest], clip)
    return np.concatenate([[0.0], weights])[positions]

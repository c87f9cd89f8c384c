"""Whether the lift fades or grows: by day, and the slope through the days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import norm

from experiments.analysis.verdict.effects import Effect, lift_of

MIN_DAYS: Final = 5
"""With an interval each, for a slope."""


@dataclass(frozen=True)
class Trend:
    """How the lift moves."""

    per_day: float
    """Relative: -0.01 is a treatment-over-control ratio that shrinks by one per cent a day."""
    low: float
    high: float
    p_value: float


def trend(effects: Sequence[Effect | None]) -> Trend | None:
    """The slope through daily lifts, in order; days without an effect are left out. None for too few.

    Least squares on the logarithm, weighted by the precision of each day. Errors of the days count as
    independent: users return, but each day's taps are new (decision 163 has the measured error rate).
    """
    found = [(day, effect) for day, effect in enumerate(effects) if effect is not None]
    if len(found) < MIN_DAYS:
        return None
    days = np.array([day for day, _ in found], dtype=np.float64)
    logs = np.array([effect.log_ratio for _, effect in found])
    weights = np.array([effect.log_error**-2 for _, effect in found])
    centred = days - np.average(days, weights=weights)
    precision = float(weights @ centred**2)
    slope, error = float((weights * centred) @ logs) / precision, precision**-0.5
    half = float(norm.ppf(0.975)) * error
    p_value = 2 * float(norm.sf(abs(slope) / error))
    return Trend(lift_of(slope), lift_of(slope - half), lift_of(slope + half), p_value)

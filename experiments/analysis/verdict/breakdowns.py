"""The primary metric in parts of a log, such as days or categories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from scipy.stats import norm

from experiments.analysis.moments import Moments
from experiments.analysis.verdict.effects import (
    Comparison,
    Effect,
    Measure,
    adjusted,
    constant_of,
    effect_of,
    lift_of,
)

Arms = Mapping[str, Moments]
"""Name to the moments of each arm, in the order of the definition: control first."""


@dataclass(frozen=True)
class Breakdown:
    """One way to divide a log into parts."""

    name: str
    """As `CleanLog.moments_by` knows it."""
    title: str
    over_time: bool = False
    """Parts follow one another, so the report shows a trend. The p-values of all others are adjusted."""


BREAKDOWNS: Final = {
    each.name: each
    for each in (
        Breakdown("day", "on each day", over_time=True),
        Breakdown("day_since_first", "by days since the first exposure", over_time=True),
        Breakdown("category", "Category of the item viewed"),
        Breakdown("price", "Price of the item viewed"),
        Breakdown("new_user", "New or returning user"),
    )
}
"""By name. To add one, add its grouping to `CleanLog.moments_by` and a line here."""
MIN_DAYS: Final = 5
"""Days with an interval that a trend needs."""


@dataclass(frozen=True, kw_only=True)
class PartResult(Comparison):
    """The primary metric of one arm in one part of a breakdown; p-values over time are not adjusted."""

    part: str
    users: int
    """Of both arms."""


@dataclass(frozen=True)
class Trend:
    """How the lift moves."""

    per_day: float
    """Relative: -0.01 is a treatment-over-control ratio that shrinks by one per cent a day."""
    low: float
    high: float
    p_value: float


def break_down(
    moments: Mapping[str, Mapping[str, Arms]], measure: Measure
) -> dict[str, tuple[PartResult, ...]]:
    """Breakdown to the measure of every arm but control in every part.

    moments: breakdown to part to arms.
    """
    found = {name: _parts(by_part, measure) for name, by_part in moments.items()}
    rest = iter(adjusted([each for name in found if not BREAKDOWNS[name].over_time for each in found[name]]))
    return {
        name: tuple(parts if BREAKDOWNS[name].over_time else islice(rest, len(parts)))
        for name, parts in found.items()
    }


def _parts(by_part: Mapping[str, Arms], measure: Measure) -> list[PartResult]:
    return [
        PartResult(
            part=part,
            arm=arm,
            users=control.count + treatment.count,
            effect=effect_of(measure, control, treatment),
            constant=constant_of(measure, control, treatment),
        )
        for part, arms in by_part.items()
        for control, *_ in (arms.values(),)
        for arm, treatment in list(arms.items())[1:]
    ]


def trends_of(
    breakdowns: Mapping[str, Iterable[PartResult]], arms: Sequence[str]
) -> dict[str, dict[str, Trend | None]]:
    """Arm to breakdown over time to the trend of the arm's lift."""
    return {
        arm: {
            name: trend([each.effect for each in parts if each.arm == arm])
            for name, parts in breakdowns.items()
            if BREAKDOWNS[name].over_time
        }
        for arm in arms
    }


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

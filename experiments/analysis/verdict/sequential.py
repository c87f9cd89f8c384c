"""Group-sequential intervals that hold at all daily looks together with 95 % confidence.

There is one look a day until the planned end. The error is spent over the planned time by the O'Brien-Fleming
spending function of Lan and DeMets (Biometrika 1983): almost none in the first days, nearly all at the end.
See docs/decisions/164-daily-looks.md for the alternatives measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

Vector: TypeAlias = NDArray[np.float64]

ALPHA: Final = 0.04
"""The error of all looks together, two-sided. The promise is less than 5 %, and the normal approximation
spends a few tenths of a point more than planned (decision 164)."""

POWER: Final = 0.8
"""The share of experiments with the planned effect that find it."""

GRID: Final = 201
"""Grid points of the path's density: critical values to three digits at 182 looks."""
FARTHEST: Final = 12.0
"""Largest critical value, in standard errors; beyond it no error is left to spend."""
LEAST_STEP: Final = 1.001
"""The least factor by which a day adds information; assuming more than there is errs on the safe side."""


def spent(share: float, alpha: float) -> float:
    """The two-sided error that may be spent in this share (0, 1] of the planned time."""
    return 4 * float(ndtr(ndtri(alpha / 4) / math.sqrt(share)))


def critical_values(
    taken: Sequence[int], information: Sequence[float], planned: int, alpha: float = ALPHA
) -> Vector:
    """(looks,) float64: how many standard errors from 0 a look must be to be significant.

    taken: numbers of the looks so far, from 1 and increasing; skipped looks spend nothing until the next.
    information: (looks,) 1 / variance of the estimate at each. planned: number of looks. alpha: two-sided,
        over all looks.

    The path z√information is a Brownian motion seen at the looks. Its density inside the earlier bounds is
    carried from look to look (Armitage, McPherson and Rowe, JRSS A 1969), and each bound lets out what its
    day may spend.
    """
    found = np.empty(len(taken))
    points, mass, before, gone = np.zeros(1), np.ones(1), 0.0, 0.0
    for index, (look, now) in enumerate(zip(taken, growing(information), strict=True)):
        due = spent(min(1.0, look / planned), alpha)
        step, root = math.sqrt(now - before), math.sqrt(now)
        found[index] = _bound(points, mass, step, root, due - gone)
        points, mass = _carried(points, mass, step, found[index] * root)
        before, gone = now, due
    return found


def last_critical_value(days: int, treatments: int = 1) -> float:
    """The critical value, in standard errors, of the last planned day after a look on each day.

    days: planned days. treatments: arms other than control, which share the error.
    """
    return planned_critical_value(days, days, ALPHA / treatments)


@cache
def planned_critical_value(look: int, planned: int, alpha: float) -> float:
    """The critical value of a look (from 1) among planned looks that all add equal information."""
    looks = range(1, look + 1)
    return float(critical_values(looks, looks, planned, alpha)[-1])


def growing(information: Sequence[float]) -> Vector:
    """(looks,) float64: information made to grow from look to look, as a share of the last."""
    if not information:
        return np.zeros(0)
    days = np.arange(len(information))
    grown = np.maximum.accumulate(np.asarray(information) / LEAST_STEP**days) * LEAST_STEP**days
    return np.asarray(grown / grown[-1])


def _bound(points: Vector, mass: Vector, step: float, root: float, spend: float) -> float:
    """The bound, in standard errors of `root`, that just `spend` of the paths cross; at most FARTHEST.

    points, mass: (GRID,) float64, or (1,) at the start.
    """

    def excess(critical: float) -> float:
        edge = critical * root
        return float(mass @ (ndtr((points - edge) / step) + ndtr((-edge - points) / step))) - spend

    return float(brentq(excess, 0.0, FARTHEST)) if excess(FARTHEST) < 0 else FARTHEST


def _carried(points: Vector, mass: Vector, step: float, edge: float) -> tuple[Vector, Vector]:
    """The paths that stay within the edge after a step: points (GRID,) float64 and their mass (GRID,)."""
    ahead, width = np.linspace(-edge, edge, GRID, retstep=True)
    weights = np.full(GRID, width)
    weights[[0, -1]] /= 2  # trapezoids
    density = np.exp(-0.5 * ((ahead[:, None] - points) / step) ** 2) @ mass / (step * math.sqrt(2 * math.pi))
    return ahead, density * weights

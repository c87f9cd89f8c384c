"""A reading that may be taken every day: intervals that all hold together, with 95 % confidence.

Group-sequential, one look a day until the planned end. The error is spent along the calendar by Lan
and DeMets' function of the O'Brien-Fleming kind (Biometrika 1983): next to nothing in the first days, nearly
all of it at the end. See docs/decisions/164-daily-looks.md for what else was measured.
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
"""The error of all looks together, two-sided. What is promised is less than 5 %, and the normal approximation
takes a few tenths of a point more than it is given (decision 164)."""

POWER: Final = 0.8
"""Of experiments with the effect that is planned for, the share that finds it."""

GRID: Final = 201
"""Points at which the path's density is kept: critical values to three digits at 182 looks."""
FARTHEST: Final = 12.0
"""Standard errors; beyond, nothing is left to spend."""
LEAST_STEP: Final = 1.001
"""A day adds at least this factor of information; where less came, taking it as more is the careful side."""


def spent(share: float, alpha: float) -> float:
    """The error, both sides together, that may be spent in this share (0, 1] of the planned time."""
    return 4 * float(ndtr(ndtri(alpha / 4) / math.sqrt(share)))


def critical_values(
    taken: Sequence[int], information: Sequence[float], planned: int, alpha: float = ALPHA
) -> Vector:
    """(looks,) how many standard errors from 0 a look must be to count.

    taken: numbers of the looks so far, from 1 and rising; one that is left out spends nothing until the next.
    information: (looks,) 1 / variance of the estimate at each. planned: looks in all. alpha: two-sided,
        over all looks.

    The path z√information is a Brownian motion seen at the looks. Its density inside the earlier bounds is
    carried from look to look (Armitage, McPherson and Rowe, JRSS A 1969), and each bound lets out what its
    day may spend.
    """
    found = np.empty(len(taken))
    points, mass, before, gone = np.zeros(1), np.ones(1), 0.0, 0.0
    for place, (look, now) in enumerate(zip(taken, growing(information), strict=True)):
        due = spent(min(1.0, look / planned), alpha)
        step, root = math.sqrt(now - before), math.sqrt(now)
        found[place] = _bound(points, mass, step, root, due - gone)
        points, mass = _carried(points, mass, step, found[place] * root)
        before, gone = now, due
    return found


def last_critical_value(days: int, treatments: int = 1) -> float:
    """How many standard errors from 0 the look of the last planned day must be, having looked on all.

    days: planned. treatments: arms beside control, who share the error.
    """
    return planned_critical_value(days, days, ALPHA / treatments)


@cache
def planned_critical_value(look: int, planned: int, alpha: float) -> float:
    """That of a look (from 1) of so many planned ones, if each adds as much information as the others."""
    looks = range(1, look + 1)
    return float(critical_values(looks, looks, planned, alpha)[-1])


def growing(information: Sequence[float]) -> Vector:
    """(looks,) the same, made to grow from look to look, as a share of the last; empty if none was taken."""
    if not information:
        return np.zeros(0)
    days = np.arange(len(information))
    grown = np.maximum.accumulate(np.asarray(information) / LEAST_STEP**days) * LEAST_STEP**days
    return np.asarray(grown / grown[-1])


def _bound(points: Vector, mass: Vector, step: float, root: float, spend: float) -> float:
    """How many standard errors (of `root`) let out just `spend` of the paths; FARTHEST at most."""

    def excess(critical: float) -> float:
        edge = critical * root
        return float(mass @ (ndtr((points - edge) / step) + ndtr((-edge - points) / step))) - spend

    return float(brentq(excess, 0.0, FARTHEST)) if excess(FARTHEST) < 0 else FARTHEST


def _carried(points: Vector, mass: Vector, step: float, edge: float) -> tuple[Vector, Vector]:
    """Where the paths that stayed within the edge are after a step: points (GRID,) and their mass."""
    ahead, width = np.linspace(-edge, edge, GRID, retstep=True)
    weights = np.full(GRID, width)
    weights[[0, -1]] /= 2  # trapezoids
    density = np.exp(-0.5 * ((ahead[:, None] - points) / step) ** 2) @ mass / (step * math.sqrt(2 * math.pi))
    return ahead, density * weights

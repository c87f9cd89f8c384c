"""Missing assignments: whether all arms cover the same items. If not, results are invalid.

An arm with its own index may lack query items. A slate for such an item comes from another index, carries no
arm and is excluded, so the remaining slates of that arm are for other items than those of the other arms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2

from experiments.analysis.moments import COLUMNS, Moments
from experiments.analysis.verdict.sample_ratio import THRESHOLD

LEAST_DIFFERENCE: Final = 0.01
"""Between the shares of two arms. If missing slates have no taps, one point changes the CTR by 1 %."""


@dataclass(frozen=True)
class MissingAssignment:
    """Slates by arm: those that lack the arm of their user, and those attributed to it."""

    unassigned: Mapping[str, int]
    attributed: Mapping[str, int]
    p_value: float

    @property
    def shares(self) -> dict[str, float]:
        """Arm to the share of its slates without an assignment."""
        return {
            arm: self.unassigned[arm] / max(1, self.unassigned[arm] + count)
            for arm, count in self.attributed.items()
        }

    @property
    def trusted(self) -> bool:
        """Whether results are valid."""
        shares = self.shares.values()
        return self.p_value >= THRESHOLD or max(shares) - min(shares) < LEAST_DIFFERENCE


def missing_assignment(
    unassigned: Mapping[str, int], attributed: Mapping[str, int], alike: float = 1.0
) -> MissingAssignment:
    """The chi-square test of unassigned against attributed slates, by arm.

    alike: the design effect, because a user's slates lack their assignment together.
    """
    table = np.array([[unassigned[arm], attributed[arm]] for arm in attributed], dtype=np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(1.0, table.sum())
    deviations = np.divide((table - expected) ** 2, expected, out=np.zeros_like(table), where=expected > 0)
    return MissingAssignment(unassigned, attributed, float(chi2.sf(deviations.sum() / alike, len(table) - 1)))


def slates_alike(arms: Iterable[Moments]) -> float:
    """Σn² / Σn over the users' slates n, at least 1: the design effect if all or none of them are missing.

    That is the most that it can be (Kish 1965, with an intraclass correlation of 1), so a valid experiment is
    stopped less often than the threshold says, and far larger faults than LEAST_DIFFERENCE are still found.
    """
    at = COLUMNS.index("slates")
    known = [(arm.count, float(arm.mean[at]), float(arm.covariance[at, at])) for arm in arms]
    slates = sum(count * mean for count, mean, _ in known)
    squares = sum(count * mean**2 + max(0, count - 1) * variance for count, mean, variance in known)
    return max(1.0, squares / max(1.0, slates))

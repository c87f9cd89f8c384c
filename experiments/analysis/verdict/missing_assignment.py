"""Whether the arms answer for the same items. If not, nothing else may be read.

An arm of its own index does not have every query item: a slate of one that it lacks is answered without it,
tells no arm, and is in no sum. What is left of that arm are other items than the rest compares it on.
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
"""Between the shares of two arms. If nobody taps the lost slates, one point moves the CTR by one per cent."""


@dataclass(frozen=True)
class MissingAssignment:
    """Slates by arm: those without the arm that is their user's by assignment, and those that tell it."""

    unassigned: Mapping[str, int]
    attributed: Mapping[str, int]
    p_value: float

    @property
    def shares(self) -> dict[str, float]:
        """Arm to the lost share of its slates."""
        return {
            arm: self.unassigned[arm] / max(1, self.unassigned[arm] + count)
            for arm, count in self.attributed.items()
        }

    @property
    def trusted(self) -> bool:
        """Whether the rest may be read."""
        shares = self.shares.values()
        return self.p_value >= THRESHOLD or max(shares) - min(shares) < LEAST_DIFFERENCE


def missing_assignment(
    unassigned: Mapping[str, int], attributed: Mapping[str, int], alike: float = 1.0
) -> MissingAssignment:
    """The chi-square test of lost against told slates, by arm.

    alike: how many slates count as one, since those of a user are lost together.
    """
    table = np.array([[unassigned[arm], attributed[arm]] for arm in attributed], dtype=np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(1.0, table.sum())
    deviations = np.divide((table - expected) ** 2, expected, out=np.zeros_like(table), where=expected > 0)
    return MissingAssignment(unassigned, attributed, float(chi2.sf(deviations.sum() / alike, len(table) - 1)))


def slates_alike(arms: Iterable[Moments]) -> float:
    """Σn² / Σn over the users' slates n, at least 1: the design effect were a user's slates all lost or none.

    That is the most that it can be (Kish 1965, with an intraclass correlation of 1), so a sound experiment is
    stopped less often than the threshold says, and far larger faults than LEAST_DIFFERENCE are still found.
    """
    at = COLUMNS.index("slates")
    known = [(arm.count, float(arm.mean[at]), float(arm.covariance[at, at])) for arm in arms]
    slates = sum(count * mean for count, mean, _ in known)
    squares = sum(count * mean**2 + max(0, count - 1) * variance for count, mean, variance in known)
    return max(1.0, squares / max(1.0, slates))

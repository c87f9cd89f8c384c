"""Whether the arms have the users that their weights promise. If not, nothing else may be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scipy.stats import chisquare

THRESHOLD: Final = 0.001
"""Fabijan et al., KDD 2019, "Diagnosing Sample Ratio Mismatch": low, since a report is read many times."""
MISASSIGNED_SHARE: Final = 0.001
"""Of users, in an arm other than the one that assignment computes for them, or in two."""


@dataclass(frozen=True)
class SampleRatio:
    """Users by arm, and what was expected."""

    users: Mapping[str, int]
    expected: Mapping[str, float]
    p_value: float
    misassigned: int = 0
    """Users whose logged arm is not the one computed from their hash, or who saw two; 0 where that was not
    compared."""

    @property
    def even(self) -> bool:
        """Whether chance explains the numbers of users."""
        return self.p_value >= THRESHOLD

    @property
    def trusted(self) -> bool:
        """Whether the rest may be read."""
        return self.even and self.misassigned <= MISASSIGNED_SHARE * sum(self.users.values())


def sample_ratio(users: Mapping[str, int], weights: Mapping[str, float], misassigned: int = 0) -> SampleRatio:
    """The chi-square test of users against weights, both by arm.

    users: none of an arm is 0.
    """
    counts = {arm: users.get(arm, 0) for arm in weights}
    total, of = sum(counts.values()), sum(weights.values())
    expected = {arm: total * weight / of for arm, weight in weights.items()}
    p_value = float(chisquare(list(counts.values()), list(expected.values())).pvalue) if total else 1.0
    return SampleRatio(counts, expected, p_value, misassigned)

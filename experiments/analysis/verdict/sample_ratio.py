"""Sample ratio: whether users are divided by the weights of the arms. If not, results are invalid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scipy.stats import chisquare

THRESHOLD: Final = 0.001
"""Fabijan et al., KDD 2019, "Diagnosing Sample Ratio Mismatch": low, because a report is read many times."""
MISASSIGNED_SHARE: Final = 0.001
"""Largest share of users in two arms, or in an arm other than the one that assignment computes."""


@dataclass(frozen=True)
class SampleRatio:
    """Users by arm, and the expected numbers."""

    users: Mapping[str, int]
    expected: Mapping[str, float]
    p_value: float
    misassigned: int = 0
    """Users whose logged arm differs from the computed one, or who saw two arms; 0 if not compared."""

    @property
    def even(self) -> bool:
        """Whether the numbers of users are consistent with chance."""
        return self.p_value >= THRESHOLD

    @property
    def trusted(self) -> bool:
        """Whether results are valid."""
        return self.even and self.misassigned <= MISASSIGNED_SHARE * sum(self.users.values())


def sample_ratio(users: Mapping[str, int], weights: Mapping[str, float], misassigned: int = 0) -> SampleRatio:
    """The chi-square test of users against weights, both by arm.

    users: an arm that is missing has 0.
    """
    counts = {arm: users.get(arm, 0) for arm in weights}
    total, of = sum(counts.values()), sum(weights.values())
    expected = {arm: total * weight / of for arm, weight in weights.items()}
    p_value = float(chisquare(list(counts.values()), list(expected.values())).pvalue) if total else 1.0
    return SampleRatio(counts, expected, p_value, misassigned)

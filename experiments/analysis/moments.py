"""Counts, means and covariances of users' totals, from which every metric is computed.

Ratios of totals have the delta method's variance (Deng, Knoblich and Lu, KDD 2018): that of a user's
linearised value, which is a weighted sum of the user's totals. Every variance of the analysis is computed
here, so that rounding errors are recognised in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Totals = NDArray[np.float64]

COLUMNS: Final = (
    "slates",  # shown
    "taps",
    "views",  # of item pages
    "purchases",
    "tap_purchases",  # those that originate from a tap
    "spend",
    "empty_slates",
    "took_ms",  # summed over the timed slates
    "timed_slates",  # slates with a time
    "complaints",
    "pre_slates",  # the same before the start, which no arm can change
    "pre_taps",
    "pre_views",
    "pre_purchases",
)
"""A user's totals since the first exposure, and before the start."""
ROUNDING: Final = 1e-10
"""A variance below this share of the squares that it is computed from is rounding: users do not vary.

Sums of a million floating-point numbers err in the 13th digit. This is a standard deviation of 1e-5 of the
mean, far below that of any group of people.
"""


@dataclass(frozen=True)
class Ratio:
    """A ratio of two means over users, linearised around its value."""

    value: float
    weights: Totals
    """(len(COLUMNS),) float64: the derivative by each mean."""

    def less(self, coefficient: float, other: Ratio) -> Totals:
        """(len(COLUMNS),) float64: these weights minus `coefficient` times those of another ratio."""
        return self.weights - coefficient * other.weights


@dataclass(frozen=True)
class Moments:
    """Moments of the users of one arm, in all or in one part of the log."""

    count: int
    """Users."""
    mean: Totals
    """(len(COLUMNS),)"""
    covariance: Totals
    """(len(COLUMNS), len(COLUMNS)), unbiased; zeros for fewer than two users."""

    @classmethod
    def of(cls, columns: Mapping[str, Totals]) -> Moments:
        """Moments of totals (users,) float64 by name; missing columns are 0."""
        count = len(next(iter(columns.values())))
        totals = np.zeros((count, len(COLUMNS)))
        for name, values in columns.items():
            totals[:, COLUMNS.index(name)] = values
        covariance = np.cov(totals, rowvar=False) if count > 1 else np.zeros((len(COLUMNS),) * 2)
        return cls(count, totals.mean(axis=0) if count else np.zeros(len(COLUMNS)), covariance)

    @classmethod
    def from_sums(cls, count: int, sums: Totals, products: Totals) -> Moments:
        """Moments of sums from a database.

        sums: (len(COLUMNS),) float64, of users' totals. products: (len(COLUMNS), len(COLUMNS)) float64.
        """
        mean = sums / max(count, 1)
        covariance = (products - count * np.outer(mean, mean)) / (count - 1) if count > 1 else 0 * products
        return cls(count, mean, covariance)

    def total(self, name: str) -> float:
        """The sum of a column over all users."""
        return float(self.mean[COLUMNS.index(name)] * self.count)

    def ratio(self, numerator: str, denominator: str | None = None) -> Ratio:
        """The ratio of the means of two columns; without a denominator, the mean per user.

        Raises:
            ZeroDivisionError: the denominator's mean is 0.
        """
        weights = np.zeros(len(COLUMNS))
        top = float(self.mean[COLUMNS.index(numerator)])
        if denominator is None:
            weights[COLUMNS.index(numerator)] = 1.0
            return Ratio(top, weights)
        bottom = float(self.mean[COLUMNS.index(denominator)])
        weights[COLUMNS.index(numerator)] = 1 / bottom
        weights[COLUMNS.index(denominator)] -= top / bottom**2
        return Ratio(top / bottom, weights)

    def variance(self, weights: Totals) -> float:
        """The variance among users of a weighted sum of their totals; 0 if it is only rounding.

        weights: (len(COLUMNS),) float64.
        """
        found, size = weights @ self.covariance @ weights, np.abs(weights)
        squares = size @ (np.abs(self.covariance) + np.outer(self.mean, self.mean)) @ size
        return float(found) if found > ROUNDING * squares else 0.0

    def __add__(self, other: Moments) -> Moments:
        """Moments of the users of both."""
        count = self.count + other.count
        if count < 2:
            return self if self.count else other
        gap = self.mean - other.mean
        within = max(self.count - 1, 0) * self.covariance + max(other.count - 1, 0) * other.covariance
        between = self.count * other.count / count * np.outer(gap, gap)
        mean = (self.count * self.mean + other.count * other.mean) / count
        return Moments(count, mean, (within + between) / (count - 1))

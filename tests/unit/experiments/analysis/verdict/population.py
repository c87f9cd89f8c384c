"""Users whose truth is known: gamma-distributed activity, beta-distributed tastes, purchases after taps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.moments import Moments

Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Population:
    """What users are like, and what an arm does to them."""

    slates: float = 10.0
    """Shown to a user on average, over the experiment."""
    activity: float = 0.7
    """Shape of the gamma distribution: the smaller, the heavier the tail."""
    ctr: float = 0.05
    ctr_concentration: float = 20.0
    """Of the beta distribution: the smaller, the more users differ."""
    cvr: float = 0.12
    cvr_concentration: float = 10.0
    ctr_lift: float = 0.0
    cvr_lift: float = 0.0
    days: int = 14

    def users(self, count: int, rng: np.random.Generator) -> Columns:
        """Totals of so many users over the whole experiment, with a pre-period of the same length."""
        return {name: daily[:, -1] for name, daily in self.by_day(count, rng, days=1).items()}

    def by_day(self, count: int, rng: np.random.Generator, days: int | None = None) -> Columns:
        """Totals (count, days) up to each day; a user comes back on many days with one and the same taste."""
        days = days or self.days
        activity = rng.gamma(self.activity, 1 / self.activity, (count, 1))
        taste = rng.beta(*_beta(self.ctr, self.ctr_concentration), (count, 1))
        want = rng.beta(*_beta(self.cvr, self.cvr_concentration), (count, 1))
        slates = rng.poisson(self.slates * activity / days, (count, days))
        taps = rng.binomial(slates, np.minimum(1, taste * (1 + self.ctr_lift)))
        tap_purchases = rng.binomial(taps, np.minimum(1, want * (1 + self.cvr_lift)))
        others = rng.poisson(0.1 * activity * want / days, (count, days))
        purchases = tap_purchases + others
        spend = purchases * rng.lognormal(7.0, 0.8, (count, days))
        views = taps + rng.poisson(2 * activity / days, (count, days))
        pre_slates = rng.poisson(self.slates * activity)
        pre_taps = rng.binomial(pre_slates, taste)
        before = {
            "pre_slates": pre_slates,
            "pre_taps": pre_taps,
            "pre_views": pre_taps + rng.poisson(2 * activity),
            "pre_purchases": rng.binomial(pre_taps, want) + rng.poisson(0.1 * activity * want),
        }
        during = {
            "slates": slates,
            "taps": taps,
            "views": views,
            "purchases": purchases,
            "tap_purchases": tap_purchases,
            "spend": spend,
        }
        return {name: np.cumsum(each, axis=1).astype(np.float64) for name, each in during.items()} | {
            name: np.broadcast_to(each, (count, days)).astype(np.float64) for name, each in before.items()
        }


def _beta(mean: float, concentration: float) -> tuple[float, float]:
    return mean * concentration, (1 - mean) * concentration


def exposed(columns: Columns) -> Columns:
    """Only the users who were shown a slate."""
    seen = columns["slates"] > 0
    return {name: values[seen] for name, values in columns.items()}


def arm(population: Population, users: int, rng: np.random.Generator) -> Moments:
    """An arm's moments at the end."""
    return Moments.of(exposed(population.users(users, rng)))


def looks(population: Population, users: int, rng: np.random.Generator) -> list[Moments]:
    """An arm's moments up to each day, of the users exposed by then."""
    daily = population.by_day(users, rng)
    return [
        Moments.of(exposed({name: values[:, day] for name, values in daily.items()}))
        for day in range(population.days)
    ]

"""How many users and days an experiment takes, and what it can find in how many days."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from experiments.analysis.plan.baseline import Baseline
from experiments.analysis.verdict.effects import lift_of
from experiments.analysis.verdict.sequential import last_critical_value
from experiments.assignment.definition import Experiment

POWER: Final = 0.8
MOST_WEEKS: Final = 26
"""The longest duration that a definition may plan."""
MOST_DAYS: Final = 7 * MOST_WEEKS


@dataclass(frozen=True)
class Row:
    """What an experiment can detect in some days."""

    days: int
    users: int
    effect: float
    """Relative."""
    with_cuped: float | None


@dataclass(frozen=True)
class Plan:
    """The users and days of one experiment."""

    experiment: Experiment
    baseline: Baseline

    def users_needed(self, effect: float, days: int, *, cuped: bool = False) -> int:
        """Users in all arms that an experiment of so many days needs to find the effect with power `POWER`.

        The analysis compares logarithms of means. Their difference has the variance V/n_c + V/n_t, which must
        be no more than (log(1 + effect) / (z + z_power))², with z the critical value of the last
        daily look: earlier looks spend part of the error, and all arms share it. V is that of control in all
        arms, which overestimates the users needed for counts; the smallest arm decides. Effects found before
        the last look increase the power further.
        """
        deviations = self._deviations(days) / math.log1p(effect)
        return math.ceil(self._variance(cuped) * self._per_user * deviations**2)

    def detectable_effect(self, users: int, days: int, *, cuped: bool = False) -> float:
        """The relative effect that so many users and days find with power `POWER`."""
        if not users:
            return math.inf
        error = math.sqrt(self._variance(cuped) * self._per_user / users)
        return lift_of(self._deviations(days) * error)

    def users_by(self, days: int) -> int:
        """Users who take part in so many days, given buckets and ramp."""
        return int(self._new_users()[:days].sum() + 1e-6)

    def days_until(self, users: int) -> int | None:
        """Days until there are so many users; None if that is more than `MOST_WEEKS`."""
        enough = np.cumsum(self._new_users()) >= users
        return int(np.argmax(enough)) + 1 if enough.any() else None

    def weeks_needed(self, *, cuped: bool = False) -> int | None:
        """Whole weeks to plan for the minimum detectable effect; None if `MOST_WEEKS` are too short.

        Whole weeks, so that all weekdays count equally. A longer plan has more looks and needs more users, so
        weeks with too few users even for the looks of a single week are skipped.
        """
        effect = self.experiment.minimum_detectable_effect
        least = self.users_needed(effect, 7, cuped=cuped)
        for weeks in range(1, MOST_WEEKS + 1):
            users = self.users_by(7 * weeks)
            if users >= least and users >= self.users_needed(effect, 7 * weeks, cuped=cuped):
                return weeks
        return None

    def row(self, days: int) -> Row:
        """What can be detected after so many days."""
        users = self.users_by(days)
        with_cuped = None
        if self.baseline.correlation is not None:
            with_cuped = self.detectable_effect(users, days, cuped=True)
        return Row(days, users, self.detectable_effect(users, days), with_cuped)

    @property
    def _per_user(self) -> float:
        """How many users of the experiment give the precision of one user in each of two arms."""
        control, *others = (arm.weight for arm in self.experiment.arms)
        total = control + sum(others)
        return total / control + total / min(others)

    def critical_value(self, days: int) -> float:
        """The critical value, in standard errors, of the last of so many daily looks."""
        return last_critical_value(days, len(self.experiment.arms) - 1)

    def _variance(self, cuped: bool) -> float:
        return self.baseline.adjusted_variance if cuped else self.baseline.variance

    def _deviations(self, days: int) -> float:
        return self.critical_value(days) + float(norm.ppf(POWER))

    def _new_users(self) -> NDArray[np.float64]:
        """Users who take part for the first time on each day: (MOST_DAYS,) float64.

        Each step of a ramp adds random users, whose experiment starts with that step.
        """
        low, high = self.experiment.buckets
        on = self.experiment.model_copy(update={"enabled": True})
        shares = [on.share_on(on.start + timedelta(days=day)) for day in range(MOST_DAYS)]
        known = self.baseline.new_users[:MOST_DAYS]
        seen = [*known, *[self.baseline.later_users] * (MOST_DAYS - len(known))]
        return (high - low) * np.convolve(np.diff(shares, prepend=0.0), seen)[:MOST_DAYS]

"""Evidence of simulated users, as a log would give it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

from experiments.analysis.log.exclusions import Exclusion, Reason
from experiments.analysis.moments import Moments
from experiments.analysis.sellers import GiniDifference, SellerArm, SellerSide, Waiting, concentration
from experiments.analysis.verdict.breakdowns import Arms
from experiments.analysis.verdict.evidence import Evidence
from experiments.assignment.definition import Arm, Experiment
from tests.unit.experiments.analysis.verdict.population import Columns, Population, exposed

START = date(2026, 11, 2)


def make_experiment(**changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "name": "better-encoder",
        "hypothesis": "What looks more alike is tapped more often.",
        "arms": (Arm(name="old"), Arm(name="new")),
        "start": START,
        "planned_weeks": 2,
        "minimum_detectable_effect": 0.1,
    }
    return Experiment(**fields | changes)


def make_evidence(
    lift: float = 0.5, users: int = 1500, days: int = 14, *, seed: int = 0, **changes: Any
) -> Evidence:
    """Of so many users an arm; every arm but control has the CTR lift."""
    experiment = changes.pop("experiment", make_experiment())
    rng = np.random.default_rng(seed)
    by_arm = {
        arm.name: Population(ctr_lift=lift * (number > 0)).by_day(users, rng)
        for number, arm in enumerate(experiment.arms)
    }
    by_day = [START + timedelta(days=day) for day in range(days)]
    totals = moments(by_arm, days - 1)
    fields: dict[str, Any] = {
        "experiment": experiment,
        "until": by_day[-1],
        "users": {arm: each.count for arm, each in totals.items()},
        "misassigned": 0,
        "unassigned_slates": dict.fromkeys(totals, 0),
        "attributed_slates": {arm: round(each.total("slates")) for arm, each in totals.items()},
        "totals": totals,
        "with_bots": totals,
        "up_to": {day: moments(by_arm, number) for number, day in enumerate(by_day)},
        "breakdowns": {
            "day": {str(day): moments(by_arm, number, alone=True) for number, day in enumerate(by_day)},
            "day_since_first": {str(number): moments(by_arm, number, alone=True) for number in range(days)},
            "category": {"Apparel": totals, "<b>Toys</b>": totals},
            "new_user": {"returning": totals},
        },
        "sellers": make_sellers(*by_arm),
        "latencies": {arm: {"p50": 20.0, "p95": 45.0, "p99": 80.0} for arm in by_arm},
        "exclusions": (Exclusion(Reason.TWO_ARMS, 31, 2, "u17"),),
        "complaints_logged": True,
        "faulty": (),
        "simulated": None,
    }
    return Evidence(**fields | changes)


def moments(by_arm: dict[str, Columns], day: int, *, alone: bool = False) -> Arms:
    """Up to a day (from 0), or of that day alone."""
    return {arm: Moments.of(exposed(_on(columns, day, alone=alone))) for arm, columns in by_arm.items()}


def _on(columns: Columns, day: int, *, alone: bool) -> Columns:
    earlier = alone and day > 0
    return {
        name: values[:, day] - (values[:, day - 1] if earlier and not name.startswith("pre_") else 0)
        for name, values in columns.items()
    }


def make_sellers(control: str, *others: str) -> SellerSide:
    """The same exposure in every arm."""
    counts = np.arange(1, 301)
    spread, ages = concentration(counts), {"under 1 day": 0.25, "over 30 days": 0.75}
    shares = {"price": ages, "age": ages}
    each = SellerArm(spread, spread, shares, shares, Waiting(10, (1.0, 2.0, 3.0), 0.1))
    differences = {arm: GiniDifference(0.0, -0.01, 0.01) for arm in others}
    return SellerSide(len(counts), dict.fromkeys((control, *others), each), differences)

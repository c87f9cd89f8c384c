"""What is known of a metric and its users before an experiment: measured on a log, or assumed.

Users are assigned, so users are the unit: the plan depends on the variance among users of the
metric's value, which the delta method makes linear for ratios (Deng, Knoblich and Lu, KDD 2018).
"""

# ruff: noqa: S608  # SQL is built from constants, and names that a definition has checked

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from experiments.analysis.log.cleaning import Window, clean_tables
from experiments.analysis.log.exclusions import Rules
from experiments.analysis.log.files import FaultyFile
from experiments.analysis.log.read import EventLog, read_valid_files
from experiments.analysis.log.sums import CleanLog
from experiments.analysis.moments import Moments, Ratio
from experiments.analysis.verdict.effects import MEASURES, Measure
from experiments.assignment.definition import Experiment, Metric
from experiments.errors import NoBaseline

QUIET: Final = 100
"""Days with fewer users than this fraction (1/QUIET) of the busiest day come from wrong clocks."""


@dataclass(frozen=True)
class Baseline:
    """What is known of the primary metric before an experiment."""

    rate: float
    variance: float
    """Among users, of the metric's value over its mean: the squared coefficient of variation."""
    new_users: tuple[float, ...]
    """Users first seen since the start, by day; the mean of the last seven days is used for later days.

    The numbers fall, because frequent users are seen first.
    """
    source: str
    """The source of the numbers, for readers."""
    is_measured: bool = False
    correlation: float | None = None
    """Of users' values with those before the start, for CUPED; None if not measured."""
    faulty: tuple[FaultyFile, ...] = ()
    """Files of the log that were excluded."""

    @property
    def adjusted_variance(self) -> float:
        """The variance that remains with CUPED: a share of 1 - correlation²."""
        return self.variance * max(0.0, 1 - (self.correlation or 0.0) ** 2)

    @property
    def later_users(self) -> float:
        """New users per day after the known days."""
        return float(np.mean(self.new_users[-7:]))


@dataclass(frozen=True)
class _Measured:
    """What a log shows about its users from `start` to `last`."""

    moments: Moments
    new_users: tuple[float, ...]
    start: date
    last: date


def assumed_baseline(
    metric: Metric, rate: float, per_user: float, users_per_day: float, variance: float | None = None
) -> Baseline:
    """A baseline from assumed numbers.

    per_user: the mean of what the metric is a rate of (slates for the CTR), for one user. variance: among
    users, of the linearised value; by default all users have the same rate, which
    is optimistic: rate (1 - rate) / per_user for a rate, and for purchases per user that of a Poisson count.
    """
    believed = "as assumed" if variance is not None else "as if all users were alike, so it takes longer"
    if variance is None:
        variance = rate if metric is Metric.PURCHASES else rate * (1 - rate) / per_user
    return Baseline(rate, variance / rate**2, (users_per_day,), believed)


def measured_baseline(
    log: Path, experiment: Experiment, users_per_day: float | None = None, *, now: datetime | None = None
) -> Baseline:
    """A baseline from an earlier log, split into the length of the experiment and a pre-period.

    It is cleaned and summed like that of a report. A log shorter than both is split in the same proportion.
    users_per_day: new users, by default those of the log. now: later events are excluded.

    Raises:
        UnreadableLog: no impressions can be read.
        NoBaseline: the log holds too few events.
    """
    instant = now or datetime.now(UTC)
    found, faulty = read_valid_files(log, lambda events: _measured(events, experiment, instant), threads=2)
    source = f"measured on {found.moments.count:,} users of {log}, {found.start} to {found.last}"
    expected = (users_per_day,) if users_per_day else found.new_users
    baseline = baseline_of(found.moments, MEASURES[experiment.primary], expected, source)
    return replace(baseline, faulty=faulty)


def baseline_of(moments: Moments, measure: Measure, new_users: tuple[float, ...], source: str) -> Baseline:
    """A baseline from the totals of users like those of the experiment.

    Raises:
        NoBaseline: the log holds no events of the metric, or the metric does not vary.
    """
    found = measure.of(moments) if _happened(moments, measure.denominator) else None
    if found is None or not found.value > 0:
        raise NoBaseline(f"{source}: no {measure.numerator}; a longer log is needed, or --rate")
    variance = moments.variance(found.weights)
    if not variance:
        raise NoBaseline(
            f"{source}: {measure.phrase} does not vary between users; a longer log is needed, or --rate"
        )
    correlation = _correlation(moments, measure, found, variance)
    return Baseline(found.value, variance / found.value**2, new_users, source, True, correlation)


def _correlation(moments: Moments, measure: Measure, now: Ratio, variance: float) -> float | None:
    """The correlation of the metric with its covariate; None if that is constant or explains everything.

    In both cases the analysis would not use it.
    """
    if measure.pre_numerator is None or not _happened(moments, measure.pre_denominator):
        return None
    before = moments.ratio(measure.pre_numerator, measure.pre_denominator)
    variance_before = moments.variance(before.weights)
    if not variance_before:
        return None
    covariance = float(now.weights @ moments.covariance @ before.weights)
    if not moments.variance(now.less(covariance / variance_before, before)):
        return None
    return covariance / math.sqrt(variance * variance_before)


def _happened(moments: Moments, denominator: str | None) -> bool:
    """Whether the denominator is above 0; the number of users always is."""
    return denominator is None or moments.total(denominator) > 0


def _split(days: int, experiment: Experiment) -> tuple[int, int]:
    """How many of a log's days stand for the experiment, and how many before them for the pre-period."""
    wanted, before = experiment.planned_weeks * 7, experiment.pre_period_days
    if days < wanted + before:
        wanted = max(1, round(days * wanted / (wanted + before)))
    return wanted, min(before, days - wanted)


def _measured(log: EventLog, experiment: Experiment, now: datetime) -> _Measured:
    """Measure as if all users had been in the control arm during the last days of the log."""
    first, last = _days(log, now)
    length, pre = _split((last - first).days + 1, experiment)
    start = last - timedelta(days=length - 1)
    tried = experiment.model_copy(update={"start": start, "pre_period_days": pre})
    db = log.workspace()
    db.execute(f"""
        ALTER VIEW raw.impressions RENAME TO logged;
        CREATE VIEW raw.impressions AS SELECT * REPLACE (
            CASE WHEN make_timestamp(epoch_us(time))::DATE >= DATE '{start}'
                 THEN ['{tried.name}:{tried.control.name}'] ELSE [] END AS arms
        ) FROM raw.logged
        """)
    window = Window.of(tried, last, now)
    clean = CleanLog(db, tried, window, clean_tables(db, tried, window, Rules()))
    seen = clean.columns(
        f"SELECT first_day - DATE '{start}' AS day FROM totals WHERE NOT bot AND first_day IS NOT NULL"
    )
    new_users = np.bincount(np.asarray(seen["day"], dtype=int), minlength=length)
    return _Measured(clean.moments()[tried.control.name], tuple(map(float, new_users)), start, last)


def _days(log: EventLog, now: datetime) -> tuple[date, date]:
    """The first and the last day (UTC) of the log, without days with few users."""
    found: tuple[date, date] | None = (
        log.workspace()
        .execute(f"""
            WITH days AS (
                SELECT make_timestamp(epoch_us(time))::DATE AS day, count(DISTINCT user_id) AS users
                FROM raw.impressions WHERE epoch_us(time) <= {int(now.timestamp() * 1e6)} GROUP BY day
            )
            SELECT min(day), max(day) FROM days WHERE users * {QUIET} >= (SELECT max(users) FROM days)
            """)
        .fetchone()
    )
    if found is None or None in found:
        raise NoBaseline("no impression before now; a longer log is needed, or --rate")
    return found

"""What is known of a metric and its users before an experiment: measured on a log, or assumed.

Users are what is assigned, so users are what is counted: what decides is the variance among users of the
metric's value, which the delta method makes linear for ratios (Deng, Knoblich and Lu, KDD 2018).
"""

# ruff: noqa: S608  # what is put into SQL are our own words, and names that a definition has checked

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
"""A day with fewer than one in so many of the busiest day's users is one of wrong clocks, not of the log."""


@dataclass(frozen=True)
class Baseline:
    """What is known of the primary metric before an experiment."""

    rate: float
    variance: float
    """Among users, of the metric's value over its mean: the squared coefficient of variation."""
    new_users: tuple[float, ...]
    """Users who are seen for the first time since the start, on each day; the mean of the last seven goes on.

    Fewer each day: those who come often come first.
    """
    source: str
    """Where the numbers are from, for people."""
    is_measured: bool = False
    correlation: float | None = None
    """Of users' values with those before the start, which CUPED makes use of; None if not measured."""
    faulty: tuple[FaultyFile, ...] = ()
    """Of the log, those of which nothing counts."""

    @property
    def adjusted_variance(self) -> float:
        """What CUPED leaves of the variance: a share of 1 - correlation²."""
        return self.variance * max(0.0, 1 - (self.correlation or 0.0) ** 2)

    @property
    def later_users(self) -> float:
        """New users a day after those that are known."""
        return float(np.mean(self.new_users[-7:]))


@dataclass(frozen=True)
class _Measured:
    """What a log tells of its users from `start` to `last`."""

    moments: Moments
    new_users: tuple[float, ...]
    start: date
    last: date


def assumed_baseline(
    metric: Metric, rate: float, per_user: float, users_per_day: float, variance: float | None = None
) -> Baseline:
    """From numbers that somebody believes.

    per_user: the mean of what the metric is a rate of (slates for the CTR), for one user. variance: among
    users, of the linearised value; if none is given, users are taken to be all alike in their rate, which
    none are: rate (1 - rate) / per_user for a rate, and for purchases per user that of a Poisson count.
    """
    believed = "as assumed" if variance is not None else "as if all users were alike, so it takes longer"
    if variance is None:
        variance = rate if metric is Metric.PURCHASES else rate * (1 - rate) / per_user
    return Baseline(rate, variance / rate**2, (users_per_day,), believed)


def measured_baseline(
    log: Path, experiment: Experiment, users_per_day: float | None = None, *, now: datetime | None = None
) -> Baseline:
    """From a log of before the experiment, split into the length of the experiment and a pre-period.

    It is cleaned and summed as the verdict's will be. A log shorter than both is split in the same
    proportion. users_per_day: new ones, if not the log's own. now: what is later is no event yet.

    Raises:
        UnreadableLog: no impressions can be read.
        NoBaseline: too little happened.
    """
    instant = now or datetime.now(UTC)
    found, faulty = read_valid_files(log, lambda events: _measured(events, experiment, instant), threads=2)
    source = f"measured on {found.moments.count:,} users of {log}, {found.start} to {found.last}"
    expected = (users_per_day,) if users_per_day else found.new_users
    baseline = baseline_of(found.moments, MEASURES[experiment.primary], expected, source)
    return replace(baseline, faulty=faulty)


def baseline_of(moments: Moments, measure: Measure, new_users: tuple[float, ...], source: str) -> Baseline:
    """From the totals of users who are like those to come.

    Raises:
        NoBaseline: nothing of what the metric counts happened.
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
    """Of the metric with its covariate; None where that does not vary, or leaves nothing to vary.

    Either way the verdict would be without it.
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
    """Whether there is anything to divide by; users always are."""
    return denominator is None or moments.total(denominator) > 0


def _split(days: int, experiment: Experiment) -> tuple[int, int]:
    """How many of a log's days stand for the experiment, and how many before them for the pre-period."""
    wanted, before = experiment.planned_weeks * 7, experiment.pre_period_days
    if days < wanted + before:
        wanted = max(1, round(days * wanted / (wanted + before)))
    return wanted, min(before, days - wanted)


def _measured(log: EventLog, experiment: Experiment, now: datetime) -> _Measured:
    """As if everybody had been in the control arm for the last of the log's days."""
    first, last = _days(log, now)
    length, pre = _split((last - first).days + 1, experiment)
    start = last - timedelta(days=length - 1)
    tried = experiment.model_copy(update={"start": start, "pre_period_days": pre})
    db = log.workspace()
    db.execute(f"""
        ALTER VIEW raw.impressions RENAME TO told;
        CREATE VIEW raw.impressions AS SELECT * REPLACE (
            CASE WHEN make_timestamp(epoch_us(time))::DATE >= DATE '{start}'
                 THEN ['{tried.name}:{tried.control.name}'] ELSE [] END AS arms
        ) FROM raw.told
        """)
    window = Window.of(tried, last, now)
    clean = CleanLog(db, tried, window, clean_tables(db, tried, window, Rules()))
    seen = clean.columns(
        f"SELECT first_day - DATE '{start}' AS day FROM totals WHERE NOT bot AND first_day IS NOT NULL"
    )
    new_users = np.bincount(np.asarray(seen["day"], dtype=int), minlength=length)
    return _Measured(clean.moments()[tried.control.name], tuple(map(float, new_users)), start, last)


def _days(log: EventLog, now: datetime) -> tuple[date, date]:
    """The first and the last day (UTC) of the log, going by where its users are."""
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

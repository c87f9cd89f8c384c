"""`nitamono experiment plan`: how long an experiment takes, and what it can find in that time."""

from __future__ import annotations

import os
from pathlib import Path

import click

from console.counts import count_of
from console.number_types import Number
from console.percentage import MOST, percent
from console.table import table
from experiments.analysis.plan.baseline import Baseline, assumed_baseline, measured_baseline
from experiments.analysis.plan.plan import MOST_DAYS, MOST_WEEKS, POWER, Plan, Row
from experiments.analysis.verdict.effects import MEASURES
from experiments.assignment.definition import Metric, experiments_folder, find_experiment, read_experiments

SHOWN_WEEKS = (1, 2, 3, 4, 6, 8, 12)


# Their squares must be numbers that a float can hold.
AMOUNT = Number(1e-12, 1e12)


@click.command(name="plan")
@click.argument("name")
@click.option(
    "--baseline-from",
    "log",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a log from before the experiment, as `nitamono events export` writes it.",
)
@click.option("--rate", type=AMOUNT, help="Without a log: the value of the primary metric.")
@click.option(
    "--slates-per-user",
    "per_user",
    type=AMOUNT,
    help="Without a log: slates per user; taps for cvr_clicks, item-page views for cvr_views.",
)
@click.option(
    "--variance",
    type=AMOUNT,
    help="Without a log: variance of the metric among users. [default: that of equal users]",
)
@click.option(
    "--users-per-day",
    type=AMOUNT,
    help="New users per day. [default: as in the log]",
)
def plan_command(
    name: str,
    log: Path | None,
    rate: float | None,
    per_user: float | None,
    variance: float | None,
    users_per_day: float | None,
) -> None:
    """Print how many users and days the experiment NAME needs, and the effects it can detect by week."""
    experiment = find_experiment(read_experiments(experiments_folder(os.environ)), name)
    if log is not None:
        if (rate, per_user, variance) != (None, None, None):
            raise click.UsageError(
                "--baseline-from measures --rate, --slates-per-user and --variance; pass one or the other"
            )
        baseline = measured_baseline(log, experiment, users_per_day)
        for fault in baseline.faulty:
            click.echo(f"Skipped {fault.path}: {fault.reason}", err=True)
    else:
        baseline = _assumed(experiment.primary, rate, per_user, variance, users_per_day)
    click.echo(plan_text(Plan(experiment, baseline)))


def plan_text(plan: Plan) -> str:
    """Return the plan in sentences and a table."""
    experiment, baseline = plan.experiment, plan.baseline
    title = MEASURES[experiment.primary].title
    treatments, days = len(experiment.arms) - 1, experiment.planned_weeks * 7
    shared = f" and {treatments} comparisons" if treatments > 1 else ""
    lines = [
        f"{experiment.name}: {title}, now {baseline.rate:.4g} ({baseline.source})",
        f"Power {POWER:.0%}, with the error of the test spread over {days} daily looks{shared}: "
        f"at the last, the effect must be {plan.critical_value(days):.2f} standard errors from 0",
        f"The variance among users is {baseline.variance:.3g} times the squared mean",
        f"{_new_users(baseline)}; its buckets and ramp decide how many take part",
        "",
        _needed(plan, cuped=False),
    ]
    if baseline.correlation is not None:
        lines.append(_needed(plan, cuped=True))
    return "\n".join([*lines, _recommendation(plan), "", _table(plan)])


def _new_users(baseline: Baseline) -> str:
    first, later = baseline.new_users[0], baseline.later_users
    if len(baseline.new_users) == 1:
        return f"{count_of(round(later), 'new user')} per day"
    return f"{count_of(round(first), 'new user')} on the first day, later {later:,.0f} per day"


def _assumed(
    metric: Metric, rate: float | None, per_user: float | None, variance: float | None, users: float | None
) -> Baseline:
    if metric is Metric.PURCHASES:
        per_user = 1.0
    if rate is None or per_user is None or users is None:
        raise click.UsageError("pass --baseline-from LOG, or --rate, --slates-per-user and --users-per-day")
    if rate >= 1 and metric is not Metric.PURCHASES and variance is None:
        raise click.UsageError(f"--rate {rate:g} is not a rate; if it is intended, pass --variance, too")
    return assumed_baseline(metric, rate, per_user, users, variance)


def _needed(plan: Plan, *, cuped: bool) -> str:
    effect = plan.experiment.minimum_detectable_effect
    weeks = plan.weeks_needed(cuped=cuped)
    users = plan.users_needed(effect, 7 * (weeks or MOST_WEEKS), cuped=cuped)
    how = f"with CUPED (correlation {plan.baseline.correlation:.2f})" if cuped else "without CUPED"
    time = (
        f"{count_of(plan.days_until(users) or 0, 'day')}, {count_of(weeks, 'full week')}"
        if weeks
        else f"more than {MOST_DAYS} days"
    )
    return f"To detect {percent(effect)} {how}: {users:,} users, {time}"


def _recommendation(plan: Plan) -> str:
    experiment, measured = plan.experiment, plan.baseline.correlation is not None
    planned, weeks = experiment.planned_weeks, plan.weeks_needed(cuped=measured)
    if weeks is not None and weeks <= planned:
        condition = "" if plan.baseline.is_measured else ", if these figures are right"
        return f"planned_weeks = {planned} is enough{condition}"
    row = plan.row(planned * 7)
    effect = row.effect if row.with_cuped is None else row.with_cuped
    return (
        f"planned_weeks = {planned} is TOO SHORT: it can detect {_found(effect)}; plan "
        f"{count_of(weeks, 'week') if weeks else 'for more users'}, or another minimum_detectable_effect"
    )


def _found(effect: float) -> str:
    """Return an effect that can be detected; `nothing` if none below MOST can."""
    return percent(effect) if effect < MOST else "nothing"


def _table(plan: Plan) -> str:
    weeks = {*SHOWN_WEEKS, plan.experiment.planned_weeks, plan.weeks_needed(), plan.weeks_needed(cuped=True)}
    rows = [plan.row(week * 7) for week in sorted(week for week in weeks if week)]
    head = ["WEEKS", "DAYS", "USERS", "EFFECT"]
    if plan.baseline.correlation is not None:
        head.append("WITH CUPED")
    return table(head, map(_cells, rows), right=head)


def _cells(row: Row) -> list[str]:
    cells = [str(row.days // 7), str(row.days), f"{row.users:,}", _found(row.effect)]
    return cells if row.with_cuped is None else [*cells, _found(row.with_cuped)]

"""`nitamono experiment plan`: how long an experiment takes, and what it can find in that time."""

from __future__ import annotations

import os
from pathlib import Path

import click

from console.number_types import Number
from experiments.analysis.plan.baseline import Baseline, assumed_baseline, measured_baseline
from experiments.analysis.plan.plan import MOST_DAYS, MOST_WEEKS, POWER, Plan
from experiments.analysis.verdict.effects import MEASURES
from experiments.analysis.verdict.wording import MOST
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
    help="A log of before the experiment, as `nitamono events export` writes it.",
)
@click.option("--rate", type=AMOUNT, help="Without a log: the primary metric's value.")
@click.option(
    "--slates-per-user",
    "per_user",
    type=AMOUNT,
    help="Without a log: slates of a user; for cvr_clicks taps, for cvr_views item-page views.",
)
@click.option(
    "--variance",
    type=AMOUNT,
    help="Without a log: of the metric among users; by default as if all users were alike.",
)
@click.option(
    "--users-per-day",
    type=AMOUNT,
    help="Users seen for the first time, a day; by default the log's.",
)
def plan_command(
    name: str,
    log: Path | None,
    rate: float | None,
    per_user: float | None,
    variance: float | None,
    users_per_day: float | None,
) -> None:
    """Say how many users and days the experiment NAME takes, and what it can find in how many days."""
    experiment = find_experiment(read_experiments(experiments_folder(os.environ)), name)
    if log is not None:
        if (rate, per_user, variance) != (None, None, None):
            raise click.UsageError(
                "--baseline-from measures --rate, --slates-per-user and --variance; give either"
            )
        baseline = measured_baseline(log, experiment, users_per_day)
        for fault in baseline.faulty:
            click.echo(f"left out: {fault.path}: {fault.reason}", err=True)
    else:
        baseline = _assumed(experiment.primary, rate, per_user, variance, users_per_day)
    for line in told(Plan(experiment, baseline)):
        click.echo(line)


def told(plan: Plan) -> list[str]:
    """The plan in sentences and a table."""
    experiment, baseline = plan.experiment, plan.baseline
    title = MEASURES[experiment.primary].title
    treatments, days = len(experiment.arms) - 1, experiment.planned_weeks * 7
    shared = f" and {treatments} comparisons" if treatments > 1 else ""
    lines = [
        f"{experiment.name}: {title}, now {baseline.rate:.4g} ({baseline.source})",
        f"Power {POWER:.0%} where the verdict shares its error among {days} daily looks{shared}: "
        f"the last must be {plan.critical_value(days):.2f} standard errors from 0",
        f"The variance among users is {baseline.variance:.3g} times the squared mean",
        f"{_new_users(baseline)}, of whom its buckets and ramp take part",
        "",
        _needed(plan, cuped=False),
    ]
    if baseline.correlation is not None:
        lines.append(_needed(plan, cuped=True))
    return [*lines, _judgement(plan), "", *_table(plan)]


def _new_users(baseline: Baseline) -> str:
    first, later = baseline.new_users[0], baseline.later_users
    if len(baseline.new_users) == 1:
        return f"{later:,.0f} new users a day"
    return f"{first:,.0f} new users on the first day, {later:,.0f} a day at last"


def _assumed(
    metric: Metric, rate: float | None, per_user: float | None, variance: float | None, users: float | None
) -> Baseline:
    if metric is Metric.PURCHASES:
        per_user = 1.0
    if rate is None or per_user is None or users is None:
        raise click.UsageError(
            "give --baseline-from LOG, or all of --rate, --slates-per-user and --users-per-day"
        )
    if rate >= 1 and metric is not Metric.PURCHASES and variance is None:
        raise click.UsageError(f"--rate {rate:g} is no rate; give --variance too if it is meant")
    return assumed_baseline(metric, rate, per_user, users, variance)


def _needed(plan: Plan, *, cuped: bool) -> str:
    effect = plan.experiment.minimum_detectable_effect
    weeks = plan.weeks_needed(cuped=cuped)
    users = plan.users_needed(effect, 7 * (weeks or MOST_WEEKS), cuped=cuped)
    how = f"with CUPED (correlation {plan.baseline.correlation:.2f})" if cuped else "without CUPED"
    time = f"{plan.days_until(users)} days, {weeks} whole weeks" if weeks else f"more than {MOST_DAYS} days"
    return f"To find {effect:+.1%} {how}: {users:,} users, {time}"


def _judgement(plan: Plan) -> str:
    experiment, measured = plan.experiment, plan.baseline.correlation is not None
    planned, weeks = experiment.planned_weeks, plan.weeks_needed(cuped=measured)
    if weeks is not None and weeks <= planned:
        return f"planned_weeks = {planned} is enough{'' if plan.baseline.is_measured else ', if that holds'}"
    row = plan.row(planned * 7)
    effect = row.effect if row.with_cuped is None else row.with_cuped
    return (
        f"planned_weeks = {planned} is TOO SHORT: in that time {_found(effect)} can be found; plan "
        f"{f'{weeks} weeks' if weeks else 'for more users'}, or another minimum_detectable_effect"
    )


def _found(effect: float) -> str:
    """An effect that can be found; nothing, if none below MOST can."""
    return f"{effect:+.1%}" if effect < MOST else "nothing"


def _table(plan: Plan) -> list[str]:
    weeks = {*SHOWN_WEEKS, plan.experiment.planned_weeks, plan.weeks_needed(), plan.weeks_needed(cuped=True)}
    rows = [plan.row(week * 7) for week in sorted(week for week in weeks if week)]
    cuped = plan.baseline.correlation is not None
    head = f"{'weeks':>5}  {'days':>4}  {'users':>12}  {'finds':>8}"
    lines = [head + ("  with CUPED" if cuped else "")]
    for row in rows:
        line = f"{row.days // 7:>5}  {row.days:>4}  {row.users:>12,}  {_found(row.effect):>8}"
        lines.append(line + ("" if row.with_cuped is None else f"  {_found(row.with_cuped):>10}"))
    return lines

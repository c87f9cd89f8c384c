"""Plans hold what they promise: against tea-tasting, and against simulated experiments."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import norm
from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import RatioOfMeans

from experiments.analysis.moments import COLUMNS, Moments
from experiments.analysis.plan.baseline import assumed_baseline, baseline_of
from experiments.analysis.plan.cli import plan_command
from experiments.analysis.plan.plan import Plan
from experiments.analysis.verdict.effects import MEASURES, effect_of
from experiments.analysis.verdict.sequential import ALPHA, critical_values
from experiments.assignment.definition import Metric
from tests.factories import make_experiment
from tests.unit.experiments.small_log import write_damaged, write_log

CTR = MEASURES["ctr"]
LAST = float(critical_values(range(1, 15), range(1, 15), 14, ALPHA)[-1])
"""What the verdict asks of the last of fourteen daily looks, in standard errors."""


def make_users(count: int, seed: int, lift: float = 0.0) -> dict[str, np.ndarray]:
    """Totals (users,) of users who differ in how much they look and in how readily they tap.

    On average four slates, of which one in ten is tapped, in the experiment as before it.
    """
    chance = np.random.default_rng(seed)
    rate = chance.beta(2.0, 18.0, count)
    activity = chance.gamma(2.0, 1.5, count)
    slates, before = 1 + chance.poisson(activity), chance.poisson(activity)
    return {
        "slates": slates.astype(float),
        "taps": chance.binomial(slates, rate * (1 + lift)).astype(float),
        "pre_slates": before.astype(float),
        "pre_taps": chance.binomial(before, rate).astype(float),
    }


def aggregates(moments: Moments) -> Aggregates:
    """The same as tea-tasting has it."""
    covariance = {
        (one, other): float(moments.covariance[i, j])
        for i, one in enumerate(COLUMNS)
        for j, other in enumerate(COLUMNS)
    }
    return Aggregates(
        count_=moments.count,
        mean_=dict(zip(COLUMNS, moments.mean.tolist(), strict=True)),
        var_={one: each for (one, other), each in covariance.items() if one == other},
        cov_={pair: each for pair, each in covariance.items() if pair[0] < pair[1]},
    )


def make_plan(**changes: Any) -> Plan:
    """A plan of an experiment whose users are those of `make_users`, a thousand new ones a day."""
    baseline = baseline_of(Moments.of(make_users(100_000, seed=1)), CTR, (1000,), "simulated users")
    return Plan(make_experiment(**changes), baseline)


@pytest.mark.parametrize("effect", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("weights", [(1, 1), (3, 1)])
@pytest.mark.parametrize("cuped", [False, True])
def test_users_are_those_of_tea_tasting(effect: float, weights: tuple[int, int], cuped: bool) -> None:
    """For ratio metrics, unequal arms, and with CUPED; theirs are for a difference, ours for a logarithm."""
    control, treatment = weights
    plan = make_plan(arms=({"name": "control", "weight": control}, {"name": "siglip", "weight": treatment}))
    measure = CTR if cuped else CTR.plain
    theirs = RatioOfMeans(
        measure.numerator,
        measure.denominator,
        measure.pre_numerator,
        measure.pre_denominator,
        alternative="two-sided",
        use_t=False,
        equal_var=True,
        alpha=2 * float(norm.sf(LAST)),
        power=0.8,
        ratio=treatment / control,
        rel_effect_size=math.log1p(effect),
    )
    moments = Moments.of(make_users(100_000, seed=1))
    (solved,) = theirs.solve_power_from_aggregates(aggregates(moments), "n_obs")
    assert plan.users_needed(effect, 14, cuped=cuped) == pytest.approx(solved.n_obs, rel=1e-3)


def test_four_in_five_experiments_find_the_effect() -> None:
    """Of a thousand of the planned size, or a few more: more taps vary less for their number."""
    plan = make_plan()
    users = plan.users_needed(0.25, 14)
    found = sum(_is_found(users // 2, 0.25, seed) for seed in range(1000))
    assert 0.77 < found / 1000 < 0.88


def _is_found(per_arm: int, lift: float, seed: int) -> bool:
    """Whether the interval that the verdict goes by on the fourteenth of fourteen days is above 0."""
    control, treatment = (
        Moments.of(make_users(per_arm, seed=10 * seed + number, lift=each))
        for number, each in ((2, 0.0), (3, lift))
    )
    effect = effect_of(CTR.plain, control, treatment)
    return effect is not None and effect.interval(LAST)[0] > 0


def test_equal_users_need_what_the_textbook_says() -> None:
    """5 % of slates tapped, four slates a user, 5 % more to be found: by hand.

    Variance 0.95 / 0.05 / 4 = 4.75 squared means; with the last of 14 looks at 2.188398 standard errors
    (2.188398 + 0.841621)² = 9.181014; 4 × 4.75 × 9.181014 / log(1.05)² = 73,279.03 users.
    """
    plan = Plan(make_experiment(), assumed_baseline(Metric.CTR, 0.05, 4, users_per_day=6000))
    assert plan.users_needed(0.05, 14) == 73_280
    assert plan.days_until(73_280) == 13
    assert plan.weeks_needed() == 2
    assert plan.detectable_effect(73_280, 14) == pytest.approx(0.05, abs=1e-6)


def test_a_longer_plan_needs_more_users() -> None:
    """Two weeks bring 73,000 users, fewer than their 73,280; 28 looks ask for more than 14 do."""
    baseline = assumed_baseline(Metric.CTR, 0.05, 4, users_per_day=73_000 / 14)
    plan = Plan(make_experiment(), baseline)
    assert plan.weeks_needed() == 3
    assert plan.users_needed(0.05, 7) < 73_280 < plan.users_needed(0.05, 28)


def test_several_arms_share_the_error() -> None:
    """Each of two comparisons has 2 %: (2.440742 + 0.841621)² = 10.773906; a third of the users an arm."""
    arms = ({"name": "control"}, {"name": "a"}, {"name": "b"})
    plan = Plan(make_experiment(arms=arms), assumed_baseline(Metric.CTR, 0.05, 4, 1000))
    assert plan.users_needed(0.05, 14) == math.ceil(6 * 4.75 * 10.773906 / math.log(1.05) ** 2)


def test_buckets_and_ramp_slow_it_down() -> None:
    """Half of the layer's users; of these a tenth for the first week, then all."""
    ramp = ({"from_day": "2026-11-02", "share": 0.1}, {"from_day": "2026-11-09", "share": 1.0})
    plan = Plan(
        make_experiment(buckets=(0.5, 1), ramp=ramp),
        assumed_baseline(Metric.CTR, 0.05, 4, users_per_day=1000),
    )
    assert plan.users_by(7) == 350
    assert plan.users_by(14) == 350 + 3500
    assert Plan(make_experiment(enabled=False), plan.baseline).users_by(7) == 7000


def test_frequent_users_come_first() -> None:
    """What a log shows of that is kept; after its last day the mean of its last week goes on.

    With half of the users only from the third day on, these begin there as the others did at the start.
    """
    baseline = replace(assumed_baseline(Metric.CTR, 0.05, 4, 1), new_users=(800.0, *[100.0] * 6, 30.0))
    later = (6 * 100 + 30) / 7
    plan = Plan(make_experiment(), baseline)
    assert [plan.users_by(days) for days in (1, 2, 8, 9)] == [800, 900, 1430, int(1430 + later)]
    ramp = ({"from_day": "2026-11-02", "share": 0.5}, {"from_day": "2026-11-04", "share": 1.0})
    ramped = Plan(make_experiment(ramp=ramp), baseline)
    assert [ramped.users_by(days) for days in (1, 2, 3)] == [400, 450, 450 + 50 + 400]


def test_an_effect_too_small_for_any_plan_is_reported() -> None:
    """Rather than a number of days that nobody can mean."""
    plan = Plan(make_experiment(), assumed_baseline(Metric.CTR, 0.05, 4, users_per_day=10))
    assert (plan.days_until(73_280), plan.weeks_needed()) == (None, None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one experiment of two weeks, which NITAMONO_EXPERIMENTS_DIR names."""
    (tmp_path / "new-encoder.toml").write_text(
        'name = "new-encoder"\nhypothesis = "Items by the new encoder are tapped more often."\n'
        "start = 2026-11-02\nplanned_weeks = 2\nminimum_detectable_effect = 0.05\n"
        '[[arms]]\nname = "control"\n[[arms]]\nname = "siglip"\n'
    )
    monkeypatch.setenv("NITAMONO_EXPERIMENTS_DIR", str(tmp_path))
    return tmp_path


def plan_by_command(*options: str) -> str:
    done = CliRunner().invoke(plan_command, ["new-encoder", *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_says_whether_the_planned_weeks_suffice(folder: Path) -> None:
    """And what could be found in the weeks that there are."""
    enough = plan_by_command("--rate", "0.05", "--slates-per-user", "4", "--users-per-day", "6000")
    assert "14 daily looks: at the last, the effect must be 2.19 standard errors from 0" in enough
    assert "73,280 users, 13 days, 2 full weeks" in enough
    assert "planned_weeks = 2 is enough, if these figures are right" in enough
    assert "as if all users were alike, so it takes longer" in enough
    short = plan_by_command("--rate", "0.05", "--slates-per-user", "4", "--users-per-day", "2000")
    assert "75,875 users, 38 days, 6 full weeks" in short
    assert "planned_weeks = 2 is TOO SHORT: it can detect +8.2 %; plan 6 weeks" in short
    assert ["6", "42", "84,000", "+4.7", "%"] in [line.split() for line in short.splitlines()]
    never = plan_by_command("--rate", "0.05", "--slates-per-user", "4", "--users-per-day", "10")
    assert "more than 182 days" in never


def test_the_command_measures_a_log(folder: Path, tmp_path: Path) -> None:
    """With a line and a column for CUPED."""
    output = plan_by_command("--baseline-from", str(write_log(tmp_path / "log")), "--users-per-day", "1")
    assert "measured on 3 users" in output
    assert "\n1 new user per day;" in output
    alone = plan_by_command("--baseline-from", str(tmp_path / "log"))
    assert "\n1 new user on the first day, later 1 per day;" in alone
    assert "with CUPED (correlation 0.94)" in output
    assert output.splitlines()[-1].count("%") == 2


def test_files_that_cannot_be_read_are_named(folder: Path, tmp_path: Path) -> None:
    """The plan is of the others."""
    damaged = write_damaged(write_log(tmp_path / "log"), "taps")
    output = plan_by_command("--baseline-from", str(tmp_path / "log"))
    assert f"Skipped {damaged}: cannot be read as parquet" in output
    assert "measured on 3 users" in output


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--rate", "0.05"),
        ("--rate", "1.5", "--slates-per-user", "4", "--users-per-day", "10"),
    ],
)
def test_half_a_baseline_is_refused(folder: Path, options: tuple[str, ...]) -> None:
    """Nothing is made up for what is missing."""
    assert CliRunner().invoke(plan_command, ["new-encoder", *options]).exit_code == 2


def test_the_documentation_shows_what_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the experiment whose file it shows; but for the first line, where the metric is put into words."""
    page = (Path(__file__).parents[5] / "docs" / "experiments.md").read_text(encoding="utf-8")
    (shown_file,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "new-encoder.toml").write_text(shown_file)
    (tmp_path / "ours.json").write_text("{}")
    monkeypatch.setenv("NITAMONO_EXPERIMENTS_DIR", str(tmp_path))
    output = plan_by_command("--rate", "0.05", "--slates-per-user", "4", "--users-per-day", "6000")
    assert output.partition("\n")[2] in page

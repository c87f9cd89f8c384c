"""What a log, or an assumption, says of the users to come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from events.log_tables import TABLES, write_part
from experiments.analysis.moments import Moments
from experiments.analysis.plan.baseline import assumed_baseline, baseline_of, measured_baseline
from experiments.analysis.verdict.effects import MEASURES
from experiments.assignment.definition import Metric
from experiments.errors import NoBaseline
from tests.factories import make_experiment
from tests.unit.experiments.small_log import day, write_damaged, write_log


def test_a_given_variance_replaces_the_assumption() -> None:
    """Twice the variance takes twice the users; purchases per user are taken to be Poisson counts."""
    alike = assumed_baseline(Metric.CTR, 0.05, 4, 1000)
    assert assumed_baseline(Metric.CTR, 0.05, 4, 1000, variance=0.05 * 0.95 / 2).variance == pytest.approx(
        2 * alike.variance
    )
    assert assumed_baseline(Metric.PURCHASES, 0.02, 1, 1000).variance == pytest.approx(1 / 0.02)


def test_the_baseline_of_a_log(tmp_path: Path) -> None:
    """Of its last days, with those before as the pre-period; without bots, and each event once.

    Three users with 2, 1, 1 slates and 2, 0, 1 taps: rate 3/4, mean slates 4/3. Linearised values
    (taps - rate × slates) / (4/3): 0.375, -0.5625, 0.1875; their variance 0.246094; over rate² 0.4375.
    """
    experiment = make_experiment(planned_weeks=1, pre_period_days=7)
    baseline = measured_baseline(write_log(tmp_path), experiment)
    assert baseline.rate == pytest.approx(0.75)
    assert baseline.variance == pytest.approx(0.4375)
    assert baseline.new_users == (1, 0, 1, 1)
    assert "3 users" in baseline.source
    assert "2026-10-05 to 2026-10-08" in baseline.source
    # Before: 2, 1, 0 slates and 1, 0, 0 taps, rate 1/3, mean slates 1: values 1/3, -1/3, 0.
    assert baseline.correlation == pytest.approx(
        np.corrcoef([0.375, -0.5625, 0.1875], [1 / 3, -1 / 3, 0])[0, 1]
    )


def test_events_excluded_from_reports_are_excluded_from_the_baseline(tmp_path: Path) -> None:
    """An event of ten years ahead, a tester, a tap again, and a file whose data are damaged."""
    experiment = make_experiment(planned_weeks=1, pre_period_days=7)
    clean = measured_baseline(write_log(tmp_path), experiment)
    shown = {"items": [{"item_id": "a", "position": 1}]}
    tester = {"event_id": "x0", "time": day(5), "user_id": "tester", "slate_id": "x", "override": True}
    slates = [tester | shown, {"event_id": "x1", "time": day(3650), "user_id": "u1", "slate_id": "y"} | shown]
    write_part(pa.Table.from_pylist(slates, TABLES["impressions"]), tmp_path, "impressions", "mischief")
    again = {"user_id": "u1", "slate_id": "s3", "item_id": "a", "position": 1, "time": day(5)}
    taps = [again | {"event_id": "x2"}, again | {"event_id": "x3"}]
    write_part(pa.Table.from_pylist(taps, TABLES["taps"]), tmp_path, "taps", "mischief")
    damaged = write_damaged(tmp_path, "taps")
    found = measured_baseline(tmp_path, experiment)
    assert [each.path for each in found.faulty] == [damaged]
    assert replace(found, faulty=()) == clean


@pytest.mark.parametrize(("metric", "rate"), [("purchases", 2 / 3), ("cvr_clicks", 1 / 3)])
def test_each_metric_has_its_own_baseline(tmp_path: Path, metric: str, rate: float) -> None:
    """Two purchases of three users; one of them from one of three taps."""
    experiment = make_experiment(planned_weeks=1, pre_period_days=7, primary=metric)
    assert measured_baseline(write_log(tmp_path), experiment).rate == pytest.approx(rate)


def test_users_who_do_not_differ_are_too_few() -> None:
    """Of one user there is no variance; an experiment of no users would be planned."""
    moments = Moments.of({"slates": np.array([2.0]), "taps": np.array([1.0])})
    with pytest.raises(NoBaseline, match="taps per slate does not vary between users"):
        baseline_of(moments, MEASURES["ctr"], (1.0,), "a log")


def test_nothing_can_be_planned_from_nothing(tmp_path: Path) -> None:
    """No item view is in the log."""
    experiment = make_experiment(primary="cvr_views")
    with pytest.raises(NoBaseline, match="no purchases; a longer log is needed"):
        measured_baseline(write_log(tmp_path), experiment)

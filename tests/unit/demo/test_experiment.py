"""The experiment of `make demo`."""

from __future__ import annotations

import os
from datetime import date, timedelta

import click
import pytest

from demo.experiment import run_experiment, write_definition
from demo.local_services.arm_encoders import arm_encoders
from demo.local_services.state import StateFolder
from experiments.assignment.assign import arm_array
from experiments.assignment.definition import Metric, read_experiments

TODAY = date(2026, 11, 21)


def test_the_experiment_is_of_the_week_before_today(tmp_path):
    """Its arms are the two encoders that come with the code, the weaker one being control."""
    write_definition(tmp_path, TODAY)
    (experiment,) = read_experiments(tmp_path)
    assert (experiment.name, experiment.primary, experiment.start) == (
        "encoder",
        Metric.CTR,
        date(2026, 11, 14),
    )
    assert experiment.start + timedelta(weeks=experiment.planned_weeks) == TODAY
    assert [arm.name for arm in experiment.arms] == ["pretrained", "finetuned"]
    assert [arm.artifact.name for arm in arm_encoders(tmp_path)] == ["efficientnet-lite0"]


def test_its_dates_move_with_today(tmp_path):
    """Users keep their arms: the assignment does not depend on the start."""
    users = [f"{number:032x}" for number in range(50)]
    arms = []
    for day in (TODAY, TODAY + timedelta(days=3)):
        write_definition(tmp_path, day)
        (experiment,) = read_experiments(tmp_path)
        assert experiment.start == day - timedelta(days=7)
        arms.append(arm_array(experiment, users).tolist())
    assert arms[0] == arms[1]


def test_a_failing_step_is_named(tmp_path, capfd):
    """What it said itself is above."""
    state = StateFolder.open(tmp_path / "state")
    environment = {**os.environ, "NITAMONO_REDIS_URL": "redis://127.0.0.1:1/0"}
    with pytest.raises(click.ClickException, match=r"`nitamono demo simulate` failed, so there is no report"):
        run_experiment(tmp_path / "none.jsonl", state, environment, "http://127.0.0.1:1")
    assert "none.jsonl" in capfd.readouterr().err

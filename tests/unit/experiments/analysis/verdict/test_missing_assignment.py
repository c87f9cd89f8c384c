"""Slates that lost their arm, against hand-computed chi-squares and through a log."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from experiments.analysis.moments import Moments
from experiments.analysis.verdict.evidence import gather
from experiments.analysis.verdict.missing_assignment import missing_assignment, slates_alike
from experiments.analysis.verdict.recommendation import Decision
from experiments.analysis.verdict.report import text
from experiments.analysis.verdict.results import ExperimentResults, read
from experiments.assignment.assign import arm_array
from tests.unit.experiments.analysis.log.logs import at, make_experiment, make_slate, make_tap, write_log


def test_by_hand() -> None:
    """10 and 30 of 100 each: expected 20 and 80, so 2 × 100 / 20 + 2 × 100 / 80 = 12.5 on one degree."""
    found = missing_assignment({"a": 10, "b": 30}, {"a": 90, "b": 70})
    assert found.p_value == pytest.approx(0.00040695, rel=1e-4)
    assert found.shares == pytest.approx({"a": 0.1, "b": 0.3})


@pytest.mark.parametrize(
    ("unassigned", "attributed", "alike", "trusted"),
    [
        ((0, 0), (50_000, 50_000), 1, True),
        ((5000, 5000), (50_000, 50_000), 1, True),  # another surface of both
        ((10, 30), (90, 70), 1, False),
        ((10, 30), (90, 70), 10, True),  # ten slates a user: as few as two users more
        ((0, 450), (50_000, 49_550), 1, True),  # under one point
        ((0, 550), (50_000, 49_450), 1, False),
        ((0, 0, 3000), (50_000, 50_000, 47_000), 10, False),
        ((0, 0), (0, 0), 1, True),
    ],
)
def test_when_results_are_trusted(
    unassigned: tuple[int, ...], attributed: tuple[int, ...], alike: float, trusted: bool
) -> None:
    """A difference that chance does not explain, and of a point at least."""
    assert missing_assignment(
        *(dict(zip("abc", counts, strict=False)) for counts in (unassigned, attributed)), alike
    ).trusted is (trusted)


def test_slates_of_a_user_miss_their_assignment_together() -> None:
    """Users of 1, 1 and 10 slates: 102 / 12. One slate each: 1."""
    assert slates_alike([Moments.of({"slates": np.array([1.0, 1, 10])})]) == pytest.approx(8.5)
    assert slates_alike([Moments.of({"slates": np.ones(9)})] * 2) == pytest.approx(1)


def reading(folder: Path, missing: float) -> ExperimentResults:
    """Of an A/A log: half of the items are tapped six times as often as the rest.

    missing: the share of the others' slates that the treatment, whose index lacks their items, has lost.
    """
    experiment, rng = make_experiment(guardrails=()), np.random.default_rng(1)
    users = [f"{number:032x}" for number in range(2400)]
    slates, taps = [], []
    for user, arm in zip(users, arm_array(experiment, users), strict=True):
        for day in np.flatnonzero(rng.random(14) < 0.5):
            bad = rng.random() < 0.5
            lost = arm == 1 and bad and rng.random() < missing
            name = None if lost else ("control", "treatment")[arm]
            slate = make_slate(user, name, time=at(int(day) + 0.5))
            slates.append(slate)
            taps += [make_tap(slate)] if rng.random() < (0.02 if bad else 0.12) else []
    return read(gather(write_log(folder, slates, taps=taps), experiment, date(2026, 11, 15)))


def test_an_arm_that_lacks_items_is_not_trusted(tmp_path: Path) -> None:
    """Nothing differs but the items of three in ten of the bad slates, and yet the CTR would rise."""
    found = reading(tmp_path, missing=0.3)
    assert found.recommendation.decision is Decision.DO_NOT_READ
    assert "the arms compare different items" in found.recommendation.sentence
    assert found.missing.shares["control"] == 0
    assert found.missing.shares["treatment"] == pytest.approx(0.15, abs=0.01)
    assert "slates without an arm: control 0 %, treatment 1" in text(found)


def test_the_same_log_with_all_items_is_trusted(tmp_path: Path) -> None:
    """No slate is lost, and nothing differs."""
    found = reading(tmp_path, missing=0)
    assert found.trusted
    assert found.recommendation.decision is not Decision.SHIP

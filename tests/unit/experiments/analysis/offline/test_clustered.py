"""Rows whose chance is in the users: intervals, tests and slices."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.offline.clustered import compare, difference, estimates, mean_of, p_of, ratio_of
from ml.metrics.ranking import bootstrap_interval

ONES = np.ones(4)


def test_weighted_means_and_ratios_by_hand() -> None:
    """(1 × 1 + 3 × 0) / 4 with the third left out; over (1 × 0.5 + 3 × 0.5) / 4 a half."""
    scores, weights, users = np.array([1.0, 0.0, np.nan]), np.array([1.0, 3.0, 9.0]), np.arange(3)
    found = estimates(
        [("mean", mean_of(scores, weights)), ("ratio", ratio_of(scores, np.full(3, 0.5), weights))], users
    )
    assert found["mean"][0] == pytest.approx(0.25)
    assert found["ratio"][0] == pytest.approx(0.5)


def test_intervals_of_one_slate_a_user_are_those_of_slates() -> None:
    """Without users who come twice, drawing users is drawing slates: within a twentieth of the width."""
    scores = np.random.default_rng(0).random(400)
    (low, high) = estimates([("mean", mean_of(scores, np.ones(400)))], np.arange(400))["mean"][1]
    expected = bootstrap_interval(scores)
    assert (low, high) == pytest.approx(expected, abs=0.05 * (expected[1] - expected[0]))


def test_users_who_come_often_widen_intervals() -> None:
    """Sixteen slates a user that score alike tell as much as one: four times the width, to a tenth."""
    scores = np.repeat(np.random.default_rng(0).random(200), 16)
    users = np.repeat(np.arange(200), 16)
    low, high = estimates([("mean", mean_of(scores, np.ones(3200)))], users)["mean"][1]
    slates_low, slates_high = bootstrap_interval(scores)
    assert (high - low) / (slates_high - slates_low) == pytest.approx(4, rel=0.1)


def test_the_interval_of_users_holds_the_truth_as_often_as_it_says() -> None:
    """Of 200 samples 190 ± 9 (three sigma) hold the mean of users who differ; slates' own far fewer."""
    random = np.random.default_rng(1)
    held, slates_held = 0, 0
    for _ in range(200):
        users = np.repeat(np.arange(60), 10)
        scores = random.normal(0, 1, 60)[users] + random.normal(0, 1, 600)
        low, high = estimates([("mean", mean_of(scores, np.ones(600)))], users)["mean"][1]
        slates_low, slates_high = bootstrap_interval(scores, resamples=500)
        held += low <= 0 <= high
        slates_held += slates_low <= 0 <= slates_high
    assert held == pytest.approx(190, abs=9)
    assert slates_held < 140


def test_a_difference_draws_the_same_users_for_both() -> None:
    """A score that is another's plus 0.1 for everybody differs by 0.1 without any doubt."""
    scores = np.random.default_rng(0).random(50)
    value, interval = difference(
        mean_of(scores + 0.1, np.ones(50)), mean_of(scores, np.ones(50)), np.arange(50)
    )
    assert value == pytest.approx(0.1)
    assert interval == pytest.approx((0.1, 0.1))


def test_p_values_take_users_as_one() -> None:
    """Ten users with a better score have p = 2 / 2^10; as many slates of two users are no evidence."""
    better = np.ones(10)
    assert p_of(better, better, np.arange(10)) == pytest.approx(2 / 1024, abs=0.001)
    assert p_of(better, better, np.arange(10) // 5) == pytest.approx(0.5, abs=0.02)


def test_rows_compare_with_the_baseline_where_both_have_scores() -> None:
    """The slate of which only the encoder has a score is in its mean, and not in its gain."""
    scores = {
        "base": {"m": np.array([0.5, 0.5, np.nan] * 10)},
        "mine": {"m": np.array([0.6, 0.8, 0.1] * 10)},
    }
    base, mine = compare(scores, np.arange(30), "base", weights=np.ones(30))
    assert base.means["m"] == pytest.approx(0.5)
    assert mine.means["m"] == pytest.approx(0.5)
    assert mine.gain == pytest.approx(0.4)
    assert (base.gain, base.p) == (None, None)
    assert mine.p_holm == mine.p


def test_holm_counts_all_rows_but_the_baseline() -> None:
    """Two rows: the smaller p is doubled."""
    random = np.random.default_rng(0)
    base = random.random(30)
    scores = {
        "base": {"m": base},
        "better": {"m": base + 0.1 + 0.3 * random.random(30)},
        "alike": {"m": base + random.normal(0, 0.1, 30)},
    }
    _, better, alike = compare(scores, np.arange(30), "base", weights=np.ones(30))
    assert better.p_holm == pytest.approx(2 * (better.p or 0))
    assert alike.p_holm == alike.p


def test_slices_are_the_same_for_every_row() -> None:
    """Also where a row has no score in one; small ones and unknown values are left out."""
    groups = {"day": np.array(["mon"] * 25 + ["tue"] * 20 + ["wed"] * 5 + [""] * 30)}
    scores = {
        "base": {"m": np.where(groups["day"] == "tue", np.nan, 0.5)},
        "mine": {"m": np.where(groups["day"] == "tue", 0.25, 1.0)},
    }
    base, mine = compare(scores, np.arange(80), "base", weights=np.ones(80), groups=groups)
    assert [(each.value, each.queries) for each in base.slices] == [("mon", 25), ("tue", 20)]
    assert [each.value for each in mine.slices] == ["mon", "tue"]
    assert np.isnan(base.slices[1].mean)
    assert mine.slices[1].mean == pytest.approx(0.25)

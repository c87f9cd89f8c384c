"""Weights fitted to planted preferences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.fit import Interval, effect, fit, folds_of, interval, search
from calibration.questions import Floats, Questions
from tests.unit.calibration.arrays import make_questions

ITEMS, CANDIDATES = 80, 15


def planted(seed: int = 1) -> Questions:
    """Items whose shoppers want what the first term gives; the second is noise, the third does not vary."""
    rng = np.random.default_rng(seed)
    shape = (ITEMS, CANDIDATES)
    wanted = rng.random(shape) < 0.4
    values = np.array([wanted * 0.1, rng.random(shape) * 0.1, np.full(shape, 0.05)])
    cosines = rng.normal(0.6, 0.1, shape)
    grades = wanted + (rng.random(shape) < (cosines - 0.4)).astype(float)
    grades[:, 0] = 3
    return make_questions(cosines, values, grades)


NOW = np.array([0.0, 1.0, 2.0])


def test_what_matters_gets_a_weight_and_noise_is_removed() -> None:
    """Whatever their weights are now."""
    found = fit(planted(), NOW, 0, 5)
    assert found.weights[0] >= 1
    assert found.weights[1:].tolist() == [0, 0]
    assert found.gains[0].low > 0.02
    assert found.gains[1].low <= 0
    assert found.gains[2] == (0, 0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_the_effect_is_that_on_items_not_fitted_on(seed: int) -> None:
    """It is a gain with planted preferences, and none where the grades are noise."""
    assert effect(planted(seed), NOW, seed, 4).gain.low > 0
    real = planted(seed)
    shuffled = np.random.default_rng(seed).permuted(real.grades, axis=1)
    noise = replace(real, grades=shuffled)
    change = effect(noise, np.zeros(3), seed, 4)
    assert change.gain.low <= 0
    assert change.gain.mean == pytest.approx(change.after.mean - change.before.mean)


def test_a_weight_off_the_grid_stays_if_it_is_best() -> None:
    """A term that must outweigh exactly one other."""
    cosines = np.array([[0.50, 0.44, 0.38]])
    values = np.array([[[0.0, 0.1, 0.0]]])
    questions = make_questions(cosines, values, np.array([[1.0, 2.0, 0.0]]))
    assert search(questions, np.array([0.7]), np.array([True])).tolist() == [0.7]
    assert search(questions, np.array([0.0]), np.array([True])).tolist() == [1.0]


def test_the_same_input_gives_the_same_weights() -> None:
    """Bootstrap and folds have seeds."""
    once, again = fit(planted(), NOW, 3, 5), fit(planted(), NOW, 3, 5)
    assert once.gains == again.gains
    assert once.weights.tolist() == again.weights.tolist()


def test_a_gain_must_not_be_due_to_chance_and_large_enough_to_notice() -> None:
    """A thousandth of nDCG is the least."""
    assert Interval(0.002, 0.0001, 0.004).shown_to_help
    assert not Interval(0.002, -0.0001, 0.004).shown_to_help
    assert not Interval(0.0005, 0.0001, 0.0009).shown_to_help


def test_each_item_is_held_out_once() -> None:
    """In folds whose sizes differ by one at most."""
    folds = np.array(list(folds_of(np.arange(23), 0, 5)))
    assert folds.sum(axis=0).tolist() == [1] * 23
    assert set(folds.sum(axis=1)) == {4, 5}


def test_a_cluster_is_held_out_as_a_whole() -> None:
    """All slates of one user are in one fold."""
    users = np.array([7, 3, 7, 9, 3, 3, 11])
    folds = np.array(list(folds_of(users, 0, 2)))
    assert folds.sum(axis=0).tolist() == [1] * 7
    assert all(len(np.unique(users[fold])) == 2 for fold in folds)


def test_an_interval_is_as_wide_as_the_normal_one() -> None:
    """Of a mean of 400 values with a standard deviation of 1: 1.96 / 20 on each side."""
    values = np.random.default_rng(0).normal(size=400)
    found = interval(alike(400), values)
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_an_interval_is_over_clusters_and_a_mean_by_importance() -> None:
    """Four times the same 100 values are 100 values; what counts for nothing is not in the mean."""
    values = np.random.default_rng(0).normal(size=100)
    found = interval(alike(400, cluster=np.arange(400) % 100), np.tile(values, 4))
    assert found.high - found.low == pytest.approx(2 * 1.96 / 10, rel=0.1)
    halved = alike(200, importance=np.repeat([2.0, 0.0], 100))
    assert interval(halved, np.append(values, np.full(100, 9.0))).mean == pytest.approx(values.mean())
    assert halved.mean(np.append(values, np.full(100, 9.0))) == pytest.approx(values.mean())


def alike(count: int, **changes: Floats) -> Questions:
    """Items without anything to rank."""
    return make_questions(np.zeros((count, 1)), np.zeros((0, count, 1)), np.zeros((count, 1)), **changes)

"""Learned similarities of categories beside those of now."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.co_taps import CategoryPair, Leaves
from calibration.similarities import CATEGORY, Evidence, learn, merged
from query.search.ranking import ADJUSTABLE
from tests.unit.calibration.arrays import make_questions
from tests.unit.calibration.tapped_shop import SHORTS, SKIRTS, VASES

SLATES = 600
NOW = np.where(np.arange(len(ADJUSTABLE)) == CATEGORY, 2.0, 0.0)


def pair(other: tuple[str, ...], similarity: float) -> CategoryPair:
    """What was learned for skirts."""
    return CategoryPair(SKIRTS, other, taps=1e6 * similarity, expected=1e6, users=99, prior=0, p=0)


def evidence(*, wanted: float, fitted: bool = True) -> Evidence:
    """Slates of skirts, shorts and vases for skirts; vases are as wanted as said, shorts half as skirts."""
    rng = np.random.default_rng(0)
    others = rng.permuted(np.tile([0, 0, 1, 1, 2, 2], (SLATES, 1)), axis=1)
    grades = (rng.random(others.shape) < 0.4 * np.array([0.67, 1, wanted])[others]).astype(float)
    tells = np.ptp(grades, axis=1) > 0
    questions = make_questions(
        rng.normal(0.6, 0.01, others.shape), np.zeros((len(ADJUSTABLE), *others.shape)), grades
    )
    leaves = Leaves((SHORTS, SKIRTS, VASES), np.ones(SLATES, int), others)
    fits = (np.arange(len(ADJUSTABLE)) == CATEGORY) & fitted
    return Evidence(questions[tells], leaves[tells], fits, NOW, {}, 0.1)


def test_planted_similarities_gain_on_held_out_users() -> None:
    """Vases are wanted as skirts are, which their paths do not say."""
    learned = learn(evidence(wanted=1.0), 0, 3)
    assert [(each.item, each.other) for each in learned.pairs] == [(SKIRTS, VASES)]
    assert learned.kept
    assert set(learned.beside({})[SKIRTS]) == {VASES}


def test_where_paths_say_it_all_nothing_is_learned() -> None:
    """Nobody wants vases."""
    learned = learn(evidence(wanted=0.0), 0, 3)
    assert (learned.pairs, learned.gain, learned.kept) == ((), None, False)
    assert learned.beside({SKIRTS: {VASES: 0.2}}) == {SKIRTS: {VASES: 0.2}}


@pytest.mark.parametrize("fitted", [True, False])
def test_a_pair_changes_the_value_of_the_category(fitted: bool) -> None:
    """At a weight of 1 where it is fitted, at the weight of now where it is not."""
    given = evidence(wanted=1.0, fitted=fitted)
    questions = given.fitting([pair(VASES, 0.8)])
    found = questions.values[0] if fitted else questions.fixed
    expected = np.array([2 / 3, 1, 0.8])[given.leaves.others] * (0.1 if fitted else 0.2)
    assert found == pytest.approx(expected, abs=1e-5)
    assert len(questions.values) == fitted


def test_what_was_learned_replaces_what_lies_above_or_below() -> None:
    """Two similarities of one item must not overlap; others stay."""
    now = {SKIRTS: {("Home",): 0.3, SHORTS: 0.9}, VASES: {SKIRTS: 0.1}}
    assert merged(now, [pair(VASES, 0.8)]) == {SKIRTS: {SHORTS: 0.9, VASES: 0.8}, VASES: {SKIRTS: 0.1}}
    assert merged(now, []) == now

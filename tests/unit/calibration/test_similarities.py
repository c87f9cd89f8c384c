"""Learned similarities of categories beside the current ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.co_taps import CategoryPair, Leaves
from calibration.similarities import CATEGORY, Evidence, effect_of_taps, fit_taps, learn, merged
from query.search.ranking import ADJUSTABLE
from tests.unit.calibration.arrays import make_questions
from tests.unit.calibration.tapped_shop import SHORTS, SKIRTS, VASES

SLATES = 600
NOW = np.where(np.arange(len(ADJUSTABLE)) == CATEGORY, 2.0, 0.0)


def pair(other: tuple[str, ...], similarity: float) -> CategoryPair:
    """What was learned for skirts."""
    return CategoryPair(
        SKIRTS, other, taps=1e6 * similarity, expected=1e6, users=99, shared=0, current=0, p=0
    )


def evidence(*, wanted: float, fitted: bool = True) -> Evidence:
    """Slates of skirts, shorts and vases for skirts; vases are as wanted as said, shorts half as skirts."""
    rng = np.random.default_rng(0)
    others = rng.permuted(np.tile([0, 0, 1, 1, 2, 2], (SLATES, 1)), axis=1)
    grades = (rng.random(others.shape) < 0.4 * np.array([0.67, 1, wanted])[others]).astype(float)
    informative = np.ptp(grades, axis=1) > 0
    questions = make_questions(
        rng.normal(0.6, 0.01, others.shape), np.zeros((len(ADJUSTABLE), *others.shape)), grades
    )
    leaves = Leaves((SHORTS, SKIRTS, VASES), np.ones(SLATES, int), others)
    fits = (np.arange(len(ADJUSTABLE)) == CATEGORY) & fitted
    return Evidence(questions[informative], leaves[informative], fits, NOW, {}, 0.1)


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


def test_a_similarity_in_use_that_taps_contradict_is_replaced() -> None:
    """Nobody wants the vases that an earlier log had beside skirts."""
    learned = learn(replace(evidence(wanted=0.0), similarities={SKIRTS: {VASES: 0.8}}), 0, 3)
    assert [(each.other, each.shared, each.current) for each in learned.pairs] == [(VASES, 0, 0.8)]
    assert learned.kept
    assert learned.beside({})[SKIRTS][VASES] < 0.1


def test_a_similarity_in_use_that_taps_confirm_stays() -> None:
    """It differs from the paths, but not from what was learned before."""
    given = replace(evidence(wanted=1.0), similarities={SKIRTS: {VASES: 0.95}})
    assert learn(given, 0, 3).pairs == ()


def test_the_effect_is_that_of_weights_and_pairs() -> None:
    """Where no weight is fitted, the gain is that of the pairs alone, learned for each fold without it."""
    given = evidence(wanted=1.0, fitted=False)
    learned, found = fit_taps(given, 0, 3)
    assert learned.gain is not None
    assert (len(found.weights), learned.kept) == (0, True)
    assert effect_of_taps(given, 0, 3).gain.mean == pytest.approx(learned.gain.mean, abs=0.01)
    assert effect_of_taps(evidence(wanted=0.0, fitted=False), 0, 3).gain == (0, 0, 0)


def test_a_term_gains_by_pairs_that_were_learned_without_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs that only the whole log has add nothing to the gain of the category."""
    given = evidence(wanted=1.0)
    learned, honest = fit_taps(given, 0, 3)
    without = tuple((held_out, ()) for held_out, _ in learned.by_fold)
    monkeypatch.setattr("calibration.similarities.learn", lambda *_: replace(learned, by_fold=without))
    assert fit_taps(given, 0, 3)[1].gains[0].mean < honest.gains[0].mean - 0.01


@pytest.mark.parametrize("fitted", [True, False])
def test_a_pair_changes_the_value_of_the_category(fitted: bool) -> None:
    """At a weight of 1 where it is fitted, at the current weight where it is not."""
    given = evidence(wanted=1.0, fitted=fitted)
    questions = given.fitting([pair(VASES, 0.8)])
    found = questions.values[0] if fitted else questions.fixed
    expected = np.array([2 / 3, 1, 0.8])[given.leaves.others] * (0.1 if fitted else 0.2)
    assert found == pytest.approx(expected, abs=1e-5)
    assert len(questions.values) == fitted


def test_what_was_learned_replaces_what_lies_below() -> None:
    """Two similarities of one item must not overlap; others stay."""
    now = {SKIRTS: {(*VASES, "Tall"): 0.3, SHORTS: 0.9}, VASES: {SKIRTS: 0.1}}
    found = merged(now, [pair(VASES, 0.8)], [VASES, SHORTS])
    assert found == {SKIRTS: {SHORTS: 0.9, VASES: 0.8}, VASES: {SKIRTS: 0.1}}
    assert merged(now, [], [VASES, SHORTS]) == now


def test_the_similarity_of_a_category_above_is_handed_down() -> None:
    """To the rest of the known tree below it, by the largest categories without the one learned."""
    known = [
        VASES,
        ("Home", "Lamps"),
        ("Home", "Decor", "Wall"),
        ("Home", "Decor", "Floor"),
        SKIRTS,
        ("Home",),
    ]
    now = {SKIRTS: {("Home",): 0.3}}
    lamps, decor = ("Home", "Lamps"), ("Home", "Decor")
    found = merged(now, [pair(VASES, 0.8)], known)
    assert found == {SKIRTS: {VASES: 0.8, lamps: 0.3, decor: 0.3}}
    found = merged(found, [pair((*decor, "Wall"), 0.9)], known)
    assert found == {SKIRTS: {VASES: 0.8, lamps: 0.3, (*decor, "Floor"): 0.3, (*decor, "Wall"): 0.9}}

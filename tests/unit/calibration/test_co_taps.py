"""Similarities of categories from taps, by hand and planted."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.appeal import appeal
from calibration.co_taps import (
    CategoryPair,
    Leaves,
    by_user,
    cells_of,
    learned_from,
    p_of_difference,
    pairs_of,
)
from calibration.questions import Floats, Questions
from calibration.taps import TapLog, collect_slates
from tests.unit.calibration.arrays import make_questions
from tests.unit.calibration.tapped_shop import SHORTS, SKIRTS, VASES, live, looks

PATHS = (SHORTS, SKIRTS, VASES)


def slates(others: list[list[int]], tapped: list[list[int]], **changes: object) -> tuple[Questions, Leaves]:
    """Slates for items of the first of PATHS."""
    shape = len(others), len(others[0])
    cosines = np.where(np.array(others) < 0, -np.inf, 0.5)
    questions = make_questions(cosines, np.zeros((1, *shape)), np.array(tapped, float), **changes)  # type: ignore[arg-type]
    return questions, Leaves(PATHS, np.zeros(len(others), int), np.array(others))


def test_taps_and_expected_taps_by_hand() -> None:
    """Two slates of shorts with skirts; a slate without shorts, and one of shorts alone, say nothing."""
    others = [[0, 0, 0, 1], [0, 1, 1, -1], [1, 1, 2, -1], [0, 0, -1, -1]]
    tapped = [[1, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    questions, leaves = slates(others, tapped, importance=np.array([1.0, 3.0, 1.0, 1.0]))
    (pair,) = pairs_of(questions, leaves, np.ones((4, 4)), {})
    assert (pair.item, pair.other, pair.users) == (SHORTS, SKIRTS, 2)
    assert pair.taps == pytest.approx(1 * 3 / 4 + 3 * 1 / 3)
    assert pair.expected == pytest.approx(1 * 1 / 4)
    assert (pair.shared, pair.current) == pytest.approx((2 / 3, 2 / 3), abs=1e-5)
    (pair,) = pairs_of(questions, leaves, np.ones((4, 4)), {SHORTS: {SKIRTS: 0.2}})
    assert (pair.shared, pair.current) == pytest.approx((2 / 3, 0.2), abs=1e-5)


def test_a_similarity_is_smoothed_by_shared_depth_and_at_most_one() -> None:
    """Ten taps of the shared depth: little evidence changes little, and nothing exceeds the own category."""

    def similarity(taps: float, expected: float) -> float:
        return CategoryPair(SHORTS, SKIRTS, taps, expected, 1, shared=0.5, current=0, p=1.0).similarity

    assert similarity(0, 0) == 0.5
    assert similarity(2, 10) == 0.35
    assert similarity(0, 1e6) == 0
    assert similarity(5000, 1000) == 1


def test_the_test_has_users_as_its_unit() -> None:
    """A hundred equal slates of one user are one observation; a hundred users with them are many."""
    ones = np.ones(100)
    taps, expected, users = by_user(ones, ones, np.zeros(100, int))
    assert (taps.tolist(), expected.tolist(), users) == ([100], [100], 1)
    assert p_of_difference(taps, expected, 0.5) == pytest.approx(0.317, abs=0.001)
    taps, expected, users = by_user(ones, ones, np.arange(100))
    assert users == 100
    assert p_of_difference(taps, expected, 0.5) < 1e-20
    assert by_user(np.zeros(3), np.zeros(3), np.arange(3))[2] == 0


def test_users_without_a_tap_on_the_other_category_count() -> None:
    """They tapped the own one, which is evidence, too."""
    assert by_user(np.array([0.0, 0.5, 0.0]), np.array([0.5, 0.0, 0.0]), np.arange(3))[2] == 2


def test_a_difference_too_small_to_notice_is_not_significant() -> None:
    """With many users any tap shows a similarity above 0; it must show one above 0.1, or below by as much."""
    taps, expected = np.tile([1.0, 0.0], 5000), np.tile([8.0, 12.0], 5000)
    assert p_of_difference(taps, expected, 0.0) == 1
    assert p_of_difference(taps, expected, 0.1) == 1
    assert p_of_difference(taps, expected, 0.3) < 1e-9
    assert p_of_difference(np.ones(5000), np.tile([3.0, 6.0], 2500), 0.0) < 1e-9
    assert p_of_difference(np.zeros(2), np.zeros(2), 0.0) == 1


def test_what_is_planted_is_found_and_nothing_else(tap_log: TapLog) -> None:
    """Vases for skirts. Of shorts and skirts with their looks and colours, taps say what the paths say."""
    judged = collect_slates(live(), tap_log, 0).judged
    leaves, questions = Leaves.of(judged), as_questions(tap_log)
    appeals = np.array([[looks(one.item, other) for other in one.candidates] for one in judged])
    (pair,) = learned_from(questions, leaves, appeals, {})
    assert (pair.item, pair.other, pair.current) == (SKIRTS, VASES, 0)
    assert pair.similarity == pytest.approx(0.9, abs=0.15)
    assert len(list(pairs_of(questions, leaves, appeals, {}))) == 6
    nothing = np.zeros(len(questions), bool)
    assert learned_from(questions[nothing], leaves[nothing], appeals[nothing], {}) == []


def test_a_similarity_in_use_is_corrected(tap_log: TapLog) -> None:
    """Vases beside shorts, which nobody wants, have 0.8; those beside skirts have what taps say."""
    judged = collect_slates(live(), tap_log, 0).judged
    appeals = np.array([[looks(one.item, other) for other in one.candidates] for one in judged])
    current = {SHORTS: {("Home",): 0.8}, SKIRTS: {VASES: 0.9}}
    (pair,) = learned_from(as_questions(tap_log), Leaves.of(judged), appeals, current)
    assert (pair.item, pair.other, pair.current) == (SHORTS, VASES, 0.8)
    assert pair.similarity == pytest.approx(0, abs=0.05)


def test_looks_are_not_taken_for_the_category(tap_log: TapLog) -> None:
    """If all items counted alike, a category whose items happen to have like photos would seem closer."""
    judged = collect_slates(live(), tap_log, 0).judged
    appeals = np.array([[looks(one.item, other) for other in one.candidates] for one in judged])

    def ratio(appeals: Floats) -> float:
        found = pairs_of(as_questions(tap_log), Leaves.of(judged), appeals, {})
        return next(
            pair.taps / pair.expected for pair in found if (pair.item, pair.other) == (SHORTS, SKIRTS)
        )

    assert ratio(np.ones(appeals.shape)) > ratio(appeals) + 0.05 > 0.67


def test_a_category_above_another_is_not_learned() -> None:
    """A similarity to it would hold for all below it."""
    count = 200
    others = np.tile([0, 1], (count, 1))
    questions, _ = slates(others.tolist(), [[1, 1]] * count)
    own, ones = np.zeros(count, int), np.ones(others.shape)
    assert learned_from(questions, Leaves((SKIRTS, ("Home",)), own, others), ones, {})
    assert not learned_from(questions, Leaves((SKIRTS, ("Home",), VASES), own, others), ones, {})


def as_questions(log: TapLog) -> Questions:
    """The slates of a log with nothing but their taps."""
    judged = collect_slates(live(), log, 0).judged
    grades = np.array([one.grades for one in judged])
    return make_questions(
        np.zeros(grades.shape),
        np.zeros((0, *grades.shape)),
        grades,
        importance=log.importance,
        cluster=log.slates.user,
    )


def test_cells_are_of_two_categories() -> None:
    """None is of the query item's own. An item of three times the appeal is expected to have as many taps."""
    questions, leaves = slates([[0, 1, 2]], [[1, 0, 1]])
    cells = cells_of(questions, leaves, np.array([[1.0, 1.0, 3.0]]))
    assert cells.other.tolist() == [1, 2]
    assert cells.taps.tolist() == [0, 0.25]
    assert cells.expected.tolist() == [0.5, 0.75]


def test_two_categories_far_behind_a_third_have_shares() -> None:
    """However steeply taps fall with the score, neither has an appeal of 0."""
    questions, leaves = slates([[0, 1, 2]] * 2, [[1, 1, 0]] * 2)
    scores = np.array([[-2.0, -2.0, 1.0], [0.5, 0.0, 1.0]])
    among = np.array([[False] * 3, [True, True, False]])
    appeals = appeal(scores, np.array([[0.0, 0, 0], [1, 0, 0]]), np.ones(2), among)
    assert 0 < appeals[0, 0] < 1e-200
    cells = cells_of(questions, leaves, appeals)
    assert cells.taps[0] == cells.expected[0] == 0.5
    assert np.isfinite(cells.taps).all()

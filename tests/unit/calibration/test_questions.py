"""Judged items as arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calibration.documents import Live
from calibration.judged import Judged, collect
from calibration.questions import fitted_terms, questions_of
from query.search.ranking import Ranking
from tests.factories import make_document, make_identity
from tests.unit.calibration.arrays import make_questions
from tests.unit.calibration.index import reader_of


def test_ndcg_by_hand() -> None:
    """Grades 2 and 1 in the second and third place of three; a short list is not padded with grades."""
    cosines = np.array([[0.9, 0.8, 0.7], [0.9, 0.8, -np.inf]])
    questions = make_questions(cosines, np.zeros((1, 2, 3)), np.array([[0, 2, 1], [1, 0, 0]], float))
    best = 2 + 1 / math.log2(3)
    expected = (2 / math.log2(3) + 1 / 2) / best
    assert questions.ndcg(questions.scores(np.zeros(1))).tolist() == pytest.approx([expected, 1])


def test_only_judgments_of_the_live_index_count() -> None:
    """Unknown ids, listings without a vector and items with one grade only are counted."""
    documents = [make_document(item_id=name) for name in ("a", "b", "c")]
    live = Live(reader_of(*documents, make_document(item_id="bare", vector=None)), "x", make_identity())
    found = collect(
        live, {"a": {"b": 1, "c": 0, "gone": 1}, "b": {"a": 1, "c": 1}, "bare": {"a": 1}, "lost": {"a": 0}}
    )
    assert [each.item.item_id for each in found.judged] == ["a"]
    assert (found.unknown, found.without_vector, found.undecided, found.pairs) == (2, 1, 1, 2)


def test_terms_are_those_of_the_ranking() -> None:
    """Per unit of weight, in spreads of 0.1; those that are not fitted have their current weight."""
    item = make_document(item_id="a", attributes={"colour": "Red", "gender": "Women"})
    same = make_document(item_id="b", attributes={"colour": "Red", "gender": "Women"}, price=1290)
    other = make_document(item_id="c", category=["Home", "Vases"], attributes={}, price=2580)
    live = Live(reader_of(item, same, other), "x", make_identity())
    judged = [Judged(item, [same, other], [1, 0])]
    questions = questions_of(judged, live, Ranking(), ["category"])
    values = dict(zip(fitted_terms(["category"]), questions.values[:, 0].tolist(), strict=True))
    assert values["colour"] == values["gender"] == pytest.approx([0.1, 0])
    assert values["price"] == pytest.approx([0.1, 0.1 / 16])
    assert questions.fixed[0].tolist() == pytest.approx([0.8, 0], abs=1e-5)
    assert questions.cosines[0].tolist() == pytest.approx([1, 1])

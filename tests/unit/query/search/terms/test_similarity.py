"""The similarity term: cosines of stored vectors."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from query.search.terms.similarity import Similarity
from query.search.terms.term import Columns
from tests.factories import make_document


def cosine(vector: list[float], other: list[float]) -> float:
    """The term for two vectors."""
    asked, found = (Columns.of([make_document(vector=tuple(each))]) for each in (vector, other))
    return float(Similarity().values(asked, found, 1.0)[0, 0])


@given(st.lists(st.floats(-1, 1, width=32), min_size=8, max_size=8), st.floats(0.5, 2))
def test_a_cosine_is_never_above_one(values: list[float], length: float) -> None:
    """Nor below 1 for a vector and itself, whatever its length."""
    assume(math.hypot(*values) > 0.01)
    assert cosine(values, [length * value for value in values]) == pytest.approx(1, abs=1e-9)
    assert cosine(values, [length * value for value in values]) <= 1
    assert cosine(values, [-value for value in values]) == pytest.approx(-1, abs=1e-9)


def test_a_cosine_is_worked_out() -> None:
    """By hand."""
    assert cosine([0.6, 0.8], [1.0, 0.0]) == pytest.approx(0.6)
    assert cosine([0.6, 0.8], [-0.8, 0.6]) == pytest.approx(0)
    assert cosine([3.0, 4.0], [30.0, 40.0]) == 1


def test_elasticsearch_needs_no_function_for_it() -> None:
    """The knn clause scores it."""
    assert Similarity().functions(make_document(), 1.0) == []

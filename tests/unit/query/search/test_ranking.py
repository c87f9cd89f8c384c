"""Scores as sums of the ranking terms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from query.search.ranking import DEFAULT_WEIGHTS, Calibration, UnknownTerm, term_values, weights_with
from query.search.terms import TERMS
from query.search.terms.term import Columns
from tests.factories import make_calibration, make_document, make_identity

ITEM = make_document(price=1000, vector=(0.6, 0.8))
OTHERS = [
    make_document(item_id="same", price=1000, vector=(0.6, 0.8)),
    make_document(
        item_id="near", price=1500, category=("Apparel", "Bottomwear", "Shorts"), vector=(1.0, 0.0)
    ),
    make_document(item_id="far", price=400, category=("Home",), vector=(-0.8, 0.6)),
]
CALIBRATION = make_calibration(category=0.06, price=0.02)


def test_weights_are_in_units_of_the_encoders_spread() -> None:
    """An encoder whose cosines lie twice as close together gets weights half as large."""
    wide = Calibration.of(make_identity(similarity_spread=0.08)).weights
    narrow = Calibration.of(make_identity(similarity_spread=0.04)).weights
    for term in TERMS:
        assert wide[term.name] == pytest.approx(term.weight * (0.08 if term.adjustable else 1))
        assert narrow[term.name] == pytest.approx(term.weight * (0.04 if term.adjustable else 1))


def test_each_term_is_a_value_of_its_own() -> None:
    """Worked out by hand: cosines, thirds of 0.06, and 2^-(distance / 0.5)² of 0.02."""
    same, near, far = (
        {name: terms[name] for name in ("similarity", "category", "price")}
        for terms in term_values(CALIBRATION, ITEM, OTHERS, with_vector=True)
    )
    assert same == pytest.approx({"similarity": 1.0, "category": 0.06, "price": 0.02})
    assert near == pytest.approx({"similarity": 0.6, "category": 0.04, "price": 0.01})
    assert far == pytest.approx({"similarity": 0.0, "category": 0.0, "price": 0.02 * 2**-1.44}, abs=1e-6)


def test_scores_are_the_sums_of_the_terms() -> None:
    """Whether they are computed for one item or for many at once."""
    columns = Columns.of([ITEM, *OTHERS])
    values = CALIBRATION.values(columns, columns)
    assert list(values) == [term.name for term in TERMS]
    assert CALIBRATION.scores(columns, columns) == pytest.approx(sum(values.values()))
    one = term_values(CALIBRATION, ITEM, OTHERS, with_vector=True)
    assert CALIBRATION.scores(columns, columns)[0, 1:] == pytest.approx(
        [sum(terms.values()) for terms in one], abs=2e-6
    )


def test_values_are_as_precise_as_the_vectors() -> None:
    """Large catalogues are scored in float32."""
    columns = Columns.of([ITEM, *OTHERS])
    half = replace(columns, vectors=columns.vectors.astype(np.float32))
    assert CALIBRATION.scores(half, half).dtype == np.float32
    assert CALIBRATION.scores(half, half) == pytest.approx(CALIBRATION.scores(columns, columns), abs=1e-6)


def test_without_a_vector_category_and_attributes_count() -> None:
    """Neither similarity nor price ranks a fallback."""
    bare = ITEM.model_copy(update={"vector": None})
    assert term_values(CALIBRATION, bare, OTHERS[:1], with_vector=False) == [
        {"category": 0.06, "gender": 0.0, "colour": 0.0, "brand": 0.0}
    ]
    assert [list(clause) for clause in CALIBRATION.functions(bare, with_vector=False)] == [
        ["filter", "weight"]
    ] * 3


def test_an_answer_may_be_empty() -> None:
    """Nothing for sale is like it."""
    assert term_values(CALIBRATION, ITEM, [], with_vector=True) == []


def test_facts_of_all_terms_are_together() -> None:
    """What an explanation shows beside the values; terms without a weight add nothing."""
    weighed = make_calibration(category=1, price=1, colour=1)
    assert weighed.facts(ITEM, OTHERS[1]) == {
        "shared_depth": 2,
        "price_ratio": 1.5,
        "same_colour": 1,
    }


def test_chosen_weights_replace_the_defaults() -> None:
    """Names that are no terms, and the weight of similarity, are refused."""
    assert weights_with({"price": 1}) == {**DEFAULT_WEIGHTS, "price": 1}
    for name in ("freshnes", "similarity"):
        with pytest.raises(UnknownTerm, match=f"`{name}`; the ranking terms are category, price"):
            weights_with({name: 1})

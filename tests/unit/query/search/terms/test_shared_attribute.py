"""Terms of shared attributes."""

from __future__ import annotations

from typing import Any

import pytest

from query.search.terms.brand import Brand
from query.search.terms.gender import Gender
from query.search.terms.term import Columns
from tests.factories import make_document


def term(own: dict[str, Any], other: dict[str, Any], weight: float = 0.3) -> float:
    """The gender term of two listings with these attributes."""
    asked, found = (Columns.of([make_document(attributes=each)]) for each in (own, other))
    return float(Gender().values(asked, found, weight)[0, 0])


@pytest.mark.parametrize(
    ("own", "other", "value"),
    [
        ({"gender": "Women"}, {"gender": "Women"}, 0.3),
        ({"gender": "Women"}, {"gender": "Men"}, 0.0),
        ({"gender": "Women"}, {}, 0.0),
        ({}, {}, 0.0),  # two without the attribute share nothing
        ({"gender": True}, {"gender": True}, 0.0),  # only text is compared
        ({"gender": ["Women", "Girls"]}, {"gender": ["Men", "Girls"]}, 0.3),
        ({"gender": ["Women", "Girls"]}, {"gender": "Women"}, 0.3),
        ({"gender": "Women"}, {"gender": ["Men", "Women"]}, 0.3),
        ({"gender": ["Women", "Girls"]}, {"gender": ["Men", "Boys"]}, 0.0),
        ({"gender": ["Women", "Girls"]}, {}, 0.0),
    ],
)
def test_the_weight_is_for_the_same_text(own: dict[str, Any], other: dict[str, Any], value: float) -> None:
    """Nothing for another value or none."""
    assert term(own, other) == value


def test_elasticsearch_is_asked_for_the_same() -> None:
    """One function for an item that has the attribute, none without it or without a weight."""
    item = make_document(attributes={"gender": "Women"})
    assert Gender().functions(item, 0.3) == [
        {"filter": {"term": {"attributes.gender": {"value": "Women", "_name": "gender"}}}, "weight": 0.3}
    ]
    several = make_document(attributes={"gender": ["Women", "Girls"]})
    assert Gender().functions(several, 0.3) == [
        {"filter": {"terms": {"attributes.gender": ["Women", "Girls"], "_name": "gender"}}, "weight": 0.3}
    ]
    assert Gender().functions(make_document(attributes={}), 0.3) == []
    assert Brand().functions(make_document(attributes={"brand": "Puma"}), 0.0) == []


def test_an_explanation_names_what_is_shared() -> None:
    """As 1 or 0; nothing for an item without the attribute."""
    item = make_document(attributes={"gender": "Women"})
    assert Gender().facts(item, item) == {"same_gender": 1}
    assert Gender().facts(item, make_document(attributes={"gender": "Men"})) == {"same_gender": 0}
    assert Gender().facts(make_document(attributes={}), item) == {}

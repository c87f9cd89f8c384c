"""The popularity term, by numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from query.search.terms.popularity import Popularity
from query.search.terms.term import Columns
from tests.factories import make_document

ITEM = make_document()


@pytest.mark.parametrize(
    ("popularity", "value"),
    [
        (None, 0.0),
        (0, 0.0),
        (9, 0.01),  # ln 10 of ln 100: half of the weight
        (99, 0.02),
        (1e12, 0.02),  # never more than the whole weight
    ],
)
def test_the_logarithm_of_the_popularity_counts_up_to_the_full_one(
    popularity: float | None, value: float
) -> None:
    """Whatever the popularity of the item itself."""
    found = Columns.of([make_document(popularity=popularity)])
    values = Popularity(full=99).values(Columns.of([ITEM, ITEM]), found, 0.02)
    assert values[:, 0] == pytest.approx([value, value])


def test_elasticsearch_decays_below_the_full_popularity() -> None:
    """Only where a document has one; without a weight nothing is sent."""
    top = math.log(100)
    assert Popularity(full=99).functions(ITEM, 0.02) == [
        {
            "filter": {"exists": {"field": "popularity_log"}},
            "linear": {
                "popularity_log": {
                    "origin": pytest.approx(top + 100),
                    "offset": 100.0,
                    "scale": pytest.approx(top / 2),
                    "decay": 0.5,
                }
            },
            "weight": 0.02,
        }
    ]
    assert Popularity().functions(ITEM, 0.0) == []


def test_the_popularity_explains_the_value() -> None:
    """Where there is one."""
    assert Popularity().facts(ITEM, make_document(popularity=7)) == {"popularity": 7}
    assert Popularity().facts(ITEM, ITEM) == {}


def test_columns_without_popularities_have_none() -> None:
    """Those of catalogues that do not know them."""
    bare = Columns.of([ITEM])
    bare = Columns(bare.vectors, bare.categories, bare.category, bare.price, bare.created)[0:1]
    assert Popularity().values(bare, bare, 0.02).tolist() == [[0.0]]

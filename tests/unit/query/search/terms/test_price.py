"""The price term, by numbers worked out by hand."""

from __future__ import annotations

import pytest

from query.search.terms.price import Price
from query.search.terms.term import Columns
from tests.factories import make_document


def price_term(price: float | None, candidate: float) -> float:
    """The term for two prices, with a weight of 0.02."""
    asked, found = (Columns.of([make_document(price=each)]) for each in (price, candidate))
    return float(Price().values(asked, found, 0.02)[0, 0])


@pytest.mark.parametrize(
    ("candidate", "term"),
    [
        (1000, 0.02),  # the own price: the whole weight
        (1500, 0.01),  # half as much more: half of it
        (500, 0.01),  # half as much less: half of it
        (2000, 0.00125),  # twice the distance: 2 ** -4 of it
        (1250, 0.0168179),  # half the distance: 2 ** -0.25 of it
    ],
)
def test_price_term_falls_with_distance(candidate: float, term: float) -> None:
    """A Gaussian around the own price of 1,000, half of it left at 500 to either side."""
    assert price_term(1000, candidate) == pytest.approx(term, abs=1e-7)


def test_a_price_far_off_adds_nothing_and_overflows_nothing() -> None:
    """A yen against a trillion."""
    assert price_term(1, 1e12) == 0


@pytest.mark.parametrize("price", [0, None])
def test_an_item_without_a_price_is_near_none(price: float | None) -> None:
    """In Python and in Elasticsearch; an explanation has no ratio."""
    item = make_document(price=price)
    assert price_term(price, 1290) == 0
    assert Price().functions(item, 0.02) == Price().functions(item, 0.0)
    assert Price().facts(item, make_document(price=1290)) == {}


def test_elasticsearch_decays_alike() -> None:
    """Half the weight at half the price; a weight of 0 still matches, so that the sum stays one."""
    (function,) = Price().functions(make_document(price=1290), 0.02)
    assert function == {"gauss": {"price": {"origin": 1290.0, "scale": 645.0, "decay": 0.5}}, "weight": 0.02}
    assert 0 < Price().functions(make_document(price=1290), 0.0)[0]["weight"] < 1e-6

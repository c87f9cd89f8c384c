"""Answers of the real index against exact ones by code that shares nothing with the service."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elasticsearch import Elasticsearch

from bench.catalogue import loaded, synthetic_catalogue
from bench.query import SIZE, Compared, Oracle, in_turns, one_search, sampled
from mappings.creation import IndexOptions
from mappings.listing import Status

COUNT = 3000


@pytest.mark.parametrize("shards", [1, 3, 5])
def test_answers_are_those_of_an_exact_search(es: Elasticsearch, index_prefix: str, shards: int) -> None:
    """Hundreds of random items: nearly all of the exact answer, and full wherever that is full."""
    catalogue = synthetic_catalogue(COUNT, dims=32)
    oracle = Oracle(catalogue.listings, catalogue.vectors, catalogue.encoder)
    items = sampled(catalogue, 150)
    exact = [oracle.answer(item_id) for item_id in items]
    with loaded(es, index_prefix, catalogue, IndexOptions(shards=shards)):
        row = in_turns([Compared("nitamono", one_search(es, index_prefix), exact)], items)[0]
    assert row.full == 1.0
    assert row.overlap >= 0.98


def test_a_sparse_market_is_answered_as_fully_as_it_can_be(es: Elasticsearch, index_prefix: str) -> None:
    """Few for sale at prices far apart: bands are widened, some in vain; each answer is the exact one."""
    catalogue = synthetic_catalogue(COUNT, dims=32)
    rng = np.random.default_rng(3)
    listings = [
        listing.model_copy(
            update={
                "status": listing.status if rng.random() < 0.02 else Status.SOLD_OUT,
                "price": float(round(10 ** rng.uniform(1, 6))),
            }
        )
        for listing in catalogue.listings
    ]
    catalogue = replace(catalogue, listings=listings)
    oracle = Oracle(listings, catalogue.vectors, catalogue.encoder)
    items = sampled(catalogue, 60)
    exact = [oracle.answer(item_id) for item_id in items]
    assert {len(best) == SIZE for best in exact} == {True, False}
    with loaded(es, index_prefix, catalogue, IndexOptions()):
        answer = one_search(es, index_prefix)
        assert [set(answer(item_id)) for item_id in items] == [set(best) for best in exact]


def test_equal_scores_are_in_the_order_of_the_exact_answer(es: Elasticsearch, index_prefix: str) -> None:
    """Forty pictures, each relisted by many at one price: ties everywhere, and no other order."""
    catalogue = synthetic_catalogue(COUNT, dims=32)
    vectors = catalogue.vectors[np.arange(COUNT) % 40]
    listings = [
        listing.model_copy(update={"price": 1000.0, "category": (f"a{number % 40}",)})
        for number, listing in enumerate(catalogue.listings)
    ]
    catalogue = replace(catalogue, listings=listings, vectors=vectors)
    oracle = Oracle(listings, vectors, catalogue.encoder)
    items = sampled(catalogue, 40)
    with loaded(es, index_prefix, catalogue, IndexOptions()):
        answer = one_search(es, index_prefix)
        assert [answer(item_id) for item_id in items] == [oracle.answer(item_id) for item_id in items]

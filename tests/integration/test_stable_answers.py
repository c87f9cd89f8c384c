"""Answers that stay as they are: ties, refreshes, and the cosine that is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch, helpers
from flask.testing import FlaskClient
from numpy.typing import NDArray

from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import VECTOR_INDEX_TYPES, IndexOptions, create_index
from query.api.app import create_app
from query.api.settings import QuerySettings
from query.search.builder import SimilarQuery, similar_body
from query.search.price_band import price_band
from query.search.ranking import Calibration
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.result_policy import NO_RULES
from tests.factories import make_identity, make_listing

DIMS = 64


def unit_vectors(count: int, seed: int = 5) -> NDArray[np.float32]:
    """Random unit vectors, (count, DIMS), about as alike as pictures: cosines around 0.6."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal(DIMS) + 0.8 * rng.standard_normal((count, DIMS))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


class Shop:
    """A live index and the API over it. Listings cost 1,000 yen and are skirts unless told otherwise."""

    def __init__(self, es: Elasticsearch, url: str, prefix: str, vector_index: str = "hnsw") -> None:
        self.es, self.prefix = es, prefix
        options = IndexOptions(vector_index=vector_index)
        self.index = create_index(es, prefix, make_identity(dims=DIMS), options=options)
        # No merge moves what a test has just put where it is.
        es.indices.put_settings(index=self.index, settings={"merge.policy.segments_per_tier": 100})
        swap_aliases(es, prefix, self.index)
        settings = QuerySettings(ElasticsearchSettings((url,), prefix=prefix))
        self.api: FlaskClient = create_app(settings, es).test_client()

    def store(self, vectors: dict[str, NDArray[np.float32]], **changes: Any) -> None:
        """Store listings under these ids with these vectors, as a segment of their own."""
        actions = []
        for item_id, vector in vectors.items():
            listing = make_listing(**{"item_id": item_id, "price": 1000, **changes})
            document = to_document(listing, EncodedPhoto(tuple(vector.tolist()), "0" * 16), "colour-00000001")
            actions.append({"_index": self.index, "_id": item_id, "_source": document.to_source()})
        helpers.bulk(self.es, actions, refresh=True)

    def items(self, item_id: str, **asked: Any) -> list[dict[str, Any]]:
        """The items of an answer."""
        answer = self.api.get(f"/v1/listings/{item_id}/similar", query_string={**NO_RULES, **asked})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json
        items: list[dict[str, Any]] = body["items"]
        return items

    def ids(self, item_id: str, **asked: Any) -> list[str]:
        """Their ids."""
        return [item["item_id"] for item in self.items(item_id, **asked)]

    def segments(self) -> int:
        """How many segments the index has."""
        return int(self.es.indices.stats(index=self.index)["_all"]["primaries"]["segments"]["count"])


@pytest.mark.parametrize("count", [30, 300])
def test_equal_vectors_keep_their_order(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str, count: int
) -> None:
    """By id, also after an update of some, which stores them anew behind the others."""
    shop = Shop(es, elasticsearch_url, index_prefix)
    (vector,) = unit_vectors(1)
    ids = [f"m{number:03}" for number in range(count)]
    shop.store(dict.fromkeys(reversed(ids), vector))
    expected = ids[1:25]
    assert shop.ids(ids[0]) == expected
    for changed in (ids[2:5], ids[10:13], ids[1:2]):
        shop.store(dict.fromkeys(changed, vector), title="A new title")
        assert shop.ids(ids[0]) == expected
    assert shop.ids(ids[0], size=100) == ids[1:101]
    explained = shop.items(ids[0], explain=1)
    assert [item["explanation"]["rank_by_similarity"] for item in explained] == list(range(1, 25))


def test_a_price_moves_its_own_item_alone(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str
) -> None:
    """Three of thirty cost more now, and so come last; the order of the others stays."""
    shop = Shop(es, elasticsearch_url, index_prefix)
    (vector,) = unit_vectors(1)
    ids = [f"m{number:02}" for number in range(30)]
    shop.store(dict.fromkeys(ids, vector))
    dearer = ids[3:6]
    shop.store(dict.fromkeys(dearer, vector), price=1300)
    assert shop.ids("m00", size=29) == [item_id for item_id in ids[1:] if item_id not in dearer] + dearer


def test_the_same_question_has_the_same_answer_over_twenty_refreshes(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str
) -> None:
    """Ten times after each, while segments are added and filters leave a graph search: nothing moves."""
    shop = Shop(es, elasticsearch_url, index_prefix)
    vectors = unit_vectors(2000)
    shop.store({f"m{number:04}": vector for number, vector in enumerate(vectors)})
    expected = shop.ids("m0000")
    assert len(expected) == 24
    for step, vector in enumerate(unit_vectors(20, seed=6)):
        # Updates without effect on the answer, and new listings of another currency.
        moved = {f"m{number:04}": vectors[number] for number in range(step * 90, step * 90 + 90)}
        shop.store(moved, title=f"Title {step}")
        shop.store({f"d{step}": vector}, currency="USD")
        assert [shop.ids("m0000") for _ in range(10)] == [expected] * 10, step
    assert shop.segments() > 10


@pytest.mark.parametrize("kind", VECTOR_INDEX_TYPES)
def test_the_similarity_is_the_cosine_of_the_stored_vectors(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str, kind: str
) -> None:
    """Whatever Elasticsearch makes of them to search; the score is the sum of its parts, best first."""
    shop = Shop(es, elasticsearch_url, index_prefix, kind)
    vectors = unit_vectors(300)
    vectors[1] = vectors[0]
    # As far from length 1 as Elasticsearch lets a vector be.
    vectors[2] = vectors[0] * 1.0004
    shop.store({f"m{number:03}": vector for number, vector in enumerate(vectors)})
    exact = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    items = shop.items("m000", explain=1, size=100)
    assert len(items) == 100
    for item in items:
        assert item["similarity"] == pytest.approx(exact[0] @ exact[int(item["item_id"][1:])], abs=1e-5)
        assert item["similarity"] <= 1
        total = sum(item["explanation"]["terms"].values())
        assert item["score"] == pytest.approx(total, abs=2e-6)
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)
    assert [item["item_id"] for item in items[:2]] == ["m001", "m002"]


def test_what_is_explained_is_what_elasticsearch_sorts_by(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str
) -> None:
    """Its own score of each hit, less the 1 that keeps it from being negative, is the sum of the terms."""
    shop = Shop(es, elasticsearch_url, index_prefix)
    vectors = unit_vectors(60)
    for number, vector in enumerate(vectors):
        category = ["Apparel", "Bottomwear", "Skirts"][: 1 + number % 3]
        shop.store({f"m{number:02}": vector}, price=700 + 20 * number, category=category)
    shown = {item["item_id"]: item["score"] for item in shop.items("m05", size=50)}
    reader = IndexReader(es, shop.prefix, 5)
    item = reader.find("m05", reader.deadline())
    identity = reader.identity(shop.index, reader.deadline())
    query = SimilarQuery(item.document, SimilarRequest(size=50), Calibration.of(identity))
    assert item.document.vector is not None
    body = similar_body(query, item.document.vector, price_band(item.document.price, 2.0))
    hits = es.search(index=shop.index, query=body["query"], size=51)["hits"]["hits"]
    scores = {hit["_id"]: hit["_score"] - 1 for hit in hits if hit["_id"] != "m05"}
    assert scores == pytest.approx(shown, abs=2e-6)

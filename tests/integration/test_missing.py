"""`explain_missing` on a real index: one listing for each reason."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem
from tests.integration.test_query import SHIRTS, SHORTS, Shop


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, elasticsearch_url: str) -> Shop:
    """A shop whose item is answered by `near-0` and then `near-1`, of two sellers."""
    shop = Shop(es, index_prefix, elasticsearch_url)
    shop.add("asked", picture(1), seller_id="asked")
    shop.add("near-0", picture(0.9), seller_id="s0")
    shop.add("near-1", picture(0.8), seller_id="s1")
    return shop


def picture(cosine: float, side: int = 1) -> EncodedPhoto:
    """A picture of this cosine with the item's; of two on opposite sides neither is like the other."""
    rest = side * (1 - cosine**2) ** 0.5
    return EncodedPhoto((cosine, rest, 0.0, 0.0), "0" * 16)


def missing(shop: Shop, item_id: str, **asked: Any) -> dict[str, Any]:
    """What an answer of at most two items, none below a similarity of 0.3, says of one."""
    rules = {"collapse_duplicates": True, "min_similarity": 0.3, "seller_cap": 3}
    asked = {"size": 2, "price_ratio": 10, "explain_missing": item_id, **rules, **asked}
    (found,) = shop.similar("asked", **asked)["missing"]
    assert found["item_id"] == item_id
    return dict(found)


@pytest.mark.parametrize(
    ("changes", "photo", "asked", "reason", "figures"),
    [
        ({"status": "reserved"}, picture(0.95), {}, "not_on_sale", {"status": "reserved"}),
        ({"currency": "USD"}, picture(0.95), {}, "other_currency", {"currency": "USD", "expected": "JPY"}),
        (
            {"price": 90000},
            picture(0.95),
            {},
            "out_of_band",
            {"price": 90000, "low": 86.74, "high": 11754.94},
        ),
        (
            {"category": SHIRTS},
            picture(0.95),
            {"category": "bottomwear"},
            "filtered",
            {
                "filter": "category",
                "kept": "Apparel > Bottomwear",
                "found": "Apparel > Topwear > Shirts",
            },
        ),
        (
            {"attributes": {"colour": "Blue"}},
            picture(0.95),
            {"attribute": "colour:red"},
            "filtered",
            {"filter": "attribute", "kept": "colour:Red", "found": "colour:Blue"},
        ),
        (
            {"seller_id": "s9"},
            picture(0.95),
            {"exclude_seller": "s9"},
            "filtered",
            {"filter": "exclude_seller", "kept": "not s9", "found": "s9"},
        ),
        ({}, PhotoProblem("photo_truncated", "…"), {}, "no_vector", {"photo_problem": "photo_truncated"}),
        ({}, None, {}, "no_vector", {"photo_problem": "not_encoded"}),
        ({}, picture(0.2), {}, "min_similarity", {"similarity": 0.2, "floor": 0.3}),
        ({}, picture(1), {}, "duplicate_of_item", {"similarity": 1}),
        ({"category": SHORTS}, picture(0.9), {}, "collapse_duplicates", {"by": "near-0"}),
        ({"category": SHORTS}, picture(0.5), {}, "outranked", {"similarity": 0.5, "rank": 3}),
        ({}, picture(0.95), {}, "shown", {"rank": 1}),
    ],
)
def test_each_reason_has_its_figures(
    shop: Shop,
    changes: dict[str, Any],
    photo: EncodedPhoto | PhotoProblem | None,
    asked: dict[str, Any],
    reason: str,
    figures: dict[str, Any],
) -> None:
    """What a shop would have to change for the item to be shown."""
    shop.add("x", photo, **{"seller_id": "x"} | changes)
    found = missing(shop, "x", **asked)
    assert found["reason"] == reason, found
    shared = {name: found["figures"].get(name) for name in figures}
    assert shared == pytest.approx(figures, abs=1e-5)
    assert found["message"].endswith(".")


def test_a_seller_has_no_more_than_the_cap(shop: Shop) -> None:
    """The third by rank, where two may be shown and another seller's fills the answer."""
    shop.add("x", picture(0.85), seller_id="s0")
    found = missing(shop, "x", seller_cap=1)
    assert (found["reason"], found["figures"]["cap"], found["figures"]["seller_id"]) == (
        "seller_cap",
        1,
        "s0",
    )


def test_an_item_that_is_not_there_and_the_item_itself(shop: Shop) -> None:
    """Each once, in the order of the request, however strange the id."""
    body = shop.similar("asked", explain_missing=["日本語/ id", "asked", "near-1", "asked"])
    reasons = [(each["item_id"], each["reason"]) for each in body["missing"]]
    assert reasons == [("日本語/ id", "unknown_item"), ("asked", "is_the_item"), ("near-1", "shown")]


def test_an_item_outside_the_window_is_compared_with_the_last_shown(shop: Shop) -> None:
    """By its score, from the vector that is stored."""
    for number in range(8):
        shop.add(f"between-{number}", picture(0.7 - number / 50), seller_id=f"b{number}")
    shop.add("x", picture(0.4), seller_id="x")
    found = missing(shop, "x")
    assert found["reason"] == "outranked"
    assert "rank" not in found["figures"]
    assert found["figures"]["similarity"] == pytest.approx(0.4, abs=1e-5)
    assert found["figures"]["score"] < found["figures"]["last_score"]
    assert missing(shop, "x", min_similarity=0.5)["reason"] == "min_similarity"


def test_a_listing_that_is_not_searchable_yet_was_not_reached(shop: Shop) -> None:
    """Its document is there, and the answer was searched without it."""
    shop.es.indices.put_settings(index=shop.index, settings={"refresh_interval": "-1"})
    source = shop.es.get(index=shop.index, id="near-0", source_exclude_vectors=False)["_source"]
    source |= {"item_id": "x", "seller_id": "x", "vector": list(picture(0.85, side=-1).vector)}
    shop.es.index(index=shop.index, id="x", document=source)
    found = missing(shop, "x")
    assert (found["reason"], found["figures"]["similarity"]) == ("not_reached", pytest.approx(0.85, abs=1e-5))


def test_a_fallback_explains_without_vectors(shop: Shop) -> None:
    """Its answer is by category and date, and has no floor."""
    shop.add("bare", None, seller_id="bare")
    shop.add("x", picture(0.1), seller_id="x", category=SHIRTS)
    (found,) = shop.similar("bare", size=2, explain_missing="x")["missing"]
    assert (found["reason"], "similarity" in found["figures"]) == ("outranked", False)


def test_nothing_is_said_of_items_that_were_not_asked_about(shop: Shop) -> None:
    """And at most five are."""
    assert shop.similar("asked")["missing"] == []
    many = [f"m{number}" for number in range(6)]
    answer = shop.api.get("/v1/listings/asked/similar", query_string={"explain_missing": many})
    assert "explain_missing_too_many" in answer.text


def test_the_shell_says_why_an_item_is_missing(shop: Shop) -> None:
    """A line above the table."""
    shop.add("x", picture(0.2))
    environ = {"ELASTICSEARCH_URL": shop.url, "NITAMONO_INDEX_PREFIX": shop.prefix}
    asked = ["similar", "asked", "--explain-missing", "x", "--explain-missing", "asked"]
    printed = CliRunner().invoke(main, asked, env=environ | {"NITAMONO_MIN_SIMILARITY": "0.3"}).output
    assert "x: Its similarity of 0.200 is below the floor of 0.300. (min_similarity)" in printed
    assert "asked: It is the item itself. (is_the_item)" in printed

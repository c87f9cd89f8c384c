"""What an answer says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from query.api.responses import fallback, photo_url, similar_answer
from query.search.builder import SimilarQuery
from query.search.hits import RankedHit
from query.search.policy import Rule, Selection
from query.search.price_band import ANY_PRICE, PriceBand
from query.search.reader import Found, RequestDeadline
from query.search.request import SimilarRequest
from query.search.similar import SimilarItems
from tests.factories import make_calibration, make_document, make_identity


def make_items(
    *hits: RankedHit,
    fallback_reason: str | None = None,
    by_similarity: tuple[str, ...] = (),
    removed: dict[str, Rule] | None = None,
    stands_for: dict[str, int] | None = None,
    **asked: Any,
) -> SimilarItems:
    """What was found for a skirt of 1,000 yen."""
    item = make_document(item_id="asked", price=1000)
    return SimilarItems(
        found=Found(item, "listings-colour-00000001-20260101000000"),
        query=SimilarQuery(
            item, SimilarRequest(**asked), make_calibration(category=0.06, price=0.02, colour=0.01)
        ),
        encoder=make_identity(),
        band=PriceBand(3.0, 25, 36),
        steps_widened=1,
        fallback_reason=fallback_reason,
        selection=Selection(hits, removed or {}, stands_for or {}),
        by_similarity=by_similarity,
        deadline=RequestDeadline(10, clock=lambda: 0.0),
    )


SAME_KIND = RankedHit(
    make_document(item_id="same", price=1000),
    {"similarity": 0.50, "category": 0.06, "price": 0.02},
    matched=("category:1",),
)
OTHER_KIND = RankedHit(
    make_document(item_id="other", price=1500, category=["Home"]),
    {"similarity": 0.55, "category": 0.0, "price": 0.01},
)


def test_an_explanation_adds_up() -> None:
    """The terms give the score; the ranks tell what the re-rank did."""
    answer = similar_answer(make_items(SAME_KIND, OTHER_KIND, explain=True, by_similarity=("other", "same")))
    same, other = (item.explanation for item in answer.items)
    assert same is not None
    assert other is not None
    assert same.terms == {"similarity": 0.5, "category": 0.06, "price": 0.02}
    assert (same.facts, same.matched_queries) == (
        {"shared_depth": 3, "price_ratio": 1.0, "same_colour": 1},
        ("category:1",),
    )
    assert (same.rank_by_similarity, same.rank) == (2, 1)
    assert other.terms == {"similarity": 0.55, "category": 0.0, "price": 0.01}
    assert other.facts == {"shared_depth": 0, "price_ratio": 1.5, "same_colour": 1}
    assert (other.rank_by_similarity, other.rank) == (1, 2)
    assert (same.photo, other.photo) == (None, None), "the index has one photo of a listing"
    assert [item.score for item in answer.items] == [0.58, 0.56]


def test_similarity_is_told_without_being_asked() -> None:
    """The explanation is not."""
    (item,) = similar_answer(make_items(SAME_KIND)).items
    assert item.similarity == 0.5
    assert item.explanation is None


def test_ranks_count_the_whole_window_and_the_answer_does_not() -> None:
    """One item is shown; that it would be third by the picture is known from those that are not."""
    answer = similar_answer(
        make_items(SAME_KIND, explain=True, size=1, by_similarity=("other", "another", "same"))
    )
    (item,) = answer.items
    assert item.explanation is not None
    assert item.explanation.rank_by_similarity == 3


def test_a_fallback_claims_no_similarity() -> None:
    """What was not compared has no cosine, no price term and no rank by it."""
    hit = RankedHit(SAME_KIND.document, {"category": 0.06}, matched=("category:1",))
    answer = similar_answer(make_items(hit, fallback_reason="photo_truncated", explain=True))
    (item,) = answer.items
    assert item.similarity is None
    assert item.score == 0.06
    assert item.explanation is not None
    assert item.explanation.rank_by_similarity is None
    assert item.explanation.terms == {"category": 0.06}
    assert answer.fallback is not None
    assert answer.fallback.reason == "photo_truncated"


def test_the_band_says_what_was_asked_and_what_was_done() -> None:
    """Ratio, bounds, currency and steps."""
    answer = similar_answer(make_items(price_ratio=2.0))
    assert answer.no_band is None
    assert answer.band is not None
    assert answer.band.model_dump() == {
        "requested_ratio": 2.0,
        "applied_ratio": 3.0,
        "low": pytest.approx(264.70, abs=0.01),  # 1.25 ** 25
        "high": pytest.approx(3851.86, abs=0.01),  # 1.25 ** 37
        "currency": "JPY",
        "steps_widened": 1,
    }


@pytest.mark.parametrize(("price", "words"), [(0, "The item is free"), (None, "The item has no price")])
def test_an_answer_without_a_band_says_so(price: int | None, words: str) -> None:
    """And no filter on the price is named."""
    items = make_items()
    item = make_document(item_id="asked", price=price)
    answer = similar_answer(replace(items, query=replace(items.query, item=item), band=ANY_PRICE))
    assert answer.band is None
    assert answer.no_band == f"{words}, so items of every price in JPY are shown."
    assert "price" not in {part.field for part in answer.filters}
    assert answer.short is not None
    assert "times the price" not in answer.short


def test_an_answer_says_what_each_rule_removed() -> None:
    """Every rule is listed, with 0 where it removed nothing."""
    removed = {"a": Rule.MIN_SIMILARITY, "b": Rule.SELLER_CAP, "c": Rule.SELLER_CAP}
    answer = similar_answer(make_items(SAME_KIND, removed=removed, stands_for={"same": 2}))
    assert answer.removed == {
        "min_similarity": 1,
        "duplicate_of_item": 0,
        "collapse_duplicates": 0,
        "seller_cap": 2,
    }
    assert answer.items[0].stands_for == 2
    assert answer.short is not None
    assert answer.short.startswith("1 of 24: no other listing for sale passes the filters")
    assert "(removed: 1 by min_similarity, 2 by seller_cap)" in answer.short


def test_a_full_answer_is_not_short() -> None:
    """Whatever was removed on the way."""
    assert similar_answer(make_items(SAME_KIND, size=1, removed={"a": Rule.SELLER_CAP})).short is None


def test_every_filter_is_named() -> None:
    """Those that always hold, and those that were asked for."""
    items = make_items(category="Apparel", attribute=("colour:Red",), exclude_seller=("s9",))
    filters = {(part.field, part.kept) for part in similar_answer(items).filters}
    assert filters == {
        ("status", "on_sale"),
        ("currency", "JPY"),
        ("price", "264.70 to 3851.86"),
        ("item_id", "any other"),
        ("category", "below Apparel"),
        ("attribute", "colour:Red"),
        ("exclude_seller", "not s9"),
    }


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("removed", "was removed"),
        ("not_encoded", "not been encoded yet"),
        ("photo_truncated", "photo_truncated"),
    ],
)
def test_a_fallback_is_told_in_words(reason: str, words: str) -> None:
    """A sentence beside the code."""
    told = fallback(reason)
    assert told is not None
    assert words in told.message
    assert fallback(None) is None


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("images/m1.jpg", "/photos/m1/0"),
        ("/srv/photos/m1.jpg", "/photos/m1/0"),
        ("https://example.com/m1.jpg", "https://example.com/m1.jpg"),
        ("HTTP://example.com/m1.jpg", "HTTP://example.com/m1.jpg"),
        ("javascript:alert(1)", "/photos/m1/0"),
    ],
)
def test_only_http_references_are_linked_directly(reference: str, url: str) -> None:
    """Whatever else a listing says, a browser is sent to this server."""
    assert photo_url("m1", 0, reference) == url

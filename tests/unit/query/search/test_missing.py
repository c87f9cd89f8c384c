"""Why an item is not in an answer: what is worked out from its document alone."""

from __future__ import annotations

from typing import Any

import pytest

from query.search.builder import SimilarQuery
from query.search.hits import RankedHit
from query.search.missing import Missing, Reason, explain_missing, unmet_filters
from query.search.policy import Rule, Selection, Window
from query.search.price_band import price_band
from query.search.reader import Found, RequestDeadline
from query.search.request import SimilarRequest
from query.search.result_policy import ResultPolicy
from query.search.similar import SimilarItems, fallback_reason
from tests.factories import make_calibration, make_document, make_identity

PHOTO = (0.6, 0.8, 0.0, 0.0)


def photo_of(cosine: float) -> tuple[float, ...]:
    """A vector whose cosine with that of the item asked about is `cosine`."""
    return (0.0, 0.0, (1 - cosine**2) ** 0.5, cosine)


def reason_for(
    *,
    item: dict[str, Any] | None = None,
    candidates: tuple[RankedHit, ...] = (),
    removed: dict[str, Rule] | None = None,
    shown: int = 0,
    policy: ResultPolicy | None = None,
    floor: float = 0.0,
    size: int = 24,
    **document: Any,
) -> Missing:
    """The reason for a listing like the default one, in an answer of the first `shown` of the candidates."""
    asked = make_document(**{"item_id": "asked", "vector": (0.0, 0.0, 0.0, 1.0), **(item or {})})
    window = Window(candidates, policy or ResultPolicy(), floor)
    known = None if document.get("unknown") else make_document(**{"item_id": "x", **document})
    found = SimilarItems(
        found=Found(asked, "index"),
        query=SimilarQuery(asked, SimilarRequest(size=size), make_calibration()),
        encoder=make_identity(),
        band=price_band(asked.price, 2.0),
        steps_widened=0,
        fallback_reason=fallback_reason(asked),
        selection=Selection(candidates[:shown], removed or {}, window=window),
        by_similarity=(),
        deadline=RequestDeadline(10, clock=lambda: 0.0),
        asked_about={known.item_id if known else "x": known},
    )
    (reason,) = explain_missing(found)
    return reason


def candidate(item_id: str, similarity: float, **changes: Any) -> RankedHit:
    """A candidate of this similarity."""
    vector = photo_of(similarity)
    document = make_document(**{"item_id": item_id, "seller_id": f"of-{item_id}", "vector": vector} | changes)
    return RankedHit(document, {"similarity": similarity}, None)


@pytest.mark.parametrize(
    ("document", "reason", "figures"),
    [
        ({"unknown": True}, "unknown_item", {}),
        ({"item_id": "asked"}, "is_the_item", {}),
        ({"status": "reserved"}, "not_on_sale", {"status": "reserved"}),
        ({"currency": "USD"}, "other_currency", {"currency": "USD", "expected": "JPY"}),
        ({"price": 9000}, "out_of_band", {"price": 9000, "low": 516.99, "high": 3081.49}),
        ({"price": None}, "out_of_band", {"low": 516.99, "high": 3081.49}),
        ({"vector": None}, "no_vector", {"photo_problem": "not_encoded"}),
    ],
)
def test_what_a_document_says(document: dict[str, Any], reason: str, figures: dict[str, Any]) -> None:
    """Before any score."""
    found = reason_for(**document)
    assert (found.reason, found.figures) == (reason, figures)


def test_the_first_reason_is_given() -> None:
    """A sold item at another price was sold."""
    assert reason_for(status="sold_out", price=9000).reason is Reason.NOT_ON_SALE


def test_an_item_outside_the_window_is_put_to_the_rules() -> None:
    """The floor, its score against the last shown, and a better one that the search did not return."""
    shown = (candidate("a", 0.9), candidate("b", 0.8))
    below = reason_for(candidates=shown, shown=2, size=2, floor=0.7, vector=photo_of(0.6))
    assert (below.reason, below.figures) == ("min_similarity", {"similarity": 0.6, "floor": 0.7})
    worse = reason_for(candidates=shown, shown=2, size=2, vector=photo_of(0.6))
    assert worse.reason is Reason.OUTRANKED
    assert worse.figures == {"score": 0.6, "last_score": 0.8, "similarity": 0.6}
    better = reason_for(candidates=shown, shown=2, size=2, vector=photo_of(0.85))
    assert better.reason is Reason.NOT_REACHED
    assert better.figures["score"] == 0.85


def test_an_outranked_candidate_has_a_rank() -> None:
    """Among all that the rules chose from."""
    found = reason_for(
        candidates=(candidate("a", 0.9), candidate("b", 0.8), candidate("x", 0.7)), shown=2, size=2
    )
    assert found.figures == {"score": 0.7, "last_score": 0.8, "similarity": 0.7, "rank": 3, "candidates": 3}
    assert found.message == "Its score of 0.700 is rank 3 of 3; the last item shown has 0.800."


def test_an_item_without_a_photo_compares_no_vectors() -> None:
    """A listing without one is no less an answer, and the floor holds nothing back."""
    first = RankedHit(make_document(item_id="a", vector=None), {"category": 0.2})
    found = reason_for(
        item={"vector": None}, candidates=(first,), shown=1, size=1, floor=0.7, vector=None, seller_id="s2"
    )
    assert (found.reason, found.figures) == ("outranked", {"score": 0.0, "last_score": 0.2})


@pytest.mark.parametrize(
    ("asked", "unmet"),
    [
        ({"category": "Apparel > Bottomwear"}, []),
        ({"category": "Home"}, [("category", "Home", "Apparel > Bottomwear > Skirts")]),
        ({"attribute": ("colour:Red", "new:true", "width:1.5", "length:10", "waist:1.0")}, []),
        ({"attribute": ("colour:Blue",)}, [("attribute", "colour:Blue", "colour:Red")]),
        ({"attribute": ("size:M",)}, [("attribute", "size:M", "no size")]),
        ({"attribute": ("material:Wool",)}, []),
        (
            {"attribute": ("material:Silk",)},
            [("attribute", "material:Silk", "material:Wool, material:Linen")],
        ),
        ({"attribute": ("colour:RED",), "spellings": {"colour:RED": ("colour:RED", "colour:Red")}}, []),
        ({"exclude_seller": ("s1",)}, [("exclude_seller", "not s1", "s1")]),
    ],
)
def test_filters_hold_as_elasticsearch_has_them(asked: dict[str, Any], unmet: list[Any]) -> None:
    """Values of attributes are compared as the text by which they are indexed."""
    attributes: dict[str, Any] = {"colour": "Red", "new": True, "width": 1.5, "length": 10, "waist": 1.0}
    attributes |= {"material": ["Wool", "Linen"]}
    document = make_document(attributes=attributes)
    assert list(unmet_filters(SimilarRequest(**asked), document)) == unmet

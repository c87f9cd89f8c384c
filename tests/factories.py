"""Test data with defaults: name only what a test is about."""

from __future__ import annotations

from datetime import date
from typing import Any

from experiments.assignment.definition import Experiment
from mappings.identity import EncoderIdentity
from mappings.listing import Listing, ListingDocument, parse_listing
from query.search.ranking import Calibration
from query.search.terms import TERMS

# Most of them Python reads as numbers.
NO_NUMBERS = [
    "1_0",
    "+5",
    " 5",
    "5 ",
    "5\n",
    "５",
    "٥",
    "1e1",
    "nan",
    "inf",
    "-5",
    "",
    "0x5",
    "5,0",
    "9" * 5000,
]


def make_event(**changes: Any) -> dict[str, Any]:
    """A valid listing event as JSON values, with `changes` over the defaults."""
    return {
        "item_id": "m1",
        "title": "Red wool skirt",
        "category": ["Apparel", "Bottomwear", "Skirts"],
        "price": 1290,
        "currency": "JPY",
        "seller_id": "s1",
        "status": "on_sale",
        "created_at": "2026-01-01T09:00:00Z",
        "updated_at": "2026-01-02T09:00:00Z",
        "images": ["images/m1.jpg"],
        "attributes": {"colour": "Red"},
    } | changes


def make_listing(**changes: Any) -> Listing:
    """A valid listing, with `changes` over the defaults."""
    return parse_listing(make_event(**changes))


def make_document(
    *, vector: tuple[float, ...] | None = (0.6, 0.8, 0.0, 0.0), **changes: Any
) -> ListingDocument:
    """The stored document of a valid listing, with `changes` over the listing's defaults."""
    listing = make_listing(**changes)
    return ListingDocument(
        **dict(listing),
        image_fingerprint=None,
        image_hash=None,
        photo_problem=None,
        encoder_id="colour-00000001",
        indexed_at=listing.updated_at,
        vector=vector,
    )


def make_identity(**changes: Any) -> EncoderIdentity:
    """An encoder's identity, with `changes` over the defaults."""
    defaults: dict[str, Any] = {
        "encoder_id": "colour-00000001",
        "dims": 4,
        "similarity_mean": 0.6,
        "similarity_spread": 0.1,
    }
    return EncoderIdentity(**(defaults | changes))


def make_calibration(**weights: float) -> Calibration:
    """Weights on the scale of the cosine: those given, 1 for similarity, and 0 for every other term."""
    return Calibration({term.name: 0.0 for term in TERMS} | {"similarity": 1.0} | weights)


def make_experiment(**changes: Any) -> Experiment:
    """A valid experiment of two arms, with `changes` over the defaults."""
    return Experiment.model_validate(
        {
            "name": "new-encoder",
            "hypothesis": "Items by the new encoder are tapped more often.",
            "arms": ({"name": "control"}, {"name": "siglip"}),
            "start": date(2026, 11, 2),
            "planned_weeks": 2,
            "minimum_detectable_effect": 0.05,
        }
        | changes
    )

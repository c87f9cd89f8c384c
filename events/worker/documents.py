"""Events as documents, with the listing fields of their items as of now: later changes do not count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from events.schema import Event, Impression, Purchase

Listings = Mapping[str, Mapping[str, Any]]
"""Sources of the indexed listings by item_id."""

LISTING_FIELDS = ("seller_id", "price", "created_at", "category")


def item_ids(event: Event) -> set[str]:
    """Return the items whose listings `to_document` uses."""
    if isinstance(event, Impression):
        return {event.query_item_id, *(item.item_id for item in event.items)}
    return {event.item_id} if isinstance(event, Purchase) else set()


def to_document(event: Event, listings: Listings) -> dict[str, Any]:
    """Return the event as Elasticsearch stores it. Unknown fields of an item are left out."""
    document = event.to_message()
    if isinstance(event, Impression):
        query = listings.get(event.query_item_id, {})
        document |= _known(query_category=query.get("category"), query_price=query.get("price"))
        document["items"] = [
            item | _shown_listing(listings.get(item["item_id"], {})) for item in document["items"]
        ]
    elif isinstance(event, Purchase):
        document |= _known(seller_id=listings.get(event.item_id, {}).get("seller_id"))
    return document


def _shown_listing(listing: Mapping[str, Any]) -> dict[str, Any]:
    return _known(**{name: listing.get(name) for name in ("seller_id", "price", "created_at")})


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

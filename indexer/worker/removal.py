"""Removal by id alone, as the event that the rest of the indexer understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from indexer.worker.store import ListingStore
from mappings.errors import InvalidListing
from mappings.listing import parse_listing

# What a page of a removed item still needs to show its like; the tombstone keeps it where it is known.
CARRIED = ("category", "price", "currency", "seller_id", "created_at")


def removal_event(item_id: object, at: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An event with status removed. `known` is the stored document of the item, where there is one."""
    bare = {
        "item_id": item_id,
        "title": "removed",
        "category": ["removed"],
        "price": 1,
        "currency": "XXX",  # ISO 4217: no currency
        "seller_id": "unknown",
        "status": "removed",
        "created_at": at,
        "updated_at": at,
        "images": [],
    }
    return bare | {name: known[name] for name in CARRIED if known is not None}


def removal_events(store: ListingStore, item_ids: Sequence[object], at: str) -> list[dict[str, Any]]:
    """The removal events of the items, with what is stored of them.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    bare = bare_removals(item_ids, at)
    readable = [event["item_id"] for event in bare if is_valid(event)]
    known: dict[str, Mapping[str, Any]] = {}
    for index in store.indices():
        known |= {item_id: document.source for item_id, document in store.read(index, readable).items()}
    return [removal_event(event["item_id"], at, known.get(str(event["item_id"]))) for event in bare]


def bare_removals(item_ids: Sequence[object], at: str) -> list[dict[str, Any]]:
    """The removal events of the items, with nothing known of them."""
    return [removal_event(item_id, at) for item_id in item_ids]


def is_valid(event: object) -> bool:
    """Whether the event is a valid listing."""
    try:
        parse_listing(event)
    except (InvalidListing, RecursionError):  # the latter for JSON nested without end
        return False
    return True

"""Removal of items by id, as events with status `removed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from indexer.worker.pipeline.store import ListingStore
from mappings.errors import InvalidListing
from mappings.listing import parse_listing

# The page of a removed item needs these fields to show similar items; the tombstone keeps the known ones.
KEPT_FIELDS = ("category", "price", "currency", "seller_id", "created_at")


def removal_event(item_id: object, at: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an event with status `removed`. `known` is the stored document of the item, if there is one."""
    bare = {
        "item_id": item_id,
        "title": "removed",
        "category": ["removed"],
        "seller_id": "unknown",
        "status": "removed",
        "created_at": at,
        "updated_at": at,
        "images": [],
    }
    return bare | {name: known[name] for name in KEPT_FIELDS if known is not None and name in known}


def removal_events(store: ListingStore, item_ids: Sequence[object], at: str) -> list[dict[str, Any]]:
    """Return the removal events of the items, with the fields to keep from their stored documents.

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
    """Return the removal events of the items, without their stored documents."""
    return [removal_event(item_id, at) for item_id in item_ids]


def is_valid(event: object) -> bool:
    """Return whether the event is a valid listing."""
    try:
        parse_listing(event)
    except (InvalidListing, RecursionError):  # RecursionError: deeply nested JSON
        return False
    return True

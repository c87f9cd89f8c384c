"""The mapping files of events have every field that is stored."""

from __future__ import annotations

from typing import Any

import pytest

from events.indices import EVENTS_BODY, REJECTED_BODY
from events.schema import EVENT_TYPES
from events.worker.documents import to_document
from events.worker.rejected import RejectedEvent
from tests.events import make_shopping_event, message, parsed

LISTING = {"seller_id": "s1", "price": 5.0, "created_at": "2026-01-01T09:00:00Z", "category": ["Apparel"]}


def fields(document: dict[str, Any]) -> set[str]:
    """Return the paths of a document's fields, such as `items.price`."""
    nested = {f"items.{name}" for item in document.get("items", ()) for name in item}
    return (document.keys() - {"items"}) | nested


def mapped(body: dict[str, Any]) -> set[str]:
    """Return the paths of a mapping file's fields."""
    properties = body["mappings"]["properties"]
    nested = {f"items.{name}" for name in properties.get("items", {}).get("properties", ())}
    return (properties.keys() - {"items"}) | nested


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_field_of_an_event_is_mapped(kind: str) -> None:
    """The mapping is strict, so an unmapped field would have every event rejected."""
    listings = dict.fromkeys(("m1", "m2", "m3"), LISTING)
    document = to_document(parsed(make_shopping_event(kind)), listings)
    assert fields(document) <= mapped(EVENTS_BODY)
    assert EVENT_TYPES[kind].model_fields.keys() - {"items"} <= mapped(EVENTS_BODY)


def test_every_field_of_a_rejected_event_is_mapped() -> None:
    """Likewise."""
    assert fields(RejectedEvent.of(message(), "worker_lost", "why").to_source()) == mapped(REJECTED_BODY)

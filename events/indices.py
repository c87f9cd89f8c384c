"""The indices of events: created from a mapping file each, updated, listed, deleted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

from elasticsearch import Elasticsearch

from events.names import day_of, event_index, event_indices, rejected_events_index
from mappings.creation import ensure_index, ensure_indices, read_mapping
from mappings.errors import InvalidIndexName

EVENTS_BODY: Final = read_mapping(Path(__file__).with_name("events.v1.json"))
REJECTED_BODY: Final = read_mapping(Path(__file__).with_name("events_rejected.v1.json"))
"""Settings and mappings of a daily index and of the index of rejected events."""


def ensure_event_indices(es: Elasticsearch, prefix: str, days: Iterable[date]) -> None:
    """Create the indices of the days that have none, and add the fields that the others lack.

    Not from an index template, which needs privileges on the whole cluster.

    Raises:
        MappingMismatch: an index has a field with another type.
    """
    ensure_indices(es, (event_index(prefix, day) for day in days), EVENTS_BODY)


def update_indices(es: Elasticsearch, prefix: str) -> None:
    """Add the fields that existing indices lack. Raises as `ensure_event_indices` does."""
    ensure_event_indices(es, prefix, event_days(es, prefix))
    rejected = rejected_events_index(prefix)
    if es.indices.exists(index=rejected):
        ensure_index(es, rejected, REJECTED_BODY)


def event_days(es: Elasticsearch, prefix: str) -> list[date]:
    """Return the days that have an index, oldest first."""
    days = []
    for name in es.indices.get_alias(index=event_indices(prefix), allow_no_indices=True):
        try:
            days.append(day_of(name, prefix))
        except InvalidIndexName:
            continue
    return sorted(days)


def drop_event_days(es: Elasticsearch, prefix: str, days: Iterable[date]) -> None:
    """Delete the indices of these days."""
    for day in days:
        es.indices.delete(index=event_index(prefix, day), ignore_unavailable=True)

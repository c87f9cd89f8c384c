"""The daily indices of events: made from one mapping, listed, dropped."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from elasticsearch import Elasticsearch

from events.names import day_of, event_index, event_indices
from mappings.errors import InvalidIndexName
from mappings.lifecycle import ensure_index, mapping_file
from mappings.names import written_through

EVENTS_BODY: Final = mapping_file("events", "events.v1.json")
REJECTED_BODY: Final = mapping_file("events", "events_rejected.v1.json")
"""Settings and mappings of a daily index and of the index of rejected events."""


def ensure_event_indices(es: Elasticsearch, prefix: str, days: Iterable[date]) -> None:
    """Makes the indices of the days that have none.

    Made here and not from a template, which only an account with rights over the whole cluster may keep.
    """
    found = es.indices.get_alias(index=event_indices(prefix), allow_no_indices=True)
    writable = {name for name, entry in found.items() if written_through(name) in entry["aliases"]}
    for name in sorted({event_index(prefix, day) for day in days} - writable):
        ensure_index(es, name, EVENTS_BODY)


def event_days(es: Elasticsearch, prefix: str) -> list[date]:
    """The days that have an index, oldest first."""
    days = []
    for name in es.indices.get_alias(index=event_indices(prefix), allow_no_indices=True):
        try:
            days.append(day_of(name, prefix))
        except InvalidIndexName:
            continue
    return sorted(days)


def drop_event_days(es: Elasticsearch, prefix: str, days: Iterable[date]) -> None:
    """Deletes the indices of these days, for good."""
    for day in days:
        es.indices.delete(index=event_index(prefix, day), ignore_unavailable=True)

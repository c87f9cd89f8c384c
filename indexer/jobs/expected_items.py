"""What a source says of each item: rows of files and databases, or the documents of another index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from indexer.intake.row import Row
from indexer.summary import problem_in
from indexer.worker.pipeline.chunk import UNEXPECTED_JSON
from indexer.worker.pipeline.item_state import ItemState
from mappings.changes import OPERATION, REMOVE, UPDATE, Change, parse_event
from mappings.errors import InvalidListing
from mappings.failures import elasticsearch_errors
from mappings.listing import instant_of, isoformat, item_id_of
from mappings.scan import pages


@dataclass(frozen=True)
class Expected:
    """An item in a source."""

    item_id: str
    state: ItemState
    events: Sequence[Mapping[str, Any]]
    """What says so, to index where it is not indexed."""
    location: str = ""
    """Its row."""


@dataclass(frozen=True)
class Rejected:
    """A row that is no valid listing."""

    item_id: str
    """Empty if it has none that can be read."""
    detail: str
    location: str


def from_rows(rows: Iterable[Row]) -> Iterator[Expected | Rejected]:
    """Yield the item of each row."""
    for row in rows:
        yield _from_event(row, row.event) if row.event is not None else _rejected(row, "", row.detail)


def from_index(es: Elasticsearch, index: str) -> Iterator[Expected]:
    """Yield the items of an index; those of which only a change is known are left out.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    with elasticsearch_errors():
        for page in pages(es, index, {"match_all": {}}):
            for hit in page:
                state = ItemState.of_source(hit["_source"], hit["_version"])
                if state.is_known or state.removal:
                    yield Expected(hit["_id"], state, events_of(hit["_id"], state), hit["_id"])


def events_of(item_id: str, state: ItemState) -> tuple[dict[str, Any], ...]:
    """Return what is known of an item as events: a complete one and the changes since, or its removal."""
    if state.is_removed:
        return (_event(item_id, state.removal, {OPERATION: REMOVE}),)
    later: dict[int, dict[str, Any]] = {}
    for name, (version, value) in state.changes.items():
        later.setdefault(version, {OPERATION: UPDATE})[name] = value
    return (
        _event(item_id, state.version, state.fields),
        *(_event(item_id, version, values) for version, values in sorted(later.items())),
    )


def json_fields(state: ItemState) -> dict[str, Any]:
    """Return the fields of an item as they are now, without those that are absent."""
    return {name: value for name, value in state.listing_fields().items() if value not in (None, [], {})}


def _from_event(row: Row, event: Mapping[str, Any]) -> Expected | Rejected:
    item_id = item_id_of(event) or ""
    try:
        parsed = parse_event(event)
    except InvalidListing as failure:
        return _rejected(row, item_id, str(failure))
    except UNEXPECTED_JSON as error:
        return _rejected(row, item_id, f"event_unreadable: {error}")
    state = ItemState.of_change(parsed) if isinstance(parsed, Change) else ItemState.of_listing(parsed)
    return Expected(parsed.item_id, state, (event,), row.location)


def _rejected(row: Row, item_id: str, detail: str) -> Rejected:
    return Rejected(item_id, problem_in(detail.removeprefix(f"{row.location}: ")), row.location)


def _event(item_id: str, version: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"item_id": item_id, "updated_at": isoformat(instant_of(version)), **fields}

"""The state of the indices of listings, and what could not be indexed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from elasticsearch import Elasticsearch

from mappings.lifecycle import IndexState, list_indices
from mappings.listing import Status
from mappings.names import dead_letter_index

MOST_REASONS: Final = 50


@dataclass(frozen=True)
class IndexFigures:
    """An index with the number of its listings, without those that are removed."""

    state: IndexState
    listings: int
    encoded: int
    """Listings with a vector."""
    without_vector: Mapping[str, int]
    """By reason."""
    newest: datetime | None
    """When the newest document that searches find was written."""

    @property
    def coverage(self) -> float | None:
        """The share of the listings that have a vector; None if there is no listing."""
        return self.encoded / self.listings if self.listings else None


def read_indices(es: Elasticsearch, prefix: str) -> list[IndexFigures]:
    """Return the open indices of the prefix, oldest first.

    Raises:
        ApiError, TransportError: Elasticsearch does not answer.
    """
    states = [state for state in list_indices(es, prefix) if not state.closed]
    return [_figures(state, _aggregated(es, state.name)) for state in states]


def read_dead_letters(es: Elasticsearch, prefix: str) -> dict[str, int]:
    """Return the number of dead letters by reason, the most frequent first.

    Raises:
        ApiError, TransportError: Elasticsearch does not answer.
    """
    answer = es.search(
        index=dead_letter_index(prefix),
        size=0,
        aggregations={"reasons": _terms("reason")},
        allow_no_indices=True,
        ignore_unavailable=True,
    )
    return _counts(answer.get("aggregations", {}).get("reasons", {}))


def _aggregated(es: Elasticsearch, index: str) -> Mapping[str, Any]:
    answer = es.search(
        index=index,
        size=0,
        query={"bool": {"must_not": {"term": {"status": Status.REMOVED.value}}}},
        aggregations={
            "encoded": {"filter": {"exists": {"field": "vector"}}},
            "problems": _terms("photo_problem"),
            "newest": {"max": {"field": "indexed_at"}},
        },
        track_total_hits=True,
    )
    return cast("Mapping[str, Any]", answer.body)


def _figures(state: IndexState, answer: Mapping[str, Any]) -> IndexFigures:
    found = answer["aggregations"]
    newest = found["newest"]["value"]
    return IndexFigures(
        state,
        listings=answer["hits"]["total"]["value"],
        encoded=found["encoded"]["doc_count"],
        without_vector=_counts(found["problems"]),
        newest=None if newest is None else datetime.fromtimestamp(newest / 1000, UTC),
    )


def _terms(field: str) -> dict[str, Any]:
    return {"terms": {"field": field, "size": MOST_REASONS}}


def _counts(terms: Mapping[str, Any]) -> dict[str, int]:
    return {bucket["key"]: bucket["doc_count"] for bucket in terms.get("buckets", ())}

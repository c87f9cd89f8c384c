"""An index of events that could not be processed; rejected listings and rejected shopping events each have
one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from elasticsearch import Elasticsearch

from mappings.creation import ensure_index
from mappings.errors import ContractError
from mappings.failures import ElasticsearchUnavailable, Failure, elasticsearch_errors, item_failure
from mappings.listing import isoformat
from mappings.scan import Hit, in_order, pages

MOST_REASONS: Final = 1_000
"""Far more than there are reason codes, of which each field of a schema has some."""


def digest(text: str) -> str:
    """Return an id that is the same for the same text: 128 bits of its SHA-256 as hex digits."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


class UnknownReason(ContractError):
    """Nothing was rejected for this reason."""


def check_reason(reason: str | None, existing: Iterable[str]) -> None:
    """Check that a reason exists, if one is given: a typo would select nothing and look like success.

    Raises:
        UnknownReason: it does not; the message lists those that do.
    """
    if reason is None:
        return
    known = set(existing)
    if reason not in known:
        raise UnknownReason(nothing_with(reason, known))


def nothing_with(reason: str, existing: Iterable[str]) -> str:
    """Return the sentence for a reason that nothing was rejected with."""
    listed = ", ".join(sorted(set(existing))) or "none, since nothing is rejected"
    return f"nothing was rejected with reason {reason!r}; existing reasons: {listed}"


@dataclass(frozen=True)
class RejectedIndex:
    """An index whose documents have at least `reason`, `detail` and `failed_at`."""

    es: Elasticsearch
    name: str
    body: Mapping[str, Any]
    """Its settings and mappings."""

    def bulk(self, operations: Sequence[Mapping[str, Any]], **options: Any) -> list[Failure | None]:
        """Execute bulk operations on the index, created if it is missing.

        Returns, for each operation in order, why it failed, or None.

        Raises:
            ElasticsearchUnavailable: it does not execute all of them now; any part may be done.
        """
        if not operations:
            return []
        with elasticsearch_errors():
            ensure_index(self.es, self.name, self.body)
            answer = self.es.bulk(operations=operations, **options)
        failures = [item_failure(result) for item in answer["items"] for result in item.values()]
        for failure in failures:
            if isinstance(failure, ElasticsearchUnavailable):
                raise failure
        return failures

    def pages(self, reason: str | None = None, before: datetime | None = None) -> Iterator[list[Hit]]:
        """Yield the documents page by page, oldest first; only those of a reason, or rejected before a
        moment, where given."""
        if not self.es.indices.exists(index=self.name):
            return
        wanted: list[dict[str, Any]] = []
        if reason:
            wanted.append({"term": {"reason": reason}})
        if before:
            wanted.append({"range": {"failed_at": {"lt": isoformat(before)}}})
        query = {"bool": {"filter": wanted}}
        yield from pages(self.es, self.name, query, sort=[{"failed_at": "asc"}], missing_ok=True)

    def reasons(self) -> Iterator[str]:
        """Yield the reasons of all documents."""
        if not self.es.indices.exists(index=self.name):
            return
        self.es.indices.refresh(index=self.name)
        counted = {"reasons": {"terms": {"field": "reason", "size": MOST_REASONS}}}
        answer = self.es.search(index=self.name, size=0, aggregations=counted)
        for bucket in answer["aggregations"]["reasons"]["buckets"]:
            yield bucket["key"]

    def search(self, reason: str | None = None) -> Iterator[Hit]:
        """Yield the documents, oldest first, in the same order at each call."""
        yield from in_order(self.pages(reason))

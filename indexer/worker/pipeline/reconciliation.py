"""Reconciliation of stored documents with the status and price of rejected events, whatever their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from console.counts import count_of
from indexer.worker.pipeline.dead_letters import DeadLetters
from indexer.worker.pipeline.documents import with_status
from indexer.worker.pipeline.status_update import StatusUpdate, parse_status_update, status_update_of
from indexer.worker.pipeline.store import ListingStore, VersionedDocument
from mappings.failures import UNAVAILABLE, DocumentRejected, ElasticsearchUnavailable
from mappings.listing import ListingDocument

MAX_ROUNDS = 10
"""More than one is needed only if another writer updates the same item within a few milliseconds."""


def apply_status_updates(
    store: ListingStore, dead_letters: DeadLetters, known: Mapping[str, int]
) -> dict[str, int]:
    """Apply the status and price in the items' dead letters to the stored documents, and return the letters'
    versions by item.

    `known` has the items, each with a version that its documents have at least in every index, or 0. For a
    letter that is not newer, no document is read.

    A worker calls it after writing its own documents and letters. So if two workers write one item at the
    same time, the later one sees the writes of both. For the same reason it checks again after each round: a
    document keeps its version when a status is applied, so another writer may have overwritten a newer one.

    Raises:
        ElasticsearchUnavailable: it does not answer, or other writers interfered in every round.
    """
    rejected: dict[str, str] = {}
    for _ in range(MAX_ROUNDS):
        letters = dead_letters.read(sorted(known))
        updates = {
            item_id: parse_status_update(letter.content)
            for item_id, letter in letters.items()
            if letter.version > known[item_id] and item_id not in rejected
        }
        newer = list(_newer(store, {item_id: update for item_id, update in updates.items() if update}))
        if not newer:
            dead_letters.prepend_to_details(rejected)
            return {item_id: letter.version for item_id, letter in letters.items()}
        for entry, failure in zip(newer, store.write(newer), strict=True):
            if isinstance(failure, ElasticsearchUnavailable):
                raise failure
            if isinstance(failure, DocumentRejected):
                rejected[entry.document.item_id] = f"not applied: {failure.detail}"
    raise ElasticsearchUnavailable(UNAVAILABLE, f"concurrent updates to {count_of(len(newer), 'item')}")


def _newer(store: ListingStore, updates: Mapping[str, StatusUpdate]) -> Iterator[VersionedDocument]:
    """Yield the stored documents that are older than their update, with the update applied.

    They keep their version, which is that of the content, so that a complete event between the content and
    the update still replaces the content. The indices are listed again: one that was created since the chunk
    began may have a document by another worker, which did not see the letter.
    """
    if not updates:
        return
    for index in store.indices():
        for item_id, stored in store.read(index, list(updates)).items():
            current, update = status_update_of(stored.source), updates[item_id]
            if update.overrides(current.status, max(stored.version, current.version)):
                document = with_status(ListingDocument.model_validate(stored.source), update)
                yield VersionedDocument(index, stored.version, document)

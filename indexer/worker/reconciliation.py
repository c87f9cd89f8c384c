"""Status and price of rejected events against stored documents: the newest of an item, in whatever order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from indexer.worker.dead_letters import DeadLetters
from indexer.worker.documents import with_status
from indexer.worker.status_update import StatusUpdate, parse_status_update, status_update_of
from indexer.worker.store import ListingStore, VersionedDocument
from mappings.failures import DocumentRejected, ElasticsearchUnavailable
from mappings.listing import ListingDocument

MOST_ROUNDS = 10
"""Each round but the last saw another writer update the same item within a few milliseconds."""


def apply_refused(store: ListingStore, dead_letters: DeadLetters, known: Mapping[str, int]) -> dict[str, int]:
    """Applies the status and price in the items' dead letters to the stored documents, and returns the
    letters' versions by item.

    `known` has the items, each with a version that its documents have at least in every index, or 0. A
    letter of that version or an older one changes nothing, and its documents are not read.

    A worker calls it after it has written its own documents and letters. So of two that write one item at
    once, the later one sees what both wrote. For the same reason it looks again after each round: a document
    keeps its version when a status is applied, so a concurrent writer may have overwritten a newer status.

    Raises:
        ElasticsearchUnavailable: it does not answer, or concurrent updates went on for every round.
    """
    rejected: dict[str, str] = {}
    for _ in range(MOST_ROUNDS):
        letters = dead_letters.read(sorted(known))
        updates = {
            item_id: parse_status_update(letter.content)
            for item_id, letter in letters.items()
            if letter.version > known[item_id] and item_id not in rejected
        }
        newer = list(_newer(store, {item_id: update for item_id, update in updates.items() if update}))
        if not newer:
            dead_letters.note(rejected)
            return {item_id: letter.version for item_id, letter in letters.items()}
        for entry, failure in zip(newer, store.write(newer), strict=True):
            if isinstance(failure, ElasticsearchUnavailable):
                raise failure
            if isinstance(failure, DocumentRejected):
                rejected[entry.document.item_id] = f"not applied: {failure.detail}"
    raise ElasticsearchUnavailable("elasticsearch_unavailable", f"concurrent updates to {len(newer):,} items")


def _newer(store: ListingStore, updates: Mapping[str, StatusUpdate]) -> Iterator[VersionedDocument]:
    """The stored documents that an update is newer than, with it.

    They keep their version, which is that of the content: a complete event that is older than the update but
    newer than the content still replaces the latter. The indices are listed anew: one that was added since
    the chunk began may already have a document by another worker, which saw no letter yet.
    """
    if not updates:
        return
    for index in store.indices():
        for item_id, stored in store.read(index, list(updates)).items():
            present, update = status_update_of(stored.source), updates[item_id]
            if update.overrides(present.status, max(stored.version, present.version)):
                document = with_status(ListingDocument.model_validate(stored.source), update)
                yield VersionedDocument(index, stored.version, document)

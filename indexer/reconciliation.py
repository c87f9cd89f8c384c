"""Refused events against stored documents: the newest status and price of an item, whichever came first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from indexer.dead_letters import DeadLetters
from indexer.documents import with_standing
from indexer.errors import ElasticsearchUnavailable
from indexer.standing import Standing, parse_standing, standing_of
from indexer.store import ListingStore, VersionedDocument
from mappings.listing import ListingDocument

MOST_ROUNDS = 10
"""Each round but the last saw another writer change the same item in the few milliseconds it took."""


def apply_refused(store: ListingStore, dead_letters: DeadLetters, item_ids: Sequence[str]) -> dict[str, int]:
    """Applies the status and price in the items' dead letters to what is stored, and returns the letters'
    versions by item.

    A worker calls it when it has written its own documents and letters. So of two that write one item at
    once, the later one sees what both wrote.

    Raises:
        ElasticsearchUnavailable: it does not answer, or other writers do not let the items rest.
    """
    for _ in range(MOST_ROUNDS):
        letters = dead_letters.read(item_ids)
        standings = (parse_standing(letter.content) for letter in letters.values())
        newer = list(_newer(store, {standing.item_id: standing for standing in standings if standing}))
        if not newer:
            return {item_id: letter.version or 0 for item_id, letter in letters.items()}
        for failure in store.write(newer):
            if isinstance(failure, ElasticsearchUnavailable):
                raise failure
    raise ElasticsearchUnavailable("elasticsearch_unavailable", f"{len(newer)} items change all the time")


def _newer(store: ListingStore, standings: Mapping[str, Standing]) -> Iterator[VersionedDocument]:
    """The stored documents that a standing is newer than, with it.

    They keep their version, which is that of the content: a complete event that is older than the standing
    but newer than the content still replaces the latter.
    """
    if not standings:
        return
    for index in store.indices():
        for item_id, stored in store.read(index, list(standings)).items():
            present, standing = standing_of(stored.source), standings[item_id]
            if standing.overrides(present.status, max(stored.version, present.version)):
                document = with_standing(ListingDocument.model_validate(stored.source), standing)
                yield VersionedDocument(index, stored.version, document)

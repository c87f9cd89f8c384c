"""Forgetting of items in every place that keeps something of them, and proof that nothing is left."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol

import redis
from elasticsearch import Elasticsearch

from cache.forgetting import answers_with, forget_answers
from indexer.jobs.forget_documents import ForgottenDocuments, Traces
from indexer.jobs.forget_subject import Subject
from indexer.jobs.purge import deleted_documents, purge
from indexer.photos.cache import PhotoCache
from mappings.listing import isoformat

PATIENCE_S = 90.0
"""For the retention leases, which Elasticsearch moves every 30 s."""


class Place(Protocol):
    """Where something of an item may be kept, beside the indices of listings."""

    @property
    def name(self) -> str:
        """Its name in reports."""

    def forget(self, subject: Subject) -> int:
        """Delete what there is of the subject, and return how many entries that were."""

    def remaining(self, subject: Subject) -> int:
        """Return how many entries of the subject there are."""


@dataclass(frozen=True)
class ForgottenAnswers:
    """The stored answers that show an item."""

    client: redis.Redis
    prefix: str
    name: str = "cached_answers"

    def forget(self, subject: Subject) -> int:
        """Delete them, and return how many there were."""
        return forget_answers(self.client, self.prefix, subject.item_ids)

    def remaining(self, subject: Subject) -> int:
        """Return how many there are."""
        return sum(1 for _ in answers_with(self.client, self.prefix, subject.item_ids))


@dataclass(frozen=True)
class Forgetting:
    """All places of a deployment."""

    es: Elasticsearch
    documents: ForgottenDocuments
    places: Sequence[Place]
    photos: PhotoCache
    further_indices: Sequence[str] = ()
    """Indices of Elasticsearch that the places keep events in."""

    def subject(self, item_ids: Sequence[str], seller_id: str | None) -> Subject:
        """Return the items, and those of the seller that are stored in any index."""
        of_seller = self.documents.items_of(seller_id) if seller_id is not None else set()
        return Subject(frozenset({*item_ids, *of_seller}), seller_id)

    def forget(self, subject: Subject, traces: Traces) -> dict[str, int]:
        """Delete everything but tombstones, and return how much of it there was by place.

        Documents come first: from then on no event that is still on its way brings an item back.

        Raises:
            ElasticsearchUnavailable, RedisError, UnreadableFile: what was done stays; repeat it.
        """
        found = {self.documents.name: self.documents.forget(subject, traces)}
        # Their references are in the documents alone, which a repeated run does not find any more.
        found["kept_photos"] = self.photos.forget(traces.images)
        return found | {place.name: place.forget(subject) for place in self.places}

    def remaining(self, subject: Subject) -> dict[str, int]:
        """Return how much is left by place; nothing where there is none."""
        places: Sequence[Any] = (self.documents, *self.places)
        counts = {place.name: place.remaining(subject) for place in places}
        return {name: count for name, count in counts.items() if count}

    def purge(self) -> dict[str, int]:
        """Take what was deleted out of the files of the open indices; return what may be left by index."""
        left = {index: purge(self.es, index, patience_s=PATIENCE_S) for index in self._purged()}
        return {index: count for index, count in left.items() if count}

    def deleted(self) -> dict[str, int]:
        """Return how many deleted documents are in the files of the open indices."""
        counts = {index: deleted_documents(self.es, index) for index in self._purged()}
        return {index: count for index, count in counts.items() if count}

    def closed(self) -> list[str]:
        """Return the indices that cannot be read: they are closed, or their shards are missing."""
        return [index.name for index in self.documents.indices() if index.documents is None]

    def _purged(self) -> list[str]:
        listings = [index.name for index in self.documents.indices() if index.documents is not None]
        further = [name for name in self.further_indices if self.es.indices.exists(index=name)]
        return [*listings, *further]


def audit_line(
    salt: str, item_ids: Sequence[str], seller_id: str | None, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is recorded of a run: hashes of the ids that were given, never the ids.

    Whoever has the salt and an id can look up when it was forgotten; without the salt nobody can try ids.
    """
    return {
        "at": isoformat(datetime.now(UTC)),
        "items": [keyed_hash(salt, "item", each) for each in sorted(item_ids)],
        "seller": keyed_hash(salt, "seller", seller_id) if seller_id is not None else None,
        **facts,
    }


def keyed_hash(salt: str, kind: str, id_: str) -> str:
    """Return 32 hex digits of HMAC-SHA256; an item and a seller of one id have different ones."""
    return hmac.new(salt.encode(), f"{kind}:{id_}".encode(), sha256).hexdigest()[:32]

"""The documents that a rebuild copies."""

from __future__ import annotations

from datetime import UTC, datetime

from indexer.jobs.rebuild import copied
from indexer.worker.pipeline.documents import EncodedPhoto, source_of
from indexer.worker.pipeline.item_state import ItemState
from mappings.listing import image_fingerprint
from tests.factories import make_listing


def test_a_document_is_copied_as_it_is() -> None:
    """With the fingerprint of the photos that its vector is the mean of, so that none is encoded again."""
    listing = make_listing(images=["a.jpg", "b.jpg"])
    photo = EncodedPhoto((0.6, 0.8), "0" * 16)
    source = source_of(
        listing.item_id,
        ItemState.of_listing(listing),
        photo,
        "colour-00000001",
        fingerprint=image_fingerprint(listing.images, 2),
        now=datetime(2026, 1, 3, tzinfo=UTC),
    )

    assert copied({"_id": listing.item_id, "_version": 1, "_source": source}) == source

"""What is written for an event, given the stored documents of its item."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.summary import OUTDATED, UNCHANGED
from indexer.worker.pipeline.chunk import Candidate
from indexer.worker.pipeline.documents import EncodedPhoto, PhotoResult, to_document
from indexer.worker.pipeline.planning import PlannedWrite, least_version, plan
from indexer.worker.pipeline.store import StoredDocument
from mappings.listing import Status, event_version
from tests.factories import make_listing

ENCODER = "colour-00000001"
PHOTO = EncodedPhoto((1.0, 0.0, 0.0, 0.0), "0" * 16)


def candidate(**changes: Any) -> Candidate:
    """A valid event with these fields."""
    listing = make_listing(**changes)
    return Candidate(0, listing, event_version(listing))


def stored(photo: PhotoResult = PHOTO, encoder_id: str = ENCODER, **changes: Any) -> StoredDocument:
    """The stored document of an event with these fields."""
    listing = make_listing(**changes)
    return StoredDocument(event_version(listing), to_document(listing, photo, encoder_id).to_source())


def test_a_new_item_is_written_to_every_index() -> None:
    """Its first photo is loaded."""
    event = candidate()

    assert plan(event, {"a": None, "b": None}, ENCODER) == PlannedWrite(event, ("a", "b"), None)
    assert PlannedWrite(event, ("a",), None).reference == "images/m1.jpg"


def test_an_unchanged_photo_is_not_encoded_again() -> None:
    """The stored vector is reused if references and encoder are the same."""
    newer = candidate(price=990, updated_at="2026-01-03T09:00:00Z")

    planned = plan(newer, {"a": stored()}, ENCODER)
    assert isinstance(planned, PlannedWrite)
    assert (planned.stored_photo, planned.reference) == (PHOTO, None)
    other_encoder = plan(newer, {"a": stored(encoder_id="other-00000001")}, ENCODER)
    assert isinstance(other_encoder, PlannedWrite)
    assert other_encoder.reference == "images/m1.jpg"


@pytest.mark.parametrize(
    ("stored_at", "outcome"), [("2026-01-02T09:00:00Z", UNCHANGED), ("2026-01-03T09:00:00Z", OUTDATED)]
)
def test_nothing_is_written_over_the_same_or_a_newer_document(stored_at: str, outcome: object) -> None:
    """The outcome says which of the two it is."""
    assert plan(candidate(), {"a": stored(updated_at=stored_at)}, ENCODER) == outcome


def test_only_indices_that_are_behind_are_written() -> None:
    """Also one whose document has no vector yet."""
    planned = plan(candidate(), {"a": stored(), "b": None, "c": stored(photo=None)}, ENCODER)

    assert isinstance(planned, PlannedWrite)
    assert (planned.indices, planned.stored_photo) == (("b", "c"), PHOTO)


def test_the_status_of_a_later_rejected_event_is_kept() -> None:
    """The stored document has it, with the version of older content."""
    old = stored(updated_at="2026-01-01T09:00:00Z")
    sold = {"status": "sold_out", "updated_at": "2026-01-04T09:00:00.000000Z"}

    planned = plan(candidate(), {"a": StoredDocument(old.version, {**old.source, **sold})}, ENCODER)
    assert isinstance(planned, PlannedWrite)
    assert planned.candidate.listing.status is Status.SOLD_OUT
    assert planned.candidate.version == candidate().version


def test_the_least_version_is_0_if_a_document_is_missing() -> None:
    """Then a dead letter of any version may be newer."""
    assert least_version([stored(), None]) == 0
    assert least_version([stored(), stored(updated_at="2026-01-05T09:00:00Z")]) == candidate().version

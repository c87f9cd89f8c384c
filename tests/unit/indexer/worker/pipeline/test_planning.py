"""What is written for an item, given its events and its stored documents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult, to_document
from indexer.worker.pipeline.indexer import problem_of_item
from indexer.worker.pipeline.item_state import ItemState
from indexer.worker.pipeline.planning import Plan, plan
from indexer.worker.pipeline.store import StoredDocument
from mappings.changes import parse_change
from mappings.identity import IndexVectors
from mappings.listing import Status
from tests.factories import make_listing

ENCODER, OTHER = "colour-00000001", "other-00000001"
VECTORS = IndexVectors(ENCODER)
PHOTO = EncodedPhoto((1.0, 0.0, 0.0, 0.0), "0" * 16)
GONE = PhotoProblem("photo_gone", "404")
LATER = "2026-01-03T09:00:00Z"


def event(**changes: Any) -> ItemState:
    """A complete event with these fields."""
    return ItemState.of_listing(make_listing(**changes))


def change(**fields: Any) -> ItemState:
    """A later change of these fields."""
    return ItemState.of_change(parse_change({"item_id": "m1", "updated_at": LATER, **fields}))


def stored(photo: PhotoResult = PHOTO, encoder_id: str = ENCODER, **changes: Any) -> StoredDocument:
    """The stored document of an event with these fields."""
    return StoredDocument(to_document(make_listing(**changes), photo, encoder_id).to_source(), 1, 5, 1)


def planned(*events: ItemState, **documents: StoredDocument | None) -> Plan:
    """What to write, given the document of each index."""
    return plan("m1", events, documents, dict.fromkeys(documents, VECTORS))


def test_a_new_item_is_written_to_every_index() -> None:
    """Its first photo is loaded."""
    found = planned(event(), a=None, b=None)

    assert found.behind == {"a": None, "b": None}
    assert found.wanted == {("images/m1.jpg", ENCODER)}


def test_an_unchanged_photo_is_not_loaded_again() -> None:
    """If references and encoder are the same."""
    newer = event(price=990, updated_at=LATER)

    found = planned(newer, a=stored())
    assert (found.stored_photos, found.wanted) == ({VECTORS: PHOTO}, set())
    assert planned(newer, a=stored(encoder_id=OTHER)).wanted == {("images/m1.jpg", ENCODER)}
    assert planned(change(images=["images/m2.jpg"]), a=stored()).wanted == {("images/m2.jpg", ENCODER)}


def test_nothing_is_written_over_the_same_or_a_newer_document() -> None:
    """Nor is a photo loaded."""
    for document in (stored(), stored(updated_at=LATER)):
        found = planned(event(), a=document)
        assert (found.behind, found.wanted) == ({}, set())


def test_only_indices_that_are_behind_are_written() -> None:
    """Also one whose document has no vector yet, if the event is repeated."""
    documents = {"a": stored(), "b": None, "c": stored(photo=GONE)}

    repeated = planned(event(), **documents)
    assert (list(repeated.behind), repeated.stored_photos) == (["b", "c"], {VECTORS: PHOTO})
    assert planned(event(), a=stored(photo=GONE)).wanted == {("images/m1.jpg", ENCODER)}


def test_each_index_gets_the_vector_of_its_encoder() -> None:
    """Only the new encoder needs the photo, when the index of the other one is up to date."""
    vectors = {"old": VECTORS, "new": IndexVectors(OTHER)}
    refresh = plan("m1", [ItemState()], {"old": stored(), "new": None}, vectors)

    assert (list(refresh.behind), refresh.wanted) == (["new"], {("images/m1.jpg", OTHER)})
    both = plan("m1", [event()], {"old": None, "new": None}, vectors)
    assert both.wanted == {("images/m1.jpg", ENCODER), ("images/m1.jpg", OTHER)}


def test_a_refresh_of_an_unknown_item_writes_nothing() -> None:
    """There is nothing to write."""
    assert planned(ItemState(), a=None).behind == {}


def test_an_index_gets_what_another_one_has() -> None:
    """Both have the same document afterwards, whatever was missing in each."""
    found = planned(change(price=5), a=stored(), b=stored(updated_at="2026-01-02T10:00:00Z", title="New"))

    assert list(found.behind) == ["a", "b"]
    assert (found.state.listing_fields()["title"], found.state.listing_fields()["price"]) == ("New", 5)


def test_a_change_does_not_try_a_photo_again() -> None:
    """The problem is the one that is stored, unless the photos change."""
    found = planned(change(price=5), a=stored(photo=GONE))

    photo = found.stored_photos[VECTORS]
    assert isinstance(photo, PhotoProblem)
    assert (photo.reason, found.wanted) == ("photo_gone", set())


def test_a_photo_that_one_index_can_use_is_no_problem_of_the_item() -> None:
    """An index of several photos has the vector of the second if the first is gone. New ones come first."""
    before = replace(GONE, is_known=True)

    assert problem_of_item([GONE, PHOTO]) is None
    assert problem_of_item([before, GONE]) == GONE
    assert problem_of_item([None]) is None


def test_a_removed_item_has_no_photo() -> None:
    """None is loaded."""
    found = planned(change(status=Status.REMOVED), a=stored())

    assert (list(found.behind), found.references, found.wanted) == (["a"], (), set())


def test_of_several_photos_the_first_ones_are_loaded() -> None:
    """And again if the number of them changes, unless the listing has no more than one."""
    several = make_listing(images=["a", "b", "c"])
    document = StoredDocument(to_document(several, PHOTO, ENCODER).to_source(), 1, 5, 1)
    newer = ItemState.of_listing(several.model_copy(update={"price": 990.0}))

    assert plan("m1", [newer], {"i": document}, {"i": VECTORS}).wanted == set()
    mean = plan(
        "m1", [event(images=["a", "b", "c"], updated_at=LATER)], {"i": document}, {"i": VECTORS}, mean_of=2
    )
    assert mean.wanted == {("a", ENCODER), ("b", ENCODER)}
    one = plan("m1", [event(updated_at=LATER)], {"i": stored()}, {"i": VECTORS}, mean_of=2)
    assert one.wanted == set()


def test_the_mean_of_photos_has_unit_norm() -> None:
    """And the hash of the first; opposite ones, which have no mean, count as the first."""
    one, two = EncodedPhoto((1.0, 0.0), "a"), EncodedPhoto((0.0, 1.0), "b")

    mean = EncodedPhoto.mean([one, two])
    assert (mean.vector, mean.image_hash) == (pytest.approx((0.5**0.5, 0.5**0.5)), "a")
    assert EncodedPhoto.mean([one]) is one
    opposite = EncodedPhoto.mean([one, EncodedPhoto((-1.0, 0.0), "b")])
    assert (opposite.vector, opposite.image_hash, opposite.further_hashes) == (one.vector, "a", ("b",))


def test_an_index_with_a_vector_for_each_photo_takes_none_of_the_mean() -> None:
    """Each of its first photos is loaded, whatever vector the other index has."""
    several = event(images=["a", "b", "c"])
    document = stored(images=["a", "b", "c"])
    each = IndexVectors(ENCODER, photos=2)

    found = plan("m1", [several], {"one": document, "each": None}, {"one": VECTORS, "each": each})

    assert (list(found.behind), found.wanted) == (["each"], {("a", ENCODER), ("b", ENCODER)})
    assert (found.images(VECTORS), found.images(each)) == (["a"], ["a", "b"])
    assert found.fingerprint(VECTORS) != found.fingerprint(each)

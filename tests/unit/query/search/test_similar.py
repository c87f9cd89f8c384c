"""Which step of the ladder is taken, and when a picture cannot be asked about."""

from __future__ import annotations

import pytest

from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult, to_document
from query.search.similar import fallback_reason, narrowest_sufficient
from tests.factories import make_listing

PICTURE = EncodedPhoto((1.0, 0.0, 0.0, 0.0), "0" * 16)


@pytest.mark.parametrize(
    ("counts", "step"),
    [
        ([24], 0),
        ([200, 200], 0),
        ([10, 24, 24], 1),
        ([10, 20, 23], 2),
        ([10, 20, 20], 1),  # the widest finds no more, so the narrower one is honest
        ([0, 0, 0], 0),
    ],
)
def test_the_narrowest_band_that_fills_the_answer_is_taken(counts: list[int], step: int) -> None:
    """Or else the narrowest of those that come closest to filling it."""
    assert narrowest_sufficient(counts, 24) == step


@pytest.mark.parametrize(
    ("status", "photo", "reason"),
    [
        ("on_sale", PICTURE, None),
        ("sold_out", PICTURE, None),
        ("reserved", PICTURE, None),
        ("on_sale", None, "not_encoded"),
        ("on_sale", PhotoProblem("photo_truncated", "…"), "photo_truncated"),
        ("on_sale", PhotoProblem("no_photo", "…"), "no_photo"),
        ("removed", PICTURE, "removed"),
        ("removed", PhotoProblem("photo_truncated", "…"), "removed"),
    ],
)
def test_a_fallback_has_its_reason(status: str, photo: PhotoResult, reason: str | None) -> None:
    """A sold item still answers by its picture; one without a picture says why."""
    item = to_document(make_listing(status=status), photo, "colour-00000001")
    assert fallback_reason(item) == reason

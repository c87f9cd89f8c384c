"""The summary of events."""

from __future__ import annotations

from indexer.summary import (
    INDEXED,
    MAX_DETAIL,
    OUTDATED,
    UNCHANGED,
    IndexingSummary,
    first_of,
    rejected,
    without_vector,
)


def test_every_outcome_is_counted_once() -> None:
    """The total is the sum of all others."""
    photo_gone = without_vector("photo_gone")
    summary = IndexingSummary.of(
        [INDEXED, INDEXED, UNCHANGED, OUTDATED, photo_gone, photo_gone, rejected("title_missing")]
    )

    assert summary.to_json() == {
        "total": 7,
        "indexed": 2,
        "without_vector": {"photo_gone": 2},
        "unchanged": 1,
        "outdated": 1,
        "rejected": {"title_missing": 1},
        "examples": {},
    }


def test_summaries_are_added() -> None:
    """Over retries and chunks, reasons included."""
    both = IndexingSummary(indexed=1, rejected={"a": 1}) + IndexingSummary(
        outdated=2, rejected={"a": 1, "b": 3}, without_vector={"c": 4}
    )

    assert both == IndexingSummary(indexed=1, outdated=2, rejected={"a": 2, "b": 3}, without_vector={"c": 4})
    assert (both.total, both.failed) == (12, 9)
    assert IndexingSummary.from_json(both.to_json()) == both
    assert IndexingSummary.from_json(None) == IndexingSummary()


def test_the_text_names_the_most_frequent_reason_first() -> None:
    """A line for the counts that are not 0, and one for each kind of failure."""
    photos = {"no_photo": 1, "photo_gone": 29}
    text = str(IndexingSummary(indexed=7200, without_vector=photos, rejected={"invalid_json": 2}))

    assert text.splitlines() == [
        "7,232 listings: 7,200 indexed, 30 indexed without a vector, 2 rejected.",
        "Indexed without a vector: 30 (photo_gone 29, no_photo 1). Price and status are current, but they "
        "appear only in the category-based answers to items that have no vector.",
        "Rejected: 2 (invalid_json 2). They are not indexed; a valid status and price still update a stored "
        "listing.",
    ]


def test_a_long_example_ends_with_an_ellipsis() -> None:
    """One that fits does not."""
    details = ["x" * MAX_DETAIL, "x" * MAX_DETAIL + "y"]
    found = first_of({"photo_gone": [("m1", detail) for detail in details]})["photo_gone"]
    assert [detail for _, detail in found] == ["x" * MAX_DETAIL, "x" * (MAX_DETAIL - 1) + "…"]


def test_one_listing_is_no_plural() -> None:
    """Nor does a summary of nothing end with a colon."""
    assert str(IndexingSummary(indexed=1)) == "1 listing: 1 indexed."
    assert str(IndexingSummary()) == "0 listings."

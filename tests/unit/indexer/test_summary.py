"""The account of events."""

from __future__ import annotations

from indexer.summary import INDEXED, OLDER, UNCHANGED, Account, rejected, without_vector


def test_every_outcome_is_counted_once() -> None:
    """Given is the sum of all the others."""
    account = Account.of(
        [INDEXED, INDEXED, UNCHANGED, OLDER, *[without_vector("photo_gone")] * 2, rejected("title_missing")]
    )

    assert account.to_json() == {
        "given": 7,
        "indexed": 2,
        "without_vector": {"photo_gone": 2},
        "unchanged": 1,
        "older": 1,
        "rejected": {"title_missing": 1},
    }


def test_accounts_add_up() -> None:
    """Over retries and chunks, reasons included."""
    both = Account(indexed=1, rejected={"a": 1}) + Account(
        older=2, rejected={"a": 1, "b": 3}, without_vector={"c": 4}
    )

    assert both == Account(indexed=1, older=2, rejected={"a": 2, "b": 3}, without_vector={"c": 4})
    assert (both.given, both.failed) == (12, 9)
    assert Account.from_json(both.to_json()) == both
    assert Account.from_json(None) == Account()


def test_the_text_names_the_most_frequent_reason_first() -> None:
    """One line for the sum, one for each reason."""
    text = str(
        Account(indexed=7200, without_vector={"no_photo": 1, "photo_gone": 29}, rejected={"not_json": 2})
    )

    assert text.splitlines() == [
        "7,232 given = 7,200 indexed + 30 indexed without a vector + 0 unchanged + 0 older + 2 rejected",
        "  indexed without a vector 29: photo_gone",
        "  indexed without a vector 1: no_photo",
        "  rejected 2: not_json",
    ]

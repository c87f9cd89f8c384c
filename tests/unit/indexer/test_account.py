"""The account of events."""

from __future__ import annotations

from indexer.account import INDEXED, OLDER, UNCHANGED, Account, rejected


def test_every_outcome_is_counted_once() -> None:
    """Given is the sum of all the others."""
    account = Account.of([INDEXED, INDEXED, UNCHANGED, OLDER, rejected("photo_gone"), rejected("photo_gone")])

    assert account.to_json() == {
        "given": 6,
        "indexed": 2,
        "unchanged": 1,
        "older": 1,
        "rejected": {"photo_gone": 2},
    }


def test_accounts_add_up() -> None:
    """Over retries and chunks, reasons included."""
    both = Account(indexed=1, rejected={"a": 1}) + Account(older=2, rejected={"a": 1, "b": 3})

    assert both == Account(indexed=1, older=2, rejected={"a": 2, "b": 3})
    assert Account.from_json(both.to_json()) == both
    assert Account.from_json(None) == Account()


def test_the_text_names_the_most_frequent_reason_first() -> None:
    """One line for the sum, one for each reason."""
    text = str(Account(indexed=7200, rejected={"no_photo": 1, "photo_gone": 29}))

    assert text.splitlines() == [
        "7,230 given = 7,200 indexed + 0 unchanged + 0 older + 30 rejected",
        "  rejected 29: photo_gone",
        "  rejected 1: no_photo",
    ]

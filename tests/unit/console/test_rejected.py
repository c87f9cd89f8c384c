"""What the commands for rejected listings and rejected events share."""

from __future__ import annotations

import click
import pytest

from console.rejected import SHOWN, check_choice, rejected_table


@pytest.mark.parametrize(("reason", "every"), [("photo_gone", False), (None, True)])
def test_a_reason_or_all_is_chosen(reason: str | None, every: bool) -> None:
    """Exactly one of the two options is accepted."""
    check_choice(reason, every)


@pytest.mark.parametrize(("reason", "every"), [("photo_gone", True), (None, False), ("", False)])
def test_both_or_none_is_refused(reason: str | None, every: bool) -> None:
    """So that nobody replays or deletes more than they meant to."""
    with pytest.raises(click.UsageError, match="pass either --reason or --all"):
        check_choice(reason, every)


def test_a_row_fits_on_a_line() -> None:
    """Details are shortened and without line breaks; a missing id is a dash."""
    entry = {
        "failed_at": "2026-01-31T09:30:00.000000Z",
        "reason": "photo_gone",
        "detail": "a\nb " + "x" * 500,
    }
    head, row, other = rejected_table([entry, {**entry, "item_id": "m1"}], "item_id").splitlines()
    assert head.split("  ")[0] == "REJECTED AT"
    assert "ITEM ID" in head
    assert row.split() == ["2026-01-31T09:30:00Z", "photo_gone", "-", "a", "b", "x" * (SHOWN - 5) + "…"]
    assert other.split()[2] == "m1"

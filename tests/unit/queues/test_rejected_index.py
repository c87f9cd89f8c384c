"""The check of a reason code that an operator names."""

from __future__ import annotations

import pytest

from queues.rejected_index import UnknownReason, check_reason


@pytest.mark.parametrize("reason", [None, "worker_lost"])
def test_an_existing_reason_or_none_is_accepted(reason: str | None) -> None:
    """Without a reason, nothing is read."""
    check_reason(reason, iter(["photo_gone", "worker_lost", "photo_gone"]))


def test_an_unknown_reason_is_refused_with_the_existing_ones() -> None:
    """Sorted, each once: a typo would select nothing and look like success."""
    with pytest.raises(UnknownReason, match=r"'worker_lots'; existing reasons: photo_gone, worker_lost$"):
        check_reason("worker_lots", ["worker_lost", "photo_gone", "photo_gone"])
    with pytest.raises(UnknownReason, match=r"existing reasons: none, since nothing is rejected$"):
        check_reason("worker_lots", [])

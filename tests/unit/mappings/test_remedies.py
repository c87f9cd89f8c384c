"""Remedies of reasons."""

from __future__ import annotations

import pytest

from mappings.remedies import remedy


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("price_wrong_type", "--locale"),
        ("created_at_no_timezone", "--timezone"),
        ("updated_at_wrong_type", "epoch seconds"),
        ("status_unknown", "--map"),
        ("seller_id_missing", "--map"),
        ("currency_missing", "[constants]"),
        ("title_too_long", "Shorten it."),
        ("photo_not_found", "--root"),
        ("invalid_csv", "Close the quote"),
        ("wrong_field_count", "as many fields as the header"),
        ("photo_truncated", "Replace the photo"),
        ("popularity_not_finite", "docs/listing-schema.md"),
    ],
)
def test_a_reason_has_a_remedy(reason: str, words: str) -> None:
    """By its own name, its ending, or its kind."""
    assert words in remedy(reason)

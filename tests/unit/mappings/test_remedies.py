"""Remedies of reasons."""

from __future__ import annotations

import re

import pytest

from mappings import remedies
from mappings.remedies import remedy, remedy_over_http


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
        ("task_failed", "again later"),
    ],
)
def test_a_reason_has_a_remedy(reason: str, words: str) -> None:
    """By its own name, its ending, or its kind."""
    assert words in remedy(reason)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("price_wrong_type", "text of digits"),
        ("created_at_no_timezone", "Add a time zone"),
        ("updated_at_wrong_type", "epoch seconds"),
        ("status_unknown", "on_sale, reserved, sold_out or removed"),
        ("seller_id_missing", "Add it."),
        ("currency_missing", "ISO 4217"),
        ("item_id_mismatch", "Leave it out"),
        ("prise_unknown", "Correct its name"),
        ("title_too_long", "Shorten it."),
        ("photo_not_found", "Send a URL"),
        ("photo_truncated", "Replace the photo"),
        ("popularity_not_finite", "/schemas/listing.json"),
    ],
)
def test_a_client_of_the_api_has_a_remedy_of_its_own(reason: str, words: str) -> None:
    """It has neither the file nor the command."""
    assert words in remedy_over_http(reason)


ONLY_IN_FILES = {"invalid_csv", "line_too_long", "row_unreadable"}


@pytest.mark.parametrize(
    "reason", sorted({*remedies.FOR_ALL, *remedies.OF_FILES, *remedies.OVER_HTTP} - ONLY_IN_FILES)
)
def test_no_remedy_over_http_is_for_files(reason: str) -> None:
    """Options of `nitamono index`, columns and rows mean nothing to a client."""
    text = remedy_over_http(reason)
    assert not re.search(r"--|\b(column|row|file|docs/)", text), text

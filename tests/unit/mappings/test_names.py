"""Index names are built and parsed by one pair of functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mappings.errors import InvalidIndexName
from mappings.names import IndexName, dead_letter_index, read_alias, write_alias


def test_name_is_built_and_parsed_back() -> None:
    """With hyphens in the encoder's id, too."""
    name = IndexName("listings", "siglip-lite-3f9a1c2b", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert str(name) == "listings-siglip-lite-3f9a1c2b-20260102030405"
    assert IndexName.parse(str(name), "listings") == name


def test_time_is_written_in_utc() -> None:
    """Machines in different time zones give an instant the same name."""
    tokyo = datetime(2026, 1, 2, 9, 0, 0, tzinfo=timezone(timedelta(hours=9)))
    assert str(IndexName("l", "e", tokyo)) == "l-e-20260102000000"


@pytest.mark.parametrize(
    "name", ["listings-read", "other-e-20260102030405", "listings-e-2026", "listings-20260102030405"]
)
def test_foreign_name_is_refused(name: str) -> None:
    """A name of another form or prefix."""
    with pytest.raises(InvalidIndexName, match="expected listings-<encoder_id>"):
        IndexName.parse(name, "listings")


def test_aliases_are_named_for_their_use() -> None:
    """One to read (one for each arm), one to write, and the index of dead letters."""
    assert read_alias("listings") == "listings-read"
    assert read_alias("listings", "treatment") == "listings-read-treatment"
    assert write_alias("listings") == "listings-write"
    assert dead_letter_index("listings") == "listings-dead-letters"

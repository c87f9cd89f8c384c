"""The freshness term, by numbers worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from query.search.terms.freshness import Freshness, next_hour
from query.search.terms.term import Columns
from tests.factories import make_document

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ITEM = make_document()


@pytest.mark.parametrize(
    ("created_at", "value"),
    [
        ("2026-03-01T00:00:00Z", 0.02),  # of now: the whole weight
        ("2026-01-30T00:00:00Z", 0.01),  # 30 days: half of it
        ("2025-12-31T00:00:00Z", 0.005),  # 60 days: a quarter
    ],
)
def test_half_of_the_term_is_left_after_each_half_life(created_at: str, value: float) -> None:
    """Whatever the age of the item itself."""
    found = Columns.of([make_document(created_at=created_at)])
    values = Freshness(NOW).values(Columns.of([ITEM, ITEM]), found, 0.02)
    assert values[:, 0] == pytest.approx([value, value])


def test_elasticsearch_gets_the_time_itself() -> None:
    """Not `now`, which would differ between shards; without a weight it gets nothing."""
    assert Freshness(NOW, half_life_days=0.5).functions(ITEM, 0.02) == [
        {
            "exp": {"created_at": {"origin": "2026-03-01T00:00:00.000000Z", "scale": "43200s", "decay": 0.5}},
            "weight": 0.02,
        }
    ]
    assert Freshness(NOW).functions(ITEM, 0.0) == []
    assert not Freshness(NOW).values(Columns.of([ITEM]), Columns.of([ITEM]), 0.0).any()


def test_ages_count_from_the_end_of_the_hour() -> None:
    """So all requests of an hour agree, and nothing is newer."""
    assert next_hour(datetime(2026, 3, 1, 23, 59, tzinfo=UTC)) == datetime(2026, 3, 2, tzinfo=UTC)
    assert next_hour(NOW) == datetime(2026, 3, 1, 1, tzinfo=UTC)
    assert Freshness().functions(ITEM, 0.02)[0]["exp"]["created_at"]["origin"][14:] == "00:00.000000Z"


def test_the_age_explains_the_value() -> None:
    """In days."""
    assert Freshness(NOW).facts(ITEM, make_document(created_at="2026-02-26T12:00:00Z")) == {"age_days": 2.5}

"""Reasons as labels."""

from __future__ import annotations

import pytest

from monitoring.reasons import reason_label
from telemetry.metrics import BoundedValues


@pytest.mark.parametrize(
    ("reason", "label"),
    [
        (None, ""),
        ("photo_gone", "photo_gone"),
        ("status_unknown", "status_unknown"),
        ("currency_unknown", "currency_unknown"),
        ("my-own-field_unknown", "field_unknown"),
        ("x_unknown_unknown", "field_unknown"),
    ],
)
def test_a_field_of_the_sender_is_no_label(reason: str | None, label: str) -> None:
    """Each would be a time series of its own."""
    assert reason_label(reason) == label


def test_labels_are_limited_in_number() -> None:
    """Whatever an answer of Elasticsearch or a message may hold."""
    values = BoundedValues(most=2)
    assert [values.of(each) for each in ("a", "b", "c", "a", "d")] == ["a", "b", "other", "a", "other"]

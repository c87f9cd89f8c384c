"""Percentages as people read them."""

import math

import pytest

from console.percentage import percent


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0421, "+4.2 %"),
        (-0.0421, "−4.2 %"),
        (0.0999, "+10 %"),
        (12.5, "+1,250 %"),
        (-0.0001, "0 %"),
        (math.inf, "unbounded"),
        (math.nan, "–"),
    ],
)
def test_percent(share: float, text: str) -> None:
    """One decimal where it matters, and a real minus."""
    assert percent(share) == text


def test_unsigned_percent() -> None:
    """A size has no sign."""
    assert percent(0.05, signed=False) == "5.0 %"

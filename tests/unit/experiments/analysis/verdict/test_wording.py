"""Figures as people read them."""

import math

import pytest

from experiments.analysis.verdict.wording import figure, interval, listed, probability


def test_interval() -> None:
    """Both ends with their signs."""
    assert interval(-0.01, 0.075) == "−1.0 % to +7.5 %"


@pytest.mark.parametrize(
    ("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listed(words: list[str], text: str) -> None:
    """As in a sentence."""
    assert listed(words) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.04879, "0.0488"), (1234.5, "1,234"), (21.34, "21.3"), (-0.5, "−0.500"), (math.nan, "–")],
)
def test_figure(value: float, text: str) -> None:
    """Three digits that count."""
    assert figure(value) == text


@pytest.mark.parametrize(
    ("p", "text"), [(1e-9, "< 0.0001"), (0.0123, "= 0.012"), (0.051, "= 0.051"), (0.617, "= 0.62")]
)
def test_probability(p: float, text: str) -> None:
    """No false precision."""
    assert probability(p) == text

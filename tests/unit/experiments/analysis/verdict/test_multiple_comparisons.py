"""Holm's step-down p-values, by hand."""

import pytest

from experiments.analysis.verdict.multiple_comparisons import holm


def test_steps_down() -> None:
    """3 × 0.01, then 2 × 0.03, then 0.04, which may not be below its predecessor."""
    adjusted = holm({"one": 0.01, "two": 0.04, "three": 0.03})
    assert adjusted == pytest.approx({"one": 0.03, "two": 0.06, "three": 0.06})


def test_a_probability_stays_one() -> None:
    """2 × 0.8 is no probability."""
    assert holm({"one": 0.8, "two": 0.9}) == {"one": 1.0, "two": 1.0}


def test_no_question_no_answer() -> None:
    """Nothing to adjust."""
    assert holm({}) == {}

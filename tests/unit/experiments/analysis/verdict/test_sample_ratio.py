"""The sample-ratio check, against hand-computed chi-squares."""

import pytest

from experiments.analysis.verdict.sample_ratio import sample_ratio


def test_an_even_split_is_trusted() -> None:
    """50 more of 10,000: chi-square 0.25 on one degree of freedom."""
    found = sample_ratio({"a": 5025, "b": 4975}, {"a": 1, "b": 1})
    assert found.p_value == pytest.approx(0.6171, abs=1e-4)
    assert found.trusted


def test_weights_count() -> None:
    """1:3 where 1:3 was planned, and where 1:1 was."""
    users = {"a": 2500, "b": 7500}
    assert sample_ratio(users, {"a": 1, "b": 3}).p_value == 1
    assert not sample_ratio(users, {"a": 1, "b": 1}).trusted


def test_three_arms() -> None:
    """Deviations of 60, -30, -30 from 1,000 each: chi-square 5.4 on two degrees, p = exp(-2.7)."""
    found = sample_ratio({"a": 1060, "b": 970, "c": 970}, {"a": 1, "b": 1, "c": 1})
    assert found.p_value == pytest.approx(0.0672, abs=1e-4)


def test_a_missing_arm_counts_as_empty() -> None:
    """An arm that nobody was logged in is the most uneven split of all."""
    found = sample_ratio({"a": 100}, {"a": 1, "b": 1})
    assert found.users == {"a": 100, "b": 0}
    assert not found.trusted


def test_users_in_another_arm_than_computed() -> None:
    """One of 10,000 may be a changed file in flight; eleven are not."""
    even = {"a": 5000, "b": 5000}
    assert sample_ratio(even, {"a": 1, "b": 1}, misassigned=10).trusted
    broken = sample_ratio(even, {"a": 1, "b": 1}, misassigned=11)
    assert broken.even
    assert not broken.trusted

"""Critical values of daily looks, against published ones."""

import numpy as np
import pytest

from experiments.analysis.verdict.sequential import FARTHEST, critical_values, last_critical_value, spent


def test_published_bounds_of_five_even_looks() -> None:
    """Lan and DeMets' bounds of the O'Brien-Fleming kind, 5 % two-sided, as in R's gsDesign and ldbounds."""
    assert critical_values(range(1, 6), [1, 2, 3, 4, 5], 5, alpha=0.05) == pytest.approx(
        [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4
    )


def test_one_look_is_the_fixed_interval() -> None:
    """Who looks once pays nothing."""
    assert critical_values([1], [7.0], 1, alpha=0.05) == pytest.approx([1.959964], abs=1e-4)


def test_all_error_is_spent_at_the_end() -> None:
    """And next to none on the first of fourteen days."""
    assert spent(1, 0.05) == pytest.approx(0.05)
    assert spent(1 / 14, 0.05) < 1e-12


def test_looks_do_not_depend_on_later_ones() -> None:
    """The bounds of the first days are the same when the experiment goes on."""
    early = critical_values([1, 2, 3], [2, 3, 7], 14)
    assert critical_values(range(1, 6), [2, 3, 7, 9, 20], 14)[:3] == pytest.approx(early, rel=1e-3)


def test_a_brownian_path_crosses_the_bounds_as_often_as_planned() -> None:
    """40,000 paths under uneven looks, of which some bring nothing new."""
    information = np.cumsum([3.0, 1, 0, 4, 2, 2, 0, 5, 1, 1])
    steps = np.sqrt(np.diff(information, prepend=0))
    paths = np.random.default_rng(1).normal(size=(40_000, 10)) * steps
    z = np.cumsum(paths, axis=1) / np.sqrt(information)
    left = (np.abs(z) > critical_values(range(1, 11), list(information), 10, alpha=0.05)).any(axis=1).mean()
    assert left == pytest.approx(0.05, abs=0.004)


def test_shrinking_information_counts_as_the_previous_day() -> None:
    """A heavy buyer may widen an interval; the bounds stay finite."""
    bounds = critical_values(range(1, 5), [4, 5, 4.5, 6], 4)
    assert np.all(np.diff(bounds) < 0)
    assert bounds[-1] < FARTHEST


def test_a_day_without_a_look_spends_nothing() -> None:
    """Who looks at the end alone has the fixed reading; nobody who has not looked has any bound."""
    assert critical_values([14], [9.0], 14, alpha=0.05) == pytest.approx([1.959964], abs=1e-4)
    assert len(critical_values([], [], 14)) == 0


def test_the_critical_value_of_the_last_planned_day() -> None:
    """2.19 standard errors after two weeks (decision 164), more after ten or for a second arm."""
    assert last_critical_value(14) == pytest.approx(2.19, abs=0.005)
    assert last_critical_value(14) < last_critical_value(70) < 2.3
    assert last_critical_value(14, treatments=2) == pytest.approx(
        critical_values(range(1, 15), range(1, 15), 14, alpha=0.02)[-1]
    )

"""Charts of reports: what their axes show and what readers find in them."""

from __future__ import annotations

import math

from experiments.analysis.charts import (
    ForestRow,
    forest_chart,
    lift_limits,
    looks_chart,
    lorenz_chart,
    parts_chart,
    positions_chart,
)
from experiments.analysis.verdict.effects import Effect
from tests.html_page import HtmlPage


def lines_of(chart: str) -> set[str]:
    """The texts of a chart."""
    return {line.strip() for line in HtmlPage(str(chart)).text.splitlines()}


def of(lift: float, low: float, high: float) -> Effect:
    return Effect(1.0, 1.0 + lift, lift, low, high, 0.5, 0.1)


def test_the_axis_shows_zero_and_every_lift() -> None:
    """One extremely wide interval does not squeeze the others."""
    low, high = lift_limits([of(0.1, 0.05, 0.15), None, of(0.2, 0.14, 0.26), of(0.3, -0.9, 80)])
    assert low < 0
    assert 0.3 < high < 1


def test_the_axis_without_intervals_has_a_range() -> None:
    """A chart without a single effect."""
    low, high = lift_limits([])
    assert low < 0 < high


def test_a_forest_chart_names_its_rows() -> None:
    """The label, the figures, and the reason for a missing interval; nothing is read as markup or formula."""
    rows = [ForestRow("<b>$Toys$</b>", of(0.1, 0.05, 0.15)), ForestRow("Bags", None, "too few users")]
    found = lines_of(forest_chart("Lift", rows))
    expected = {"Lift", "<b>$Toys$</b>", "+10 % (+5.0 % to +15 %)", "Bags", "too few users", "0 %"}
    assert expected <= found


def test_charts_of_days_label_their_axis() -> None:
    """Weeks of the plan and the lift sought; parts by name, without those that lack an effect."""
    looks = [of(0.1, -0.2, 0.4), of(0.1, 0.0, 0.2)]
    found = looks_chart("Looks", [1, 3], looks, [(0.0, 0.2)] * 2, planned_days=14, sought=0.05)
    assert {"day 1", "day 7", "day 14", "sought: +5.0 %"} <= lines_of(found)
    parts = parts_chart("By day", ["2026-11-02", "2026-11-03"], [None, looks[0]])
    assert "26-11-03" in lines_of(parts)


def test_curves_are_named_in_a_legend() -> None:
    """Arms of a Lorenz chart and sources of propensities; NaN is left out."""
    assert "treatment" in lines_of(lorenz_chart({"treatment": [(0.0, 0.0), (1.0, 1.0)]}))
    untapped = (math.nan, (math.nan, math.nan))
    found = lines_of(positions_chart({"swaps": [(1.0, (1.0, 1.0)), (0.5, (0.1, 9.0)), untapped]}))
    assert "swaps" in found
    assert "9" not in found

"""The page of a log whose slates could be weighted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from experiments.analysis.offline.evaluation import Evaluation, Task, evaluate
from experiments.analysis.offline.report import json_text, page
from experiments.analysis.offline.vectors import ItemVectors
from experiments.analysis.offline.wording import text
from tests.unit.experiments.analysis.offline.click_model import opened


@pytest.fixture(scope="module")
def evaluation(shuffled_log: Path, encoders: list[ItemVectors]) -> Evaluation:
    with opened(shuffled_log) as log:
        return evaluate(log, encoders, Task(baseline="fair", clip=5), name="log", simulated=False)[0]


def test_the_page_has_both_kinds_of_rows_and_the_propensities(evaluation: Evaluation) -> None:
    """Both scores of each encoder, the chart of propensities from each source, and the warning."""
    html = page(evaluation, [])
    for rows in (evaluation.as_logged, evaluation.weighted):
        for row in rows:
            assert row.text("ndcg@5") in html
    assert "<title>How often each position is looked at</title>" in html
    assert "Warning: this log favours the production order" in html
    assert "From shuffled slates" in html
    assert "From swaps" in html
    assert "order shown: shuffled" in html
    assert "Examples" not in html
    assert "Simulated" not in html
    assert not re.search(r"\bnan\b", html)


def test_the_json_has_intervals_of_propensities(evaluation: Evaluation) -> None:
    """And null where the production order has no score."""
    found = json.loads(json_text(evaluation), parse_constant=pytest.fail)
    first = found["propensities"][0]
    assert first["source"] == "shuffled slates"
    assert first["intervals"][0] == [1, 1]
    low, high = first["intervals"][1]
    assert low < 0.5 < high
    production = next(row for row in found["as_logged"] if row["encoder"] == "production order")
    shuffled = next(part for part in production["slices"] if part["value"] == "shuffled")
    assert shuffled["mean"] is None
    assert found["weighting"]["clip"] == 5
    assert 0 < found["weighting"]["clipped_slates"] < found["counts"]["used"]
    assert found["weighting"]["worth_slates"] < found["counts"]["used"]


def test_the_text_has_slices_if_asked(evaluation: Evaluation) -> None:
    """Of both kinds of rows; the production order has none of shuffled slates."""
    sliced = text(evaluation, slices=True)
    assert len(re.findall(r"order shown: shuffled \([\d,]+\) +0\.\d{3} +– +0\.", sliced)) == 2
    assert "order shown" not in text(evaluation, slices=False)
    assert "slates have the largest weight allowed, 5;" in text(evaluation, slices=False)

"""What reads logs finds the truth of simulated ones: offline evaluation, and the verdict of an A/B test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.simulation import Agreement, agreement, judged, production_plan
from demo.simulation.setup import Plan
from experiments.analysis.verdict.recommendation import Decision

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Agreement]:
    """Scores on some 30,000 slates, by encoder."""
    found = agreement(production_plan(users=4000, days=6, listings=2500), tmp_path_factory.mktemp("logs"))
    return {row.encoder: row for row in found}


def test_offline_evaluation_ranks_encoders_as_the_truth_does(rows):
    """Weighted, the order is that of the CTR that each would have."""
    true = sorted(rows, key=lambda name: -rows[name].true_ctr)
    assert true == ["noise-0.4", "control", "noise-1", "noise-1.6"]
    assert sorted(rows, key=lambda name: -rows[name].weighted) == true


def test_an_unweighted_log_favours_its_own_encoder(rows):
    """Production's own encoder comes first, before one that is truly better."""
    assert max(rows, key=lambda name: rows[name].as_logged) == "control"


def test_weighting_comes_closer_to_an_unbiased_log(rows):
    """The reference is the same visits by buyers who look at every position equally."""
    for row in rows.values():
        assert abs(row.weighted - row.unbiased) < abs(row.as_logged - row.unbiased)


def test_a_better_encoder_is_shipped_and_an_equal_one_is_not(tmp_path: Path):
    """The report on a simulated A/B test, and on an A/A test."""
    plan = Plan(users=1200, days=14, pre_days=7, count=2000)
    better = judged(plan, tmp_path / "ab")
    assert better.recommendation.decision is Decision.SHIP
    assert "drawn by nitamono demo simulate" in better.evidence.simulated
    equal = replace(plan, encoders={"control": "0.8", "treatment": "0.8"})
    assert judged(equal, tmp_path / "aa").recommendation.decision is not Decision.SHIP

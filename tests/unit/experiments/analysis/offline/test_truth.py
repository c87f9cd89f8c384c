"""On simulated logs, whose truth is known: the production encoder looks best, and weighting corrects it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.analysis.offline.evaluation import Evaluation, Task, evaluate, known_propensities
from experiments.analysis.offline.orders import PRODUCTION, RANDOM, Gain, gains_of, orders_of, scores_by_order
from experiments.analysis.offline.propensity import Source
from experiments.analysis.offline.vectors import ItemVectors
from experiments.analysis.offline.wording import text, warning
from ml.evaluation.rows import Row
from tests.unit.experiments.analysis.offline.click_model import opened

ENCODERS = ("good", "fair", "poor")
"""In their true order."""


def measured(log: Path, encoders: list[ItemVectors]) -> Evaluation:
    with opened(log) as tapped:
        return evaluate(tapped, encoders, Task(baseline="poor"), name="log", simulated=True)[0]


def by_encoder(rows: list[Row]) -> dict[str, float]:
    return {row.encoder: row.means["ndcg@5"] for row in rows}


def ranked(figures: dict[str, float]) -> tuple[str, ...]:
    return tuple(sorted(ENCODERS, key=lambda name: -figures[name]))


def error(figures: dict[str, float], truth: dict[str, float]) -> float:
    """Mean distance from the truth."""
    return float(np.mean([abs(figures[name] - truth[name]) for name in ENCODERS]))


@pytest.fixture(scope="module")
def truth(watched_log: Path, encoders: list[ItemVectors]) -> dict[str, float]:
    """nDCG@5 where every position is looked at."""
    with opened(watched_log) as log:
        slates = log.slates()
    orders = orders_of(slates, {encoder.name: encoder.cosines(slates) for encoder in encoders})
    scores = scores_by_order(slates, orders, gains_of(slates, Gain.TAPS))
    return {name: float(of["ndcg@5"].mean()) for name, of in scores.items()}


@pytest.fixture(scope="module")
def from_swaps(production_log: Path, encoders: list[ItemVectors]) -> Evaluation:
    return measured(production_log, encoders)


@pytest.fixture(scope="module")
def from_shuffled(shuffled_log: Path, encoders: list[ItemVectors]) -> Evaluation:
    return measured(shuffled_log, encoders)


def test_as_logged_the_encoder_of_the_production_order_wins(
    from_swaps: Evaluation, truth: dict[str, float]
) -> None:
    """It is the worst of the three, and leads by a tenth of nDCG or more."""
    assert ranked(truth) == ENCODERS
    logged = by_encoder(from_swaps.as_logged)
    assert ranked(logged) == ("poor", "good", "fair")
    assert logged["poor"] > truth["poor"] + 0.2


def test_weights_from_swaps_recover_the_order_of_encoders(
    from_swaps: Evaluation, truth: dict[str, float]
) -> None:
    """And come more than three times nearer to the truth, without any shuffled slate."""
    weighted = by_encoder(from_swaps.weighted)
    assert [each.source for each in from_swaps.propensities] == [Source.SWAPS]
    assert ranked(weighted) == ENCODERS
    assert error(weighted, truth) < error(by_encoder(from_swaps.as_logged), truth) / 3
    assert error(weighted, truth) < 0.03
    good = next(row for row in from_swaps.weighted if row.encoder == "good")
    assert good.gain is not None
    assert good.gain > 0.2
    assert (good.p_holm or 0) < 0.001


def test_weights_from_shuffled_slates_do_as_well(from_shuffled: Evaluation, truth: dict[str, float]) -> None:
    """They come first where there are enough of them."""
    weighted = by_encoder(from_shuffled.weighted)
    assert [each.source for each in from_shuffled.propensities] == [Source.SHUFFLED, Source.SWAPS]
    assert ranked(weighted) == ENCODERS
    assert error(weighted, truth) < error(by_encoder(from_shuffled.as_logged), truth) / 2


def test_shuffled_slates_alone_agree_with_the_weighted_rows(from_shuffled: Evaluation) -> None:
    """As logged, a shuffled slate favours nobody: its slice has the order that weights bring about."""
    shuffled = {
        row.encoder: slice_.mean
        for row in from_shuffled.as_logged
        for slice_ in row.slices
        if (slice_.by, slice_.value) == ("order shown", "shuffled")
    }
    assert ranked(shuffled) == ENCODERS
    assert np.isnan(shuffled[PRODUCTION])
    assert error(shuffled, by_encoder(from_shuffled.weighted)) < 0.03


def test_random_order_scores_as_chance_would(from_swaps: Evaluation) -> None:
    """Of ten items with one tap nDCG@5 is 0.295, with two 0.34: the first five discounts over ten, 2.948."""
    assert by_encoder(from_swaps.as_logged)[RANDOM] == pytest.approx(0.30, abs=0.02)


def test_the_warning_says_who_is_favoured_and_who_leads(from_swaps: Evaluation) -> None:
    """One sentence with both scores of the production order and their difference."""
    sentence = warning(from_swaps)
    assert sentence.startswith("Warning: this log favours the production order, whose ndcg@5 is 0.6")
    assert sentence.endswith("go by the weighted rows, where good leads instead of poor.")
    assert sentence in text(from_swaps, slices=False)


def test_where_every_position_is_looked_at_nobody_is_favoured(
    watched_log: Path, encoders: list[ItemVectors]
) -> None:
    """Only that nothing was shuffled is said, and weights change no score by more than a hundredth."""
    evaluation = measured(watched_log, encoders)
    assert warning(evaluation).startswith("Warning: no slates were shuffled")
    logged, weighted = by_encoder(evaluation.as_logged), by_encoder(evaluation.weighted)
    assert weighted == pytest.approx(logged, abs=0.01)


def test_of_few_shuffled_taps_swaps_go_first(shuffled_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were this log's shuffled taps too few, the source with more would be used."""
    monkeypatch.setattr("experiments.analysis.offline.evaluation.ENOUGH_TAPS", 1_000_000)
    with opened(shuffled_log) as log:
        swaps, shuffled = known_propensities(log)
    assert (swaps.source, shuffled.source) == (Source.SWAPS, Source.SHUFFLED)
    assert swaps.taps > shuffled.taps

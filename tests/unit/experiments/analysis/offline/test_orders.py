"""Orders and scores of slates, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.offline.orders import (
    POPULARITY,
    PRODUCTION,
    RANDOM,
    Gain,
    gains_of,
    orders_of,
    scores_by_order,
)
from tests.unit.experiments.analysis.offline.slate_arrays import make_slates

LOG3 = 1 / np.log2(3)
"""The discount of the second rank."""


def test_scores_by_hand() -> None:
    """The tapped third of three comes second by cosine: nDCG 0.631, no hit at 1, a third of p@3, MRR 1/2."""
    slates = make_slates(tapped=[[0, 0, 1]])
    orders = orders_of(slates, {"mine": np.array([[0.9, 0.1, 0.5]])})
    assert orders["mine"].tolist() == [[0, 2, 1]]
    scores = scores_by_order(slates, orders, gains_of(slates, Gain.TAPS))
    assert {name: float(values[0]) for name, values in scores["mine"].items()} == pytest.approx(
        {"ndcg@5": LOG3, "p@1": 0, "p@3": 1 / 3, "hit@1": 0, "hit@3": 1, "mrr": 1 / 2}
    )
    assert float(scores[PRODUCTION]["mrr"][0]) == pytest.approx(1 / 3)


def test_a_purchase_counts_twice_if_asked() -> None:
    """Bought second, tapped first: (1 + 2 × 0.631) of the best, 2 + 0.631."""
    slates = make_slates(tapped=[[1, 1, 0]], bought=[[0, 1, 0]])
    orders = orders_of(slates, {})
    scores = scores_by_order(slates, orders, gains_of(slates, Gain.PURCHASES))[PRODUCTION]
    assert float(scores["ndcg@5"][0]) == pytest.approx((1 + 2 * LOG3) / (2 + LOG3))
    plain = scores_by_order(slates, orders, gains_of(slates, Gain.TAPS))[PRODUCTION]
    assert float(plain["ndcg@5"][0]) == pytest.approx(1)


def test_a_short_slate_is_ranked_without_what_it_lacks() -> None:
    """HashBuckets beyond its end come last, whatever their cosine."""
    slates = make_slates(tapped=[[0, 1, 0], [0, 0, 1]], lengths=[2, 3])
    orders = orders_of(slates, {"mine": np.array([[0.2, 0.1, -np.inf], [0.1, 0.2, 0.3]])})
    assert orders["mine"].tolist() == [[0, 1, 2], [2, 1, 0]]
    assert orders[RANDOM][0, 2] == 2


def test_the_production_order_of_a_shuffled_slate_has_no_score() -> None:
    """What was shown is not what production would have shown."""
    slates = make_slates(tapped=[[1, 0], [1, 0]], randomised=[True, False])
    scores = scores_by_order(slates, orders_of(slates, {}), gains_of(slates, Gain.TAPS))
    assert np.isnan(scores[PRODUCTION]["ndcg@5"]).tolist() == [True, False]
    assert not np.isnan(scores[POPULARITY]["ndcg@5"]).any()


def test_ties_are_broken_at_random() -> None:
    """Items alike do not come in the order shown: each is first in a third of 3,000 slates, ± 4 sigma."""
    slates = make_slates(tapped=[[1, 0, 0]] * 3000)
    first = orders_of(slates, {"alike": np.ones((3000, 3))})["alike"][:, 0]
    assert np.bincount(first) / 3000 == pytest.approx([1 / 3] * 3, abs=0.035)

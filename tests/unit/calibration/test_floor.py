"""The floor fitted to judged pairs."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.floor import crossing

COSINES = np.linspace(0, 1, 1001)


def test_the_floor_is_where_alike_is_as_likely_as_not() -> None:
    """With a likelihood that rises around 0.6."""
    likely = 1 / (1 + np.exp(-20 * (COSINES - 0.6)))
    alike = np.random.default_rng(1).random(1001) < likely
    shuffled = np.random.default_rng(2).permutation(1001)
    floor = crossing(COSINES[shuffled], alike[shuffled])
    assert floor is not None
    assert floor.cosine == pytest.approx(0.6, abs=0.04)
    assert floor.alike_below == pytest.approx(alike[floor.cosine > COSINES].sum() / alike.sum(), abs=0.01)
    assert floor.alike_below < 0.2
    assert floor.unlike_below > 0.8


def test_a_floor_below_which_most_alike_pairs_are_is_none() -> None:
    """Three of ten pairs are alike at any cosine, and all above 0.95."""
    alike = (COSINES > 0.95) | (np.arange(1001) % 10 < 3)
    assert crossing(COSINES, alike) is None
    assert crossing(COSINES, alike & (COSINES > 0.8)) is not None


@pytest.mark.parametrize(
    ("cosines", "alike"),
    [
        (COSINES, np.ones(1001, bool)),
        (COSINES, np.zeros(1001, bool)),
        (COSINES, COSINES > 0.98),
        (COSINES, COSINES < 0.5),
        (COSINES[:2], np.array([False, True])),
    ],
    ids=["all alike", "none alike", "too few above", "falling", "two pairs"],
)
def test_there_is_no_floor_without_a_crossing(cosines: np.ndarray, alike: np.ndarray) -> None:
    """With enough pairs on both sides."""
    assert crossing(cosines, alike) is None

"""Slates for tests, of whatever a test is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.analysis.offline.slates import Slates


def make_slates(
    tapped: Sequence[Sequence[int]],
    *,
    bought: Sequence[Sequence[int]] | None = None,
    lengths: Sequence[int] | None = None,
    randomised: Sequence[bool] | None = None,
    user: Sequence[int] | None = None,
) -> Slates:
    """A slate a row of `tapped`, all of one query item; items 1, 2, … in the order shown."""
    taps = np.array(tapped, dtype=np.bool_)
    count, width = taps.shape
    places = np.broadcast_to(np.arange(1, width + 1), taps.shape)
    within = places <= np.array(lengths if lengths is not None else [width] * count)[:, None]
    return Slates(
        item_ids=[f"m{code}" for code in range(width + 1)],
        query=np.zeros(count, dtype=np.int64),
        user=np.array(user if user is not None else range(count), dtype=np.int64),
        day=np.array(["2026-11-02"] * count),
        category=np.array(["Apparel"] * count),
        price=np.array([""] * count),
        randomised=np.array(randomised if randomised is not None else [False] * count),
        items=np.where(within, places, -1),
        positions=np.where(within, places, 0),
        tapped=taps,
        bought=np.array(bought if bought is not None else np.zeros_like(taps), dtype=np.bool_),
        popularity=np.zeros(taps.shape, dtype=np.int64),
    )

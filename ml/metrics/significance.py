"""Significance tests of differences between encoders. NumPy only."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ml.metrics.ranking import Scores

RESAMPLES: Final = 10_000
"""The smallest possible p-value is 1 / (RESAMPLES + 1)."""
CHUNK: Final = 500
"""Resamples at a time, to bound memory."""


def randomisation_p(differences: Scores, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p-value of the mean difference between two encoders over the same queries.

    Fisher's paired randomisation test (Smucker, Allan and Carterette, 2007): if the encoders are equal, each
    query's difference is as likely to have the opposite sign. The p-value is the share of random sign
    assignments, including the observed one, whose mean is at least as far from 0.

    differences: (q,) float64, NaN where a query has no score.
    """
    known = differences[~np.isnan(differences)]
    # Sums of the same numbers in another order differ in the last bits, and must count as equal.
    observed = abs(known.sum()) * (1 - 1e-12)
    rng = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        signs = rng.integers(0, 2, (count, len(known)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ known) >= observed).sum())
    return (extreme + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several comparisons, in the order given (Holm, 1979, step-down).

    The i-th smallest of m, counted from 0, is multiplied by m − i, made monotone and capped at 1. NaN, of a
    comparison that could not be made, stays NaN and is not counted in m.
    """
    adjusted = [float("nan")] * len(p_values)
    floor, compared = 0.0, len(p_values) - int(np.isnan(p_values).sum())
    for rank, index in enumerate(np.argsort(p_values, kind="stable")[:compared]):  # NaN comes last
        floor = max(floor, min(1.0, p_values[index] * (compared - rank)))
        adjusted[index] = floor
    return adjusted

"""Whether a difference between two encoders could be chance. NumPy only."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ml.metrics.ranking import Scores

RESAMPLES: Final = 10_000
"""Smallest p-value that can be told: 1 / (RESAMPLES + 1)."""
CHUNK: Final = 500


def randomisation_p(differences: Scores, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p-value of a mean difference between two encoders over the same queries.

    Fisher's paired randomisation: were both alike, each query's difference could as well have the other
    sign. The share of random signs whose mean is at least as far from 0, the observed signs counted in.

    differences: (q,), NaN where a query has no score.
    """
    known = differences[~np.isnan(differences)]
    # Sums of the same numbers in another order differ in the last bits, and must count as equal.
    observed = abs(known.sum()) * (1 - 1e-12)
    random = np.random.default_rng(seed)
    farther = 0
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        signs = random.integers(0, 2, (count, len(known)), dtype=np.int8) * 2 - 1
        farther += int((np.abs(signs @ known) >= observed).sum())
    return (farther + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values for several comparisons in one run, in the order given (Holm 1979, step-down).

    The i-th smallest of m, counted from 0, is multiplied by m − i; none is below a smaller one's or above 1.
    NaN, of a comparison that could not be made, stays NaN and is none of the m.
    """
    adjusted = [float("nan")] * len(p_values)
    floor, made = 0.0, len(p_values) - int(np.isnan(p_values).sum())
    for place, index in enumerate(np.argsort(p_values, kind="stable")[:made]):  # NaN comes last
        floor = max(floor, min(1.0, p_values[index] * (made - place)))
        adjusted[index] = floor
    return adjusted

"""How often a candidate is tapped for what ranking terms say of it."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from calibration.questions import Flags, Floats

_STEEPEST: Final = 1000.0
"""Per unit of cosine: at twenty times less, the best of two items a spread apart has all taps."""

_LEAST_LOG: Final = -500.0
"""Of an appeal: above 0 in floats, so that two categories far behind a third can be compared."""


def appeal(scores: Floats, grades: Floats, importance: Floats, among: Flags) -> Floats:
    """(n, m) odds of a tap by score, relative to the best candidate of the same slate; 0 for a score of -inf.

    Conditional logit (McFadden 1974): of a slate's taps each goes to a candidate in proportion to
    exp(slope · score). The slope maximises the likelihood of the taps among some candidates.

    scores, grades: (n, m). importance: (n,). among: (n, m) the candidates whose taps count.
    """
    chosen = np.where(among, scores, -np.inf)
    taps = importance[:, None] * (among & (grades > 0))
    tapped = taps.any(axis=1)
    chosen, taps = chosen[tapped], taps[tapped]
    found = np.where(taps > 0, chosen, 0)

    def negative_log_likelihood(slope: float) -> float:
        each = logsumexp(slope * chosen, axis=1)
        return float((taps.sum(axis=1) * each - slope * (taps * found).sum(axis=1)).sum())

    best = minimize_scalar(
        negative_log_likelihood, bounds=(0, _STEEPEST), method="bounded", options={"xatol": 1e-3}
    )
    slope = float(best.x) if len(chosen) else 0.0
    present = np.isfinite(scores)
    behind = np.where(present, scores - scores.max(axis=1, keepdims=True), 0.0)
    return np.where(present, np.exp(np.maximum(slope * behind, _LEAST_LOG)), 0.0)

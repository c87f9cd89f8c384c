"""The floor of similarity, fitted on judged pairs."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import isotonic_regression

from calibration.questions import Floats, Questions

LEAST_PAIRS: Final = 30
"""Pairs that must lie on each side of the floor: fewer are no evidence of where it lies."""


def fitted_floor(questions: Questions) -> float | None:
    """Return the cosine below which a judged pair is more likely of grade 0 than not, or None.

    The likelihood is an isotonic regression on the cosine. None where it does not cross one half with
    LEAST_PAIRS on each side.
    """
    present = np.isfinite(questions.cosines)
    return crossing(questions.cosines[present], questions.grades[present] > 0)


def crossing(cosines: Floats, alike: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float | None:
    """Return the cosine at which pairs become more likely alike than not, rounded to thousandths."""
    if len(cosines) < 2 * LEAST_PAIRS:
        return None
    order = np.argsort(cosines, kind="stable")
    likely = isotonic_regression(alike[order].astype(float)).x >= 0.5
    below = int(np.count_nonzero(~likely))
    if min(below, len(likely) - below) < LEAST_PAIRS:
        return None
    return max(0.0, round(float(cosines[order][below - 1 : below + 1].mean()), 3))

"""The floor of similarity, fitted on judged pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from calibration.questions import Floats, Questions

LEAST_PAIRS: Final = 30
"""Pairs that must lie on each side of the floor: fewer are no evidence of where it lies."""

MOST_LOST: Final = 0.5
"""The largest share of pairs of a grade above 0 below a floor: labels that few similar items share, such as
colours, would else empty most answers."""


@dataclass(frozen=True)
class Floor:
    """A cosine, and what is below it."""

    cosine: float
    """Rounded to thousandths."""
    alike_below: float
    """Share of the pairs of a grade above 0."""
    unlike_below: float
    """Share of the pairs of grade 0."""


def fitted_floor(questions: Questions) -> Floor | None:
    """Return the floor below which a judged pair is more likely of grade 0 than not, or None.

    The likelihood is an isotonic regression on the cosine. None where it does not cross one half with
    LEAST_PAIRS on each side, or more than MOST_LOST of the pairs of a grade above 0 are below.
    """
    present = np.isfinite(questions.cosines)
    return crossing(questions.cosines[present], questions.grades[present] > 0)


def crossing(cosines: Floats, alike: NDArray[np.bool_]) -> Floor | None:
    """Return where pairs (n,) become more likely alike than not."""
    if len(cosines) < 2 * LEAST_PAIRS:
        return None
    order = np.argsort(cosines, kind="stable")
    likely = isotonic_regression(alike[order].astype(float)).x >= 0.5
    below = int(np.count_nonzero(~likely))
    if min(below, len(likely) - below) < LEAST_PAIRS:
        return None
    cosine = max(0.0, round(float(cosines[order][below - 1 : below + 1].mean()), 3))
    floor = Floor(cosine, share_below(cosines[alike], cosine), share_below(cosines[~alike], cosine))
    return floor if floor.alike_below <= MOST_LOST else None


def share_below(cosines: Floats, floor: float) -> float:
    """Return the share of cosines (n,) below a floor."""
    return float(np.mean(cosines < floor))

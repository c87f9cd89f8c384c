"""Judged items as arrays, with defaults."""

from __future__ import annotations

import numpy as np

from calibration.questions import Floats, Questions


def make_questions(cosines: Floats, values: Floats, grades: Floats, **changes: Floats) -> Questions:
    """Items that count alike, each in a cluster of its own. cosines and grades: (n, m). values: (t, n, m)."""
    alone = {
        "fixed": np.zeros_like(cosines),
        "importance": np.ones(len(cosines)),
        "cluster": np.arange(len(cosines)),
    }
    return Questions(cosines=cosines, values=values, grades=grades, **(alone | changes))

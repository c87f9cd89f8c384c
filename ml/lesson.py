"""What a student imitates: a teacher's vectors of the training photos."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.baseline import Vectors, unit


@dataclass(frozen=True)
class Lesson:
    """A row per photo of a corpus."""

    features: Vectors
    """(n, f) unit norm, around the training photos' mean: what networks see that never saw our labels."""
    vectors: Vectors | None = None
    """(n, width) unit norm: where photos of like labels lie close."""


def around_mean(features: Vectors, train: NDArray[np.int64]) -> Vectors:
    """(n, f) unit norm, around the training photos' mean: what all photos share teaches nothing."""
    directions = unit(features)
    return unit(directions - directions[train].mean(axis=0))

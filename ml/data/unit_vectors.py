"""Unit vectors. NumPy only."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""(n, d) float32, unit norm."""


def normalize(vectors: NDArray[np.floating]) -> Vectors:
    """(n, d) float32, unit norm, of vectors (n, d) float; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

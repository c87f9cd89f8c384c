"""PCA from the towers' width to the index's dims, and how alike neighbours are after it. NumPy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """A unit vector v becomes components · (v − mean), brought back to unit length."""

    mean: Vectors
    """(width,)"""
    components: Vectors
    """(dims, width), orthonormal rows."""
    explained: float
    """Share of the variance that is kept."""

    def apply(self, vectors: Vectors) -> Vectors:
        """(n, dims) float32, unit norm, of vectors (n, width)."""
        projected = (vectors - self.mean) @ self.components.T
        return np.asarray(projected / np.linalg.norm(projected, axis=1, keepdims=True), dtype=np.float32)


def fit_projection(vectors: Vectors, dims: int) -> Projection:
    """The first `dims` principal components of vectors (n, width), n ≥ dims.

    Raises:
        ValueError: there are fewer vectors, or fewer columns, than dims.
    """
    if min(vectors.shape) < dims:
        raise ValueError(f"PCA to {dims} dims needs as many vectors and columns, found {vectors.shape}")
    wide = vectors.astype(np.float64)
    mean = wide.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(wide - mean, rowvar=False))
    components = axes[:, ::-1][:, :dims].T
    explained = variances[::-1][:dims].sum() / variances.sum()
    return Projection(mean.astype(np.float32), components.astype(np.float32), float(explained))


@dataclass(frozen=True)
class NeighbourSimilarity:
    """Cosines between a query and its nearest neighbours, averaged over queries."""

    mean: float
    spread: float
    """Mean standard deviation: the scale on which re-ranking weights are calibrated."""


def neighbour_similarity(vectors: Vectors, neighbours: int) -> NeighbourSimilarity:
    """By exact search of each of vectors (n, dims), unit norm, among the others."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = -np.sort(-cosines, axis=1)[:, : min(neighbours, len(vectors) - 1)]
    return NeighbourSimilarity(float(nearest.mean()), float(nearest.std(axis=1).mean()))

"""PCA from the width of a network to the dims of the index, and similarity of neighbours. NumPy only."""

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from ml.atomic_files import replaced
from ml.errors import MlError

Vectors = NDArray[np.float32]
Float64s = NDArray[np.float64]

NEIGHBOURS: Final = 100
"""Nearest neighbours whose similarity is the scale of ranking weights."""
REMEDY: Final = "free disk space or choose another --out, then rerun: finished shards are skipped"


class TooFewVectors(MlError, ValueError):
    """More dims were requested than there are vectors or columns."""


class NoVariance(MlError, ValueError):
    """All vectors are equal, so PCA has no axes."""


class BadProjection(MlError):
    """A file of a projection, or of sums, that cannot be read or has other content."""


@dataclass(frozen=True)
class Projection:
    """The map of a unit vector v to components · (v − mean), normalised."""

    mean: Vectors
    """(width,) float32."""
    components: Vectors
    """(dims, width) float32, orthonormal rows."""
    explained: float
    """Share of the variance that is kept, from 0 to 1."""

    def apply(self, vectors: Vectors) -> Vectors:
        """Project vectors (n, width) float32, unit norm, to (n, dims) float32, unit norm."""
        projected = (vectors - self.mean) @ self.components.T
        return np.asarray(projected / np.linalg.norm(projected, axis=1, keepdims=True), dtype=np.float32)


def save_projection(projection: Projection, path: Path) -> None:
    """Write `mean`, `components` and `explained` to a .npz file atomically.

    Raises:
        NotWritten: the file cannot be written.
    """
    arrays = {"mean": projection.mean, "components": projection.components}
    save_arrays(path, arrays | {"explained": np.float64(projection.explained)})


def load_projection(path: Path) -> Projection:
    """Read a file of save_projection.

    Raises:
        BadProjection: the file cannot be read or has other content.
    """
    mean, components, explained = load_arrays(path, "mean", "components", "explained")
    if components.ndim != 2 or mean.shape != components.shape[1:] or explained.shape:
        raise BadProjection(
            f"{path}: mean {mean.shape}, components {components.shape} and explained {explained.shape} "
            "do not match; write it again with `nitamono ml fit-pca`"
        )
    return Projection(mean.astype(np.float32), components.astype(np.float32), float(explained))


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic] | np.generic]) -> None:
    """Write arrays (of any shape) to a .npz file atomically, also if other processes write the same file.

    Raises:
        NotWritten: the disk is full, or the folder is missing or not writable.
    """
    with replaced(path, shared=True, remedy=REMEDY) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # typeshed takes the names for allow_pickle


def load_arrays(path: Path, *names: str) -> list[NDArray[np.float64]]:
    """Read the named arrays of a .npz file (any shape) as float64.

    Raises:
        BadProjection: the file cannot be read or lacks an array.
    """
    try:
        # np.load would return an array for a .npy file instead of an archive.
        with path.open("rb") as file, NpzFile(file) as arrays:
            return [np.asarray(arrays[name], dtype=np.float64) for name in names]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise BadProjection(
            f"{path}: cannot be read ({error}), expected a .npz with {', '.join(names)}; "
            "remove it and run `nitamono ml fit-pca` again"
        ) from error


@dataclass(frozen=True)
class CovarianceSums:
    """Sufficient statistics of vectors for PCA. Adding those of two parts gives those of the whole."""

    count: int
    mean: Float64s
    """(width,) float64."""
    scatter: Float64s
    """(width, width) float64: Σ (v − mean)(v − mean)ᵀ. Kept about the mean, since Σ v vᵀ − n · mean · meanᵀ
    cancels the digits in which embeddings differ."""

    @classmethod
    def of(cls, vectors: Vectors) -> "CovarianceSums":
        """Compute the sums of vectors (n, width) float32, n ≥ 1."""
        wide = vectors.astype(np.float64)
        mean = wide.mean(axis=0)
        wide -= mean
        return cls(len(wide), mean, wide.T @ wide)

    def __add__(self, other: "CovarianceSums") -> "CovarianceSums":
        """Add sums: Chan, Golub, LeVeque (1979), "Updating formulae and a pairwise algorithm", eq. 2.1."""
        count = self.count + other.count
        difference = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(difference, difference) * (self.count * other.count / count)
        return CovarianceSums(count, self.mean + difference * (other.count / count), scatter)

    def spectrum(self) -> "Spectrum":
        """All principal axes and their variances."""
        variances, axes = np.linalg.eigh(self.scatter / max(1, self.count - 1))
        return Spectrum(self.count, self.mean, with_fixed_signs(axes.T[::-1]), variances[::-1].clip(0))

    def save(self, path: Path) -> None:
        """Write the sums to a .npz file atomically.

        Raises:
            NotWritten: the file cannot be written.
        """
        save_arrays(path, {"count": np.int64(self.count), "mean": self.mean, "scatter": self.scatter})


def load_sums(path: Path) -> CovarianceSums:
    """Read a file of CovarianceSums.save.

    Raises:
        BadProjection: the file cannot be read or has other content.
    """
    count, mean, scatter = load_arrays(path, "count", "mean", "scatter")
    return CovarianceSums(int(count), mean, scatter)


def sum_chunks(chunks: Iterable[Vectors]) -> CovarianceSums:
    """Compute the sums of one or more chunks (n, width) float32, in the memory of one."""
    return reduce(add, map(CovarianceSums.of, chunks))


@dataclass(frozen=True)
class Spectrum:
    """The principal axes of vectors, largest variance first."""

    count: int
    """Number of vectors."""
    mean: Float64s
    """(width,) float64."""
    axes: Float64s
    """(≤ width, width) float64, orthonormal rows; the largest entry of each is positive."""
    variances: Float64s
    """(width,) float64, descending."""

    def explained(self, dims: int) -> float:
        """Share of the variance in the first `dims` axes, from 0 to 1.

        Raises:
            NoVariance: the vectors differ by no more than float32 rounding.
        """
        total = float(self.variances.sum())
        if total <= float(np.finfo(np.float32).eps) ** 2 * float(self.mean @ self.mean):
            raise NoVariance(
                f"the {self.count} vectors are all equal, so PCA finds no axes; "
                "embed different photos, or check which file repeats one vector"
            )
        return float(self.variances[:dims].sum()) / total

    def projection(self, dims: int) -> Projection:
        """The projection to the first `dims` axes.

        Raises:
            TooFewVectors: there are fewer vectors or columns than dims.
            NoVariance: all vectors are equal.
        """
        shape = (self.count, len(self.mean))
        if min(shape) < dims:
            raise TooFewVectors(
                f"PCA to {dims} dims needs at least as many vectors and columns, found {shape}; "
                "add photos or choose fewer dims"
            )
        components = self.axes[:dims].astype(np.float32)
        return Projection(self.mean.astype(np.float32), components, self.explained(dims))


def with_fixed_signs(axes: Float64s) -> Float64s:
    """Axes (n, width) float64, the largest entry of each positive: solvers choose signs arbitrarily."""
    largest = np.abs(axes).argmax(axis=1, keepdims=True)
    return np.asarray(axes * np.sign(np.take_along_axis(axes, largest, axis=1)))


def fit_projection(vectors: Vectors, dims: int) -> Projection:
    """Fit PCA to vectors (n, width) float32, n ≥ dims, in memory.

    Raises:
        TooFewVectors: there are fewer vectors or columns than dims.
        NoVariance: all vectors are equal.
    """
    return CovarianceSums.of(vectors).spectrum().projection(dims)


@dataclass(frozen=True)
class NeighbourSimilarity:
    """Cosines between vectors and their nearest neighbours, averaged over the vectors."""

    mean: float
    spread: float
    """Mean standard deviation, by which re-ranking weights are scaled."""


def neighbour_similarity(vectors: Vectors, neighbours: int) -> NeighbourSimilarity:
    """Measure the similarity of vectors (n, dims) float32, unit norm, to their neighbours by exact search."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = -np.sort(-cosines, axis=1)[:, : min(neighbours, len(vectors) - 1)]
    return NeighbourSimilarity(float(nearest.mean()), float(nearest.std(axis=1).mean()))


def nearest_rows(vectors: Vectors, neighbours: int) -> NDArray[np.int64]:
    """(n, k) int64 rows of the k = min(neighbours, n − 1) nearest of vectors (n, d) float32, unordered."""
    count = min(neighbours, len(vectors) - 1)
    nearest = np.empty((len(vectors), count), np.int64)
    for start in range(0, len(vectors), 512):
        cosines = vectors[start : start + 512] @ vectors.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        nearest[start : start + 512] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return nearest


def neighbour_recall(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Recall@k, from 0 to 1: mean share of rows `before` (n, k) int64 that are among `after` (n, k) int64."""
    pairs = zip(before, after, strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / len(one) for one, other in pairs]))

"""PCA from the towers' width to the index's dims, and how alike neighbours are after it. NumPy only."""

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


REMEDY: Final = "make room or choose another --out, then rerun: finished shards are skipped"


class TooFewVectors(MlError, ValueError):
    """PCA was asked for more dims than there are vectors or columns."""


class NoVariance(MlError, ValueError):
    """PCA was asked for axes of vectors that are all the same."""


class BadProjection(MlError):
    """A saved projection, or saved sums, that cannot be read, or are of another network."""


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


def save_projection(projection: Projection, path: Path) -> None:
    """Write `mean`, `components` and `explained` to a .npz file, whole or not at all."""
    arrays = {"mean": projection.mean, "components": projection.components}
    save_arrays(path, arrays | {"explained": np.float64(projection.explained)})


def load_projection(path: Path) -> Projection:
    """What save_projection wrote.

    Raises:
        BadProjection: the file cannot be read or holds something else.
    """
    mean, components, explained = load_arrays(path, "mean", "components", "explained")
    if components.ndim != 2 or mean.shape != components.shape[1:] or explained.shape:
        raise BadProjection(
            f"{path}: mean {mean.shape}, components {components.shape} and explained {explained.shape} "
            "do not fit each other; write it again with `nitamono ml fit-pca`"
        )
    return Projection(mean.astype(np.float32), components.astype(np.float32), float(explained))


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic] | np.generic]) -> None:
    """Write a .npz file, whole or not at all, also where several workers share a folder of sums.

    Raises:
        NotWritten: there is no room, or no such folder.
    """
    with replaced(path, shared=True, remedy=REMEDY) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # typeshed takes the names for allow_pickle


def load_arrays(path: Path, *names: str) -> list[NDArray[np.float64]]:
    try:
        # np.load would give the array of a .npy file, which is no archive to take names from.
        with path.open("rb") as file, NpzFile(file) as arrays:
            return [np.asarray(arrays[name], dtype=np.float64) for name in names]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise BadProjection(
            f"{path}: cannot be read ({error}), expected a .npz with {', '.join(names)}; "
            "remove it and run `nitamono ml fit-pca` again"
        ) from error


@dataclass(frozen=True)
class CovarianceSums:
    """What PCA needs of any number of vectors; the sums of two parts add up to those of the whole."""

    count: int
    mean: Float64s
    """(width,)"""
    scatter: Float64s
    """(width, width): Σ (v − mean)(v − mean)ᵀ. Kept about the mean, since Σ v vᵀ − n · mean · meanᵀ loses
    the digits in which embeddings differ."""

    @classmethod
    def of(cls, vectors: Vectors) -> "CovarianceSums":
        """The sums of vectors (n, width), n ≥ 1."""
        wide = vectors.astype(np.float64)
        mean = wide.mean(axis=0)
        wide -= mean
        return cls(len(wide), mean, wide.T @ wide)

    def __add__(self, other: "CovarianceSums") -> "CovarianceSums":
        """Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm", equation 2.1."""
        count = self.count + other.count
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(apart, apart) * (self.count * other.count / count)
        return CovarianceSums(count, self.mean + apart * (other.count / count), scatter)

    def spectrum(self) -> "Spectrum":
        """All principal axes."""
        variances, axes = np.linalg.eigh(self.scatter / max(1, self.count - 1))
        return Spectrum(self.count, self.mean, with_fixed_signs(axes.T[::-1]), variances[::-1].clip(0))

    def save(self, path: Path) -> None:
        save_arrays(path, {"count": np.int64(self.count), "mean": self.mean, "scatter": self.scatter})


def load_sums(path: Path) -> CovarianceSums:
    """What CovarianceSums.save wrote.

    Raises:
        BadProjection: the file cannot be read or holds something else.
    """
    count, mean, scatter = load_arrays(path, "count", "mean", "scatter")
    return CovarianceSums(int(count), mean, scatter)


def sum_chunks(chunks: Iterable[Vectors]) -> CovarianceSums:
    """The sums of one or more chunks (n, width), in the memory of one."""
    return reduce(add, map(CovarianceSums.of, chunks))


@dataclass(frozen=True)
class Spectrum:
    """The principal axes of vectors, from the one with the most variance down."""

    count: int
    """Of vectors."""
    mean: Float64s
    """(width,)"""
    axes: Float64s
    """(≤ width, width), orthonormal rows; the largest entry of each is positive."""
    variances: Float64s
    """(width,), descending."""

    def explained(self, dims: int) -> float:
        """Share of the variance in the first `dims` axes.

        Raises:
            NoVariance: the vectors differ by no more than float32 rounds.
        """
        total = float(self.variances.sum())
        if total <= float(np.finfo(np.float32).eps) ** 2 * float(self.mean @ self.mean):
            raise NoVariance(
                f"the {self.count} vectors are all the same, so PCA finds no axes; "
                "embed photos that differ, or see which file has one vector many times"
            )
        return float(self.variances[:dims].sum()) / total

    def projection(self, dims: int) -> Projection:
        """On the first `dims` axes.

        Raises:
            TooFewVectors: there are fewer vectors, or fewer columns, than dims.
            NoVariance: the vectors are all the same.
        """
        shape = (self.count, len(self.mean))
        if min(shape) < dims:
            raise TooFewVectors(
                f"PCA to {dims} dims needs as many vectors and columns, found {shape}; "
                "give more photos or ask for fewer dims"
            )
        components = self.axes[:dims].astype(np.float32)
        return Projection(self.mean.astype(np.float32), components, self.explained(dims))


def with_fixed_signs(axes: Float64s) -> Float64s:
    """The axes with the sign that makes the largest entry of each positive: solvers choose it at random."""
    largest = np.abs(axes).argmax(axis=1, keepdims=True)
    return np.asarray(axes * np.sign(np.take_along_axis(axes, largest, axis=1)))


def fit_projection(vectors: Vectors, dims: int) -> Projection:
    """The first `dims` principal components of vectors (n, width), n ≥ dims.

    Raises:
        TooFewVectors: there are fewer vectors, or fewer columns, than dims.
        NoVariance: the vectors are all the same.
    """
    return CovarianceSums.of(vectors).spectrum().projection(dims)


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


def nearest_rows(vectors: Vectors, neighbours: int) -> NDArray[np.int64]:
    """(n, k) row numbers of each vector's k nearest others, in any order; k = min(neighbours, n − 1)."""
    found = min(neighbours, len(vectors) - 1)
    nearest = np.empty((len(vectors), found), np.int64)
    for start in range(0, len(vectors), 512):
        cosines = vectors[start : start + 512] @ vectors.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        nearest[start : start + 512] = np.argpartition(-cosines, found - 1, axis=1)[:, :found]
    return nearest


def neighbour_recall(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Share of the nearest rows (n, k) before that are among those after: recall@k against full width."""
    pairs = zip(before, after, strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / len(one) for one, other in pairs]))

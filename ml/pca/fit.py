"""Fitting PCA to shards of embeddings. The sums of each shard are saved, so a rerun reads only new shards."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Final, Literal

import numpy as np
from tqdm import tqdm

from ml.atomic_files import replaced, writing
from ml.data.vector_shards import Shard, held_out_sample
from ml.pca.projection import (
    CovarianceSums,
    Spectrum,
    TooFewVectors,
    Vectors,
    load_sums,
    nearest_rows,
    neighbour_recall,
    sum_chunks,
    with_fixed_signs,
)

Solver = Literal["scikit-learn", "streaming"]

SAMPLE: Final = 5000
"""Maximum number of held-out rows that are compared: exact search of 5,000 among 5,000 takes seconds."""
NEIGHBOURS: Final = 10
"""Neighbours per held-out row that are compared."""


@dataclass(frozen=True)
class Choice:
    """Measurements of a number of dims."""

    dims: int
    explained: float
    """Share of the variance, from 0 to 1."""
    recall: float
    """Mean share of a held-out row's NEIGHBOURS nearest at full width that stay its nearest, from 0 to 1."""


def require_rows(shards: Sequence[Shard], dims: int) -> None:
    """Check that there are enough rows, before any is read.

    Raises:
        TooFewVectors: there are fewer fitted rows or columns than dims, or fewer than two held-out rows.
    """
    rows, width = sum(shard.fitted_rows for shard in shards), shards[0].width
    held_out = sum(shard.rows for shard in shards) - rows
    if min(rows, width) < dims or held_out < 2:
        raise TooFewVectors(
            f"{shards[0].path} and {len(shards) - 1} more: {rows} rows of {width} to fit and {held_out} "
            f"held out, expected at least {dims} rows and columns and 2 held out; "
            "embed more photos or choose fewer --dims"
        )


def fit_shards(
    shards: Sequence[Shard], sums_folder: Path, *, memory_limit: int, workers: int = 1
) -> tuple[Spectrum, Solver]:
    """Fit all rows not held out: by scikit-learn within memory_limit bytes, else by sums per shard."""
    if bytes_in_memory(shards) <= memory_limit:
        return fit_in_memory(
            np.concatenate([chunk for shard in shards for chunk in shard.fitted()])
        ), "scikit-learn"
    return stream_sums(shards, sums_folder, workers).spectrum(), "streaming"


def bytes_in_memory(shards: Sequence[Shard]) -> int:
    """Peak memory of fit_in_memory: the rows as float32, and as float64 with a centred copy."""
    return sum(shard.fitted_rows * shard.width for shard in shards) * (4 + 8 + 8)


def fit_in_memory(vectors: Vectors) -> Spectrum:
    """Fit vectors (n, width) float32 by scikit-learn's PCA, with min(n, width) axes."""
    from sklearn.decomposition import PCA  # noqa: PLC0415  heavy, and for this solver alone

    rows, width = vectors.shape
    # Both solvers are exact; covariance_eigh is faster for many rows.
    pca = PCA(svd_solver="covariance_eigh" if rows >= 2 * width else "full")
    with np.errstate(invalid="ignore"):  # vectors without variance; see Spectrum.explained
        pca.fit(vectors.astype(np.float64))
    variances = np.zeros(width)
    variances[: len(pca.explained_variance_)] = pca.explained_variance_
    return Spectrum(rows, pca.mean_, with_fixed_signs(pca.components_), variances)


def stream_sums(shards: Sequence[Shard], folder: Path, workers: int = 1) -> CovarianceSums:
    """Sum all shards, in the memory of `workers` chunks. folder: of the sums of finished shards."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # Threads suffice: reading and matrix products release the GIL.
    with ThreadPoolExecutor(workers) as pool:
        paths = pool.map(partial(save_shard_sums, folder=folder), shards)
        saved = list(tqdm(paths, "summing", len(shards), unit="shard", disable=None))
    # In the order of the shards, so that the result does not depend on which worker finishes first.
    return reduce(add, map(load_sums, saved))


def save_shard_sums(shard: Shard, folder: Path) -> Path:
    """Compute and save the sums of a shard unless they exist, and return their path."""
    path = folder / f"{shard.path.stem}-{shard_key(shard)}.npz"
    if not path.exists():
        sum_chunks(shard.fitted()).save(path)
    return path


def shard_key(shard: Shard) -> str:
    """8 hex digits that change when the shard is moved or rewritten."""
    state = shard.path.stat()
    state_text = f"{shard.path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}"
    return hashlib.blake2b(state_text.encode(), digest_size=4).hexdigest()


def measure_choices(spectrum: Spectrum, shards: Sequence[Shard], dims: Sequence[int]) -> list[Choice]:
    """Measure each number of dims on up to SAMPLE held-out rows."""
    sample = held_out_sample(shards, SAMPLE)
    nearest = nearest_rows(sample, NEIGHBOURS)
    return [
        Choice(
            one,
            spectrum.explained(one),
            neighbour_recall(nearest, nearest_rows(spectrum.projection(one).apply(sample), NEIGHBOURS)),
        )
        for one in dims
    ]


def draw_choices(spectrum: Spectrum, choices: Sequence[Choice], path: Path) -> None:
    """Write a PNG with the variance explained by the first dims and the recall of each choice.

    Raises:
        NotWritten: the file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy, and for reports alone

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    shares = np.cumsum(spectrum.variances) / spectrum.variances.sum()
    axes.plot(np.arange(1, len(shares) + 1), shares, label="variance explained")
    dims, recalls = [choice.dims for choice in choices], [choice.recall for choice in choices]
    axes.plot(dims, recalls, "o--", label=f"recall@{NEIGHBOURS} against full width, held out")
    axes.set(
        xscale="log",
        xlabel="dims",
        ylabel="share",
        ylim=(0, 1.03),
        title=f"PCA of {spectrum.count:,} vectors",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with replaced(path) as file:
        figure.savefig(file, format="png", dpi=120)

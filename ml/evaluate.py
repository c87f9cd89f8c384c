"""How good vectors are: exact search among labelled photos, graded relevance, intervals over queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.metrics import Scores, bootstrap_interval, hit_rate_at_k, ndcg_at_k, precision_at_k
from ml.pairs import Labels

Vectors = NDArray[np.float32]

DEPTH: Final = 5
EXACT: Final = 3
"""Gain of a candidate of the same type, gender and colour."""


def graded_gains(labels: Sequence[Labels]) -> NDArray[np.int64]:
    """(n, n) gains of each photo for each query, 0 for itself and for another type.

    3: same type, gender and colour. 2: same type and gender. 1: same type.
    """
    columns = np.array([(label.type, label.gender, label.colour) for label in labels])
    same = columns[:, None, :] == columns[None, :, :]
    gains = np.cumprod(same, axis=2).sum(axis=2)
    np.fill_diagonal(gains, 0)
    return np.asarray(gains, dtype=np.int64)


def nearest(vectors: Vectors, count: int) -> NDArray[np.int64]:
    """(n, count) rows by cosine to each of vectors (n, d), unit norm; a vector is not its own neighbour."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :count]


def retrieval_scores(vectors: Vectors, labels: Sequence[Labels]) -> dict[str, Scores]:
    """Scores (n,) by metric, of every photo as a query among the others; NaN where no other has its type.

    ndcg@5: with graded_gains as they are. ndcg_exp@5: with 2^gain − 1. p@1 and hit@5: the first, or any of
    the first five, has the same type, gender and colour. type@5: share of the first five of the same type.

    vectors: (n, d), unit norm, a row per label.
    """
    gains = graded_gains(labels)
    ranked = np.take_along_axis(gains, nearest(vectors, DEPTH), axis=1)
    scores = {
        "ndcg@5": ndcg_at_k(ranked, gains, DEPTH),
        "ndcg_exp@5": ndcg_at_k(2**ranked - 1, 2**gains - 1, DEPTH),
        "p@1": precision_at_k(ranked == EXACT, 1),
        "hit@5": hit_rate_at_k(ranked == EXACT, DEPTH),
        "type@5": precision_at_k(ranked > 0, DEPTH),
    }
    answerable = gains.any(axis=1)
    return {name: np.where(answerable, values, np.nan) for name, values in scores.items()}


def means(scores: Mapping[str, Scores]) -> dict[str, float]:
    return {name: float(np.nanmean(values)) for name, values in scores.items()}


@dataclass(frozen=True)
class Row:
    """One encoder in a comparison: means over queries, 95 % intervals, and its gain over the baseline."""

    encoder: str
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    gain: float | None
    """Of mean nDCG@5 over the baseline's, as a share of the latter; None for the baseline or without one."""
    gain_interval: tuple[float, float] | None
    """95 %, paired: the same queries are drawn for both encoders."""


def compare(encoders: Mapping[str, Vectors], labels: Sequence[Labels], baseline: str | None) -> list[Row]:
    """A row per encoder, in the order given. encoders: name to vectors (n, d), unit norm, a row per label."""
    scores = {name: retrieval_scores(vectors, labels) for name, vectors in encoders.items()}
    reference = None if baseline is None else scores[baseline]["ndcg@5"]
    return [row_of(name, of, None if name == baseline else reference) for name, of in scores.items()]


def row_of(encoder: str, scores: dict[str, Scores], reference: Scores | None) -> Row:
    gain, gain_interval = None, None
    if reference is not None:
        scale = float(np.nanmean(reference))
        low, high = bootstrap_interval(scores["ndcg@5"] - reference)
        gain = float(np.nanmean(scores["ndcg@5"])) / scale - 1
        gain_interval = (low / scale, high / scale)
    intervals = {name: bootstrap_interval(values) for name, values in scores.items()}
    return Row(encoder, means(scores), intervals, gain, gain_interval)


def random_vectors(count: int, dims: int, seed: int = 0) -> Vectors:
    """(count, dims) float32, unit norm, of evenly spread directions: the row that anything must beat."""
    vectors = np.random.default_rng(seed).standard_normal((count, dims))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

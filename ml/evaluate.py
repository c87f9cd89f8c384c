"""How good vectors are: exact search among photos with known labels, graded relevance, intervals over queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.metrics import Scores, bootstrap_interval, ndcg_at_k, precision_at_k
from ml.pairs import Labels

DEPTH = 5


@dataclass(frozen=True)
class RetrievalScores:
    """Scores per query (q,), NaN where no candidate is relevant to it."""

    ndcg: Scores
    """nDCG@5 with the gains of graded_gains."""
    exact: Scores
    """P@1: the first has the same type, gender and colour."""
    type: Scores
    """Share of the first five that have the same type."""

    def means(self) -> dict[str, float]:
        return {name: float(np.nanmean(scores)) for name, scores in self.by_name().items()}

    def by_name(self) -> dict[str, Scores]:
        return {"ndcg@5": self.ndcg, "p@1": self.exact, "type@5": self.type}

    def intervals(self) -> dict[str, tuple[float, float]]:
        return {name: bootstrap_interval(scores) for name, scores in self.by_name().items()}


def graded_gains(labels: Sequence[Labels]) -> NDArray[np.int64]:
    """(n, n) gains of each photo for each query: 3 same type, gender and colour; 2 type and gender; 1 type; else 0.

    A photo is no candidate for itself: the diagonal is 0.
    """
    columns = np.array([(label.type, label.gender, label.colour) for label in labels])
    same = columns[:, None, :] == columns[None, :, :]
    gains = np.cumprod(same, axis=2).sum(axis=2)
    np.fill_diagonal(gains, 0)
    return gains


def nearest(vectors: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """(n, count) rows in order of cosine to each of vectors (n, d), unit norm; a vector is not its own neighbour."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :count]


def retrieval_scores(vectors: NDArray[np.float32], labels: Sequence[Labels]) -> RetrievalScores:
    """Scores of every photo as a query among the others. vectors: (n, d), unit norm, a row per label."""
    gains = graded_gains(labels)
    ranked = np.take_along_axis(gains, nearest(vectors, DEPTH), axis=1)
    answerable = gains.any(axis=1)

    def known(scores: Scores) -> Scores:
        return np.where(answerable, scores, np.nan)

    return RetrievalScores(
        ndcg=ndcg_at_k(ranked, gains, DEPTH),
        exact=known(precision_at_k(ranked == 3, 1)),
        type=known(precision_at_k(ranked > 0, DEPTH)),
    )

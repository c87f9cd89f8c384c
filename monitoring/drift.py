"""Drift: whether the newest listings look to the encoder like the photos that it was made with.

The graph of an artifact begins at pixels and ends at the unit vector, so neither the norm before that nor the
variance that PCA keeps of one photo can be read from it. What can be measured are the stored vectors: the
newest against a random sample of the index, and against the figures in the artifact's manifest
(docs/decisions/183-watching.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from mappings.identity import EncoderIdentity

NEWEST: Final = 200
"""Vectors of the newest listings."""
REFERENCE: Final = 400
"""Vectors of listings at random."""
ASKED: Final = 24
"""Of the newest, those whose neighbours are searched."""
NEIGHBOURS: Final = 100
"""As many as the manifest's similarity is the mean of."""
LEAST: Final = 2 * REFERENCE
"""Listings with a vector: in a smaller index the hundredth neighbour is far away."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Drift:
    """The newest listings of an index against its others, and against the artifact's own figures."""

    encoder: EncoderIdentity
    similarity: float
    """Mean cosine of some of the newest to their nearest hundred."""
    centre_shift: float
    """How far the mean of the newest lies from that of all, as a share of the variance; 0 is no shift."""
    leading: float
    """Share of the variance of the newest that is in the first quarter of the components of PCA."""
    leading_reference: float
    """The same of the listings at random."""

    @property
    def deviation(self) -> float:
        """How far the similarity is from the artifact's own, in its spreads."""
        return (self.similarity - self.encoder.similarity_mean) / self.encoder.similarity_spread


def measure_drift(es: Elasticsearch, index: str, encoder: EncoderIdentity) -> Drift | None:
    """Return the drift of an index of the encoder, or None if it has too few vectors.

    Raises:
        ApiError, TransportError: Elasticsearch does not answer.
    """
    ids, newest = _vectors(es, index, NEWEST, {"sort": [{"indexed_at": "desc"}], "query": _WITH_VECTOR})
    _, reference = _vectors(es, index, REFERENCE, {"query": _AT_RANDOM})
    if len(newest) < NEWEST or len(reference) < REFERENCE or _count(es, index) < LEAST:
        return None
    step = NEWEST // ASKED
    similarity = _similarity(es, index, ids[::step], newest[::step])
    return Drift(
        encoder,
        similarity,
        centre_shift(newest, reference),
        leading_share(newest),
        leading_share(reference),
    )


def centre_shift(newest: Vectors, reference: Vectors) -> float:
    """Return the squared distance of two means as a share of the variance of the reference.

    Both are (n, dims). The distance that two samples of one distribution have by chance is subtracted.
    """
    of_newest, of_reference = variance(newest), variance(reference)
    by_chance = of_newest / len(newest) + of_reference / len(reference)
    distance = float(np.sum((newest.mean(0) - reference.mean(0)) ** 2))
    return max(0.0, distance - by_chance) / of_reference if of_reference else 0.0


def leading_share(vectors: Vectors) -> float:
    """Return the share of the variance of (n, dims) vectors in the first quarter of their components."""
    of_each = vectors.var(0, ddof=1)
    total = float(of_each.sum())
    return float(of_each[: max(1, len(of_each) // 4)].sum()) / total if total else 0.0


def variance(vectors: Vectors) -> float:
    """Return the mean squared distance of (n, dims) vectors from their mean."""
    return float(vectors.var(0, ddof=1).sum())


_WITH_VECTOR: Final[dict[str, Any]] = {"exists": {"field": "vector"}}
_AT_RANDOM: Final[dict[str, Any]] = {"function_score": {"query": _WITH_VECTOR, "random_score": {}}}


def _vectors(es: Elasticsearch, index: str, size: int, search: dict[str, Any]) -> tuple[list[str], Vectors]:
    answer = es.search(
        index=index,
        size=size,
        source_includes=["vector"],
        source_exclude_vectors=False,
        track_total_hits=False,
        **search,
    )
    hits = answer["hits"]["hits"]
    return [hit["_id"] for hit in hits], np.array(
        [hit["_source"]["vector"] for hit in hits], dtype=np.float32
    )


def _count(es: Elasticsearch, index: str) -> int:
    return int(es.count(index=index, query=_WITH_VECTOR)["count"])


def _similarity(es: Elasticsearch, index: str, ids: list[str], vectors: Vectors) -> float:
    """Return the mean cosine of items to their nearest hundred, themselves left out."""
    searches: list[dict[str, Any]] = []
    for vector in vectors.tolist():
        knn = {
            "field": "vector",
            "query_vector": vector,
            "k": NEIGHBOURS + 1,
            "num_candidates": 2 * NEIGHBOURS,
        }
        searches += [{"index": index}, {"knn": knn, "size": NEIGHBOURS + 1, "_source": False}]
    answers = es.msearch(searches=searches)["responses"]
    cosines = [
        2 * hit["_score"] - 1
        for item_id, answer in zip(ids, answers, strict=True)
        for hit in answer["hits"]["hits"]
        if hit["_id"] != item_id
    ]
    return float(np.mean(cosines))

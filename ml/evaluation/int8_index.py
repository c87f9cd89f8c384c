"""Emulation of int8_hnsw: Lucene's scalar quantisation, with exact search in place of the graph."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.metrics.retrieval import Ranking, Vectors, nearest

LEVELS: Final = 127
"""int8_hnsw keeps 7 bits per component (Lucene's ScalarQuantizer)."""
MIN_CONFIDENCE: Final = 0.9
"""Smallest confidence interval (Lucene's ScalarQuantizer.MINIMUM_CONFIDENCE_INTERVAL)."""


@dataclass(frozen=True)
class Quantised:
    """Vectors v as codes q with v ≈ low + step · q, and one correction each for dot products."""

    codes: NDArray[np.uint8]
    """(n, d) uint8, from 0 to LEVELS."""
    corrections: Vectors
    """(n,) float32, added to dot products of codes."""
    step: float


def quantise(vectors: Vectors) -> Quantised:
    """Quantise vectors (n, d) float32, unit norm, between quantiles of all components.

    Like Lucene (calculateDefaultConfidenceInterval) it clips the outermost 1 / (d + 1) of components, half
    at either end. Lucene averages the quantiles of groups of twenty vectors; here they are of all vectors.
    """
    confidence = max(MIN_CONFIDENCE, 1 - 1 / (vectors.shape[1] + 1))
    low, high = np.quantile(vectors, [(1 - confidence) / 2, (1 + confidence) / 2]).astype(np.float64)
    step = (high - low) / LEVELS
    codes = np.rint((np.clip(vectors, low, high) - low) / step)
    # ScalarQuantizer.quantize: the error of the codes' dot product, to first order in the rounding errors.
    restored = codes * step
    corrections = (low * (vectors - low / 2) + (vectors - low - restored) * restored).sum(axis=1)
    return Quantised(codes.astype(np.uint8), corrections.astype(np.float32), float(step))


def int8_nearest(vectors: Vectors, count: int) -> Ranking:
    """(n, ≤ count) int64 neighbours of vectors (n, d) float32, unit norm, with both sides quantised.

    The score is step² · q·q' + corrections, as in Lucene without oversampling. The query's own correction is
    the same for all candidates, so it is left out.
    """
    quantised = quantise(vectors)
    scaled = quantised.codes.astype(np.float32) * np.float32(quantised.step)
    candidates = np.column_stack([scaled, quantised.corrections])
    queries = np.column_stack([scaled, np.ones(len(scaled), np.float32)])
    return nearest(candidates, count, queries)

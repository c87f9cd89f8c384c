"""Lucene's scalar quantisation against exact values and exact search."""

import numpy as np
import pytest

from ml.data.unit_vectors import normalize
from ml.evaluation.int8_index import LEVELS, int8_nearest, quantise
from ml.metrics.retrieval import nearest, random_vectors


def test_codes_span_seven_bits_and_outliers_are_clipped() -> None:
    """The smallest and the largest components get codes 0 and 127."""
    codes = quantise(random_vectors(200, 16)).codes
    assert codes.min() == 0
    assert codes.max() == LEVELS


def test_scores_of_neighbours_follow_from_codes_and_corrections() -> None:
    """step² · q·q' with both corrections is within 0.02 of the dot product of near vectors.

    For distant vectors it is not: Lucene's correction assumes that both are clipped in the same components.
    """
    vectors = random_vectors(50, 128)
    near = normalize(vectors + 0.3 * random_vectors(50, 128, seed=1))
    quantised = quantise(np.concatenate([vectors, near]))
    codes = quantised.codes.astype(np.float64)
    found = quantised.step**2 * (codes[:50] * codes[50:]).sum(axis=1)
    found += quantised.corrections[:50] + quantised.corrections[50:]
    assert found == pytest.approx((vectors * near).sum(axis=1), abs=0.02)


def test_most_neighbours_are_kept() -> None:
    """Even of random vectors in 128 dimensions, whose neighbours hardly differ."""
    vectors = random_vectors(500, 128)
    exact, found = nearest(vectors, 10), int8_nearest(vectors, 10)
    kept = [len(set(a) & set(b)) / 10 for a, b in zip(exact.tolist(), found.tolist(), strict=True)]
    assert 0.85 < np.mean(kept) < 1
    assert not (found == np.arange(500)[:, None]).any(), "a vector is its own neighbour"

"""PCA against scikit-learn's, and the scale of neighbours' similarity by hand."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from ml.projection import fit_projection, neighbour_similarity


def test_equals_scikit_learn() -> None:
    """The same components up to sign, and the same share of variance."""
    vectors = np.random.default_rng(0).standard_normal((300, 12)).astype(np.float32) * np.arange(1, 13)
    ours, theirs = fit_projection(vectors.astype(np.float32), 5), PCA(5).fit(vectors)
    assert np.abs((ours.components * theirs.components_).sum(axis=1)) == pytest.approx(1, abs=1e-5)
    assert ours.explained == pytest.approx(theirs.explained_variance_ratio_.sum(), abs=1e-5)


def test_projected_vectors_have_unit_norm() -> None:
    """What goes into a dot_product field is a unit vector again."""
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    projected = fit_projection(vectors, 3).apply(vectors)
    assert projected.dtype == np.float32
    assert np.linalg.norm(projected, axis=1) == pytest.approx(1, abs=1e-6)


def test_too_few_vectors_are_refused() -> None:
    """Seven photos span no eight dimensions."""
    with pytest.raises(ValueError, match=r"PCA to 8 dims .* found \(7, 16\)"):
        fit_projection(np.zeros((7, 16), np.float32), 8)


def test_neighbour_similarity_by_hand() -> None:
    """Four directions a right angle apart: each has neighbours at cosine 0, 0 and −1."""
    cross = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    all_three = neighbour_similarity(cross, 100)
    assert all_three.mean == pytest.approx(-1 / 3)
    assert all_three.spread == pytest.approx(np.std([0, 0, -1]))
    assert neighbour_similarity(cross, 2).spread == pytest.approx(0)

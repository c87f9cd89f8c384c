"""PCA compared with scikit-learn's, and neighbours worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from ml.atomic_files import NotWritten
from ml.pca.projection import (
    BadProjection,
    CovarianceSums,
    NoVariance,
    fit_projection,
    load_projection,
    load_sums,
    nearest_rows,
    neighbour_recall,
    neighbour_similarity,
    save_projection,
)


def test_equals_scikit_learn() -> None:
    """The same components up to sign, and the same share of variance."""
    vectors = np.random.default_rng(0).standard_normal((300, 12)).astype(np.float32) * np.arange(1, 13)
    ours, theirs = fit_projection(vectors.astype(np.float32), 5), PCA(5).fit(vectors)
    assert np.abs((ours.components * theirs.components_).sum(axis=1)) == pytest.approx(1, abs=1e-5)
    assert ours.explained == pytest.approx(theirs.explained_variance_ratio_.sum(), abs=1e-5)


def test_projected_vectors_have_unit_norm() -> None:
    """As a dot_product field requires."""
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    projected = fit_projection(vectors, 3).apply(vectors)
    assert projected.dtype == np.float32
    assert np.linalg.norm(projected, axis=1) == pytest.approx(1, abs=1e-6)


def test_too_few_vectors_are_rejected() -> None:
    """Seven photos cannot span eight dimensions."""
    with pytest.raises(ValueError, match=r"PCA to 8 dims .* found \(7, 16\)"):
        fit_projection(np.zeros((7, 16), np.float32), 8)


def test_neighbour_similarity_by_hand() -> None:
    """Four orthogonal directions: each has neighbours at cosine 0, 0 and −1."""
    cross = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    all_three = neighbour_similarity(cross, 100)
    assert all_three.mean == pytest.approx(-1 / 3)
    assert all_three.spread == pytest.approx(np.std([0, 0, -1]))
    assert neighbour_similarity(cross, 2).spread == pytest.approx(0)


def test_sums_of_parts_add_up_to_those_of_the_whole() -> None:
    """Also far from the origin, where Σ v vᵀ would lose the differences between vectors."""
    vectors = (np.random.default_rng(0).standard_normal((900, 6)) * 1e-3 + 1e3).astype(np.float32)
    parts = [CovarianceSums.of(part) for part in (vectors[:1], vectors[1:700], vectors[700:])]
    added = parts[0] + (parts[1] + parts[2])
    expected = np.cov(vectors.astype(np.float64), rowvar=False)
    assert added.count == 900
    assert added.scatter / 899 == pytest.approx(expected, rel=1e-9)
    assert added.mean == pytest.approx(vectors.mean(axis=0, dtype=np.float64), rel=1e-12)


def test_saved_sums_and_projections_are_read_back_exactly(tmp_path: Path) -> None:
    """So that workers can exchange sums as files."""
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    sums, projection = CovarianceSums.of(vectors), fit_projection(vectors, 3)
    sums.save(tmp_path / "sums.npz")
    save_projection(projection, tmp_path / "projection.npz")
    assert np.array_equal(load_sums(tmp_path / "sums.npz").scatter, sums.scatter)
    again = load_projection(tmp_path / "projection.npz")
    assert np.array_equal(again.components, projection.components)
    assert np.array_equal(again.apply(vectors), projection.apply(vectors))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["projection.npz", "sums.npz"]


def test_an_invalid_projection_file_is_named(tmp_path: Path) -> None:
    """Not an archive, other arrays, or arrays of mismatched shapes."""
    path = tmp_path / "projection.npz"
    path.write_text("nothing")
    with pytest.raises(BadProjection, match=r"projection\.npz: cannot be read .* fit-pca` again"):
        load_projection(path)
    np.savez(path, mean=np.zeros(3))
    with pytest.raises(BadProjection, match=r"expected a \.npz with mean, components, explained"):
        load_projection(path)
    np.savez(path, mean=np.zeros(3), components=np.zeros((2, 4)), explained=1.0)
    with pytest.raises(BadProjection, match=r"mean \(3,\), components \(2, 4\) and .* do not match"):
        load_projection(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 3)))
    with pytest.raises(BadProjection, match=r"cannot be read .* expected a \.npz"):
        load_projection(path)
    np.savez(path, mean=["a"], components=[["b"]], explained=1.0)
    with pytest.raises(BadProjection, match=r"cannot be read .* expected a \.npz"):
        load_projection(path)


def test_equal_vectors_have_no_axes() -> None:
    """Nor do vectors that differ only by float32 rounding; slightly larger differences suffice."""
    same = np.tile(np.random.default_rng(0).standard_normal(8).astype(np.float32), (40, 1))
    with pytest.raises(NoVariance, match="the 40 vectors are all equal"):
        fit_projection(same, 2)
    rounded = same * (1 + np.float32(6e-8) * (np.arange(40) % 2)[:, None].astype(np.float32))
    with pytest.raises(NoVariance):
        fit_projection(rounded, 2)
    differing = same * (1 + np.arange(40)[:, None].astype(np.float32) / 1000)
    assert fit_projection(differing, 2).explained == pytest.approx(1)


def test_a_projection_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """The message has the reason and a remedy."""
    sums = CovarianceSums.of(np.eye(3, dtype=np.float32))
    missing = tmp_path / "missing" / "sums.npz"
    with pytest.raises(
        NotWritten, match=rf"^{missing}: cannot be written .* free disk space .* shards are skipped$"
    ):
        sums.save(missing)


def test_neighbour_recall_by_hand() -> None:
    """One of two and two of two neighbours are kept; the order is ignored."""
    before, after = np.array([[1, 2], [0, 2]]), np.array([[3, 1], [2, 0]])
    assert neighbour_recall(before, after) == pytest.approx(0.75)


def test_nearest_rows_by_hand() -> None:
    """On a circle the nearest points are the adjacent ones, without the point itself."""
    angles = np.deg2rad([0, 10, 30, 100])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert nearest_rows(points, 1).tolist() == [[1], [0], [1], [2]]
    assert nearest_rows(points, 9).shape == (4, 3)

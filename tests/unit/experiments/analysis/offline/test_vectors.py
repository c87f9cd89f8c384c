"""Vectors as `ml embed` writes them: cosines, and what cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.analysis.offline.vectors import ItemVectors, UnusableVectors, read_vectors, with_vectors
from ml.inference.embed import Embedded, save_embedded
from tests.unit.experiments.analysis.offline.slate_arrays import make_slates


def saved(folder: Path, **vectors: list[float]) -> ItemVectors:
    path = folder / "mine.npy"
    save_embedded(Embedded(np.array(list(vectors.values()), dtype=np.float32), list(vectors)), path)
    return read_vectors("mine", path)


def test_cosines_by_hand(tmp_path: Path) -> None:
    """Lengths do not matter; what lies beyond a slate's end is last of all."""
    encoder = saved(tmp_path, m0=[2, 0], m1=[3, 0], m2=[0, 1], m3=[3, 4])
    slates = make_slates(tapped=[[1, 0, 0], [1, 0, 0]], lengths=[3, 2])
    assert encoder.cosines(slates) == pytest.approx(np.array([[1, 0, 0.6], [1, 0, -np.inf]]))


def test_an_item_embedded_again_has_its_last_vector(tmp_path: Path) -> None:
    """A listing that was updated comes twice."""
    path = tmp_path / "mine.npy"
    np.save(path, np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32))
    path.with_suffix(".ids.txt").write_text("m0\nm1\nm0\n")
    slates = make_slates(tapped=[[1]])
    assert read_vectors("mine", path).cosines(slates).tolist() == [[1]]


def test_slates_need_the_vectors_of_every_encoder(tmp_path: Path) -> None:
    """The third item has none: slates that show it are no slate of any row."""
    encoder = saved(tmp_path, m0=[1, 0], m1=[1, 0], m2=[0, 1])
    slates = make_slates(tapped=[[1, 0, 0], [1, 0, 0]], lengths=[3, 2])
    assert with_vectors(slates, [encoder]).tolist() == [False, True]
    assert with_vectors(slates, [encoder, ItemVectors("none", tmp_path, {})]).tolist() == [False, False]


def test_a_vector_without_direction_is_named(tmp_path: Path) -> None:
    """The file and the row."""
    encoder = saved(tmp_path, m0=[1, 0], m1=[0, 0])
    with pytest.raises(UnusableVectors, match=r"mine.npy: row 1 has NaN, infinite values or only zeros"):
        encoder.cosines(make_slates(tapped=[[1]]))


def test_ids_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Missing, or too few."""
    path = tmp_path / "mine.npy"
    np.save(path, np.eye(2, dtype=np.float32))
    with pytest.raises(UnusableVectors, match=r"mine.ids.txt: .*expected the ids of mine.npy"):
        read_vectors("mine", path)
    path.with_suffix(".ids.txt").write_text("m0\n")
    with pytest.raises(UnusableVectors, match="1 ids, expected 2"):
        read_vectors("mine", path)

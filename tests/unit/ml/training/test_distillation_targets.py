"""Distillation targets are computed once per run, however often it is resumed."""

from pathlib import Path

import numpy as np
import pytest

from ml.commands.finetune import cached_targets, compute_targets
from ml.configs import mobilenet_student
from ml.configs.siglip_small import SMOKE
from ml.data.corpus import Corpus
from ml.training.config import FinetuneConfig
from ml.training.distillation_targets import (
    DistillationTargets,
    UnreadableTargets,
    center_features,
    has_targets,
    load_targets,
    save_targets,
)
from ml.training.distributed import Processes

ROWS = np.eye(3, 4, dtype=np.float32)


@pytest.mark.parametrize("vectors", [None, ROWS])
def test_saved_targets_are_read_back(vectors: np.ndarray | None, tmp_path: Path) -> None:
    """With and without vectors; targets for other data do not count."""
    path = tmp_path / "run" / "distillation_targets.npz"
    assert not has_targets(path, "these photos")
    save_targets(DistillationTargets(ROWS, vectors), "these photos", path)
    assert has_targets(path, "these photos")
    assert not has_targets(path, "other photos")
    kept = load_targets(path)
    assert np.array_equal(kept.features, ROWS)
    assert (kept.vectors is None) == (vectors is None)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """The message has the truncated file and the remedy."""
    path = tmp_path / "distillation_targets.npz"
    save_targets(DistillationTargets(ROWS), "photos", path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        UnreadableTargets, match=r"distillation_targets\.npz: .*remove it and run the same command again"
    ):
        has_targets(path, "photos")


def test_a_resumed_run_reuses_its_targets(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets are computed once, and again only for another teacher."""
    asked = []

    def make(
        _corpus: Corpus, _config: FinetuneConfig, teacher: Path | None, _threads: int
    ) -> DistillationTargets:
        asked.append(teacher)
        return DistillationTargets(ROWS)

    monkeypatch.setattr("ml.commands.finetune.compute_targets", make)
    for teacher in (None, None, tmp_path, tmp_path):
        path = tmp_path / "distillation_targets.npz"
        cached_targets(corpus, SMOKE, teacher, path, threads=1, processes=Processes())
    assert asked == [None, tmp_path]


def test_target_vectors_keep_the_cosines_of_the_teacher(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At full width, cosines of target vectors equal those of the teacher's centred features."""
    width = mobilenet_student.SMOKE.tower.width
    raw = np.random.default_rng(0).normal(size=(len(corpus.pairs), width)).astype(np.float32)
    monkeypatch.setattr("ml.models.reference_encoders.mobilenet_features", lambda *_, **__: raw)
    made = compute_targets(corpus, mobilenet_student.SMOKE, tmp_path, threads=1)
    centred = made.features - made.features[corpus.rows("train")].mean(axis=0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    assert made.vectors is not None
    assert made.vectors @ made.vectors.T == pytest.approx(expected @ expected.T, abs=1e-5)
    assert compute_targets(corpus, SMOKE, tmp_path, threads=1).vectors is None


def test_features_are_centred() -> None:
    """By the mean direction of the training rows; the norm is 1 again."""
    found = center_features(np.array([[1.0, 1.0], [1.0, -1.0], [3.0, 3.0]], np.float32), np.array([0, 1]))
    assert found == pytest.approx(np.array([[0, 1], [0, -1], [0, 1]]), abs=1e-6)

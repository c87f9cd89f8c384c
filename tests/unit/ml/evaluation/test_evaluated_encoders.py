"""The rows of an evaluation, and the folders that it accepts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml.artifact import ArtifactError, EncoderArtifact, Preprocessing
from ml.data.corpus import Corpus
from ml.evaluation.evaluated_encoders import (
    EvaluatedEncoders,
    UnknownEncoder,
    baseline_of,
    fit_mobilenets,
    load_encoders,
    pixels_for,
    rankings,
)
from ml.metrics.retrieval import nearest


def hf_folder(folder: Path, kind: str = "mobilenet_v2") -> Path:
    """A folder with a config.json alone."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    return folder


def fake_features(
    _folder: Path, photos: list[bytes], *, threads: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Directions in 200 dimensions, by a photo's length in bytes."""
    directions = np.stack([np.random.default_rng(len(photo)).standard_normal(200) for photo in photos])
    return (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)


def test_artifacts_and_mobilenets_are_recognised(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """Artifacts by their manifest, MobileNetV2s by their config; several are named by folder."""
    hf = hf_folder(tmp_path / "mobilenet")
    one = load_encoders([artifact.folder, hf], None)
    assert [found.encoder_id for found in one.artifacts] == [artifact.encoder_id]
    assert one.mobilenets == {"MobileNetV2": hf}
    two = load_encoders([hf], hf_folder(tmp_path / "wide"))
    assert set(two.mobilenets) == {"MobileNetV2 wide", "MobileNetV2 mobilenet"}
    assert two.preprocessing == Preprocessing(image_size=128)


@pytest.mark.parametrize("config", [None, "no JSON", '{"model_type": "siglip"}', "[]"])
def test_other_folders_are_rejected(config: str | None, tmp_path: Path) -> None:
    """The message says how to import another model."""
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(UnknownEncoder, match=r"neither an artifact .*nor a MobileNetV2.*nitamono ml import"):
        load_encoders([tmp_path], None)


def test_rows_of_an_artifact(artifact: EncoderArtifact, corpus: Corpus) -> None:
    """Before PCA, as served, and quantised; no photo finds itself."""
    found = rankings(EvaluatedEncoders((artifact,), {}), corpus, {})
    name = artifact.encoder_id
    assert list(found) == ["random", f"{name}, full width", name, f"{name}, int8 index"]
    photos = len(corpus.pairs)
    for ranking in found.values():
        assert ranking.shape == (photos, photos - 1)
        assert not (ranking == np.arange(photos)[:, None]).any()
    same = found[f"{name}, full width"][:, :5] == found[name][:, :5]
    assert same.mean() > 0.2, (
        "PCA to half the width finds the same photo at a rank far more often than chance"
    )


def test_an_artifact_without_a_checkpoint_has_no_rows_of_torch(
    artifact: EncoderArtifact, corpus: Corpus
) -> None:
    """An imported encoder is compared only as served."""
    files = {name: digest for name, digest in artifact.manifest.files.items() if "checkpoint" not in name}
    bare = EncoderArtifact(artifact.folder, artifact.manifest.model_copy(update={"files": files}))
    found = rankings(EvaluatedEncoders((bare,), {}), corpus, {})
    assert list(found) == ["random", artifact.encoder_id, f"{artifact.encoder_id}, int8 index"]


def test_rows_of_a_mobilenet(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, after PCA fitted to the train split, and with colours."""
    monkeypatch.setattr("ml.models.reference_encoders.mobilenet_features", fake_features)
    encoders = EvaluatedEncoders((), {"MobileNetV2": tmp_path})
    assert fit_mobilenets(encoders, corpus) == {}, "96 photos cannot fit 128 dims"
    monkeypatch.setattr("ml.evaluation.evaluated_encoders.PCA_DIMS", 16)
    projections = fit_mobilenets(encoders, corpus)
    found = rankings(encoders, corpus, projections)
    assert list(found) == ["random", "MobileNetV2", "MobileNetV2 + PCA-16", "MobileNetV2 + colours"]
    photos = [pair.photo.read_bytes() for pair in corpus.pairs]
    alone = fake_features(tmp_path, photos, threads=1)
    assert np.array_equal(found["MobileNetV2"], nearest(alone, 100))
    train = corpus.rows("train")
    assert projections["MobileNetV2"].mean == pytest.approx(alone[train].mean(axis=0), abs=1e-6)


def test_the_baseline_is_a_mobilenet_or_the_first_of_several(
    artifact: EncoderArtifact, tmp_path: Path
) -> None:
    """A single artifact has no baseline; an unknown name is rejected."""
    one, two = EvaluatedEncoders((artifact,), {}), EvaluatedEncoders((artifact, artifact), {})
    assert baseline_of([], one, None) is None
    assert baseline_of([], two, None) == artifact.encoder_id
    assert baseline_of([], EvaluatedEncoders((artifact,), {"MobileNetV2": tmp_path}), None) == "MobileNetV2"
    assert baseline_of(["random"], one, "random") == "random"
    with pytest.raises(UnknownEncoder, match="no row is named 'best'; expected one of: random, MobileNetV2"):
        baseline_of(["random", "MobileNetV2"], one, "best")


def test_photos_are_decoded_again_for_another_size(corpus: Corpus) -> None:
    """Encoders of several sizes are compared on the same photos."""
    part = corpus.part(np.arange(3))
    assert pixels_for(part, corpus.preprocessing) is part.pixels
    assert pixels_for(part, Preprocessing(image_size=24)).shape == (3, 24, 24, 3)
    cropped = pixels_for(part, Preprocessing(image_size=corpus.size, crop=0.5))
    assert cropped.shape == part.pixels.shape
    assert not np.array_equal(cropped, part.pixels)


def test_a_damaged_artifact_is_named(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """With the file and the remedy, as everywhere."""
    folder = Path(shutil.copytree(artifact.folder, tmp_path / "copy"))
    (folder / "image.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"image.onnx: cannot be read"):
        load_encoders([folder], None)

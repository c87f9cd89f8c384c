"""`nitamono ml project`: the vectors of another projection, of photos and of captions."""

from pathlib import Path

import numpy as np
import pytest

from ml.artifact import EncoderArtifact, load_artifact
from ml.data.corpus import Corpus
from ml.data.embedding_shards import EmbeddingRow, write_shard
from ml.export.project import LEAST_SAMPLE
from ml.inference.encoder import load_encoder
from ml.inference.full_width import last_layer, load_full_width_encoder
from ml.pca.projection import fit_projection, load_projection, save_projection
from tests.unit.ml.test_cli import call

DIMS = 5


@pytest.fixture(scope="module")
def embeddings(artifact: EncoderArtifact, corpus: Corpus) -> np.ndarray:
    """(n, width) float32 of the shop's photos, twice."""
    encoder = load_full_width_encoder(artifact, backend="onnxruntime")
    return np.tile(encoder.encode_full_width(corpus.pixels)[1], (2, 1))


@pytest.fixture
def shards(artifact: EncoderArtifact, embeddings: np.ndarray, tmp_path: Path) -> Path:
    """A folder of full-width vectors."""
    rows = [
        EmbeddingRow(f"m{number}", "s1", "f" * 32, 0, "0" * 16, 1, vector)
        for number, vector in enumerate(embeddings)
    ]
    return write_shard(tmp_path / "shards", last_layer(artifact).backbone_id, rows).parent


@pytest.fixture
def projection(embeddings: np.ndarray, tmp_path: Path) -> Path:
    """A projection to other dims than the artifact's."""
    path = tmp_path / "projection.npz"
    save_projection(fit_projection(embeddings, DIMS), path)
    return path


def test_an_artifact_of_the_same_network_projects_otherwise(
    artifact: EncoderArtifact, corpus: Corpus, shards: Path, projection: Path, tmp_path: Path
) -> None:
    """With an id, golden vectors and a similarity scale of its own; a trained text tower is left out."""
    result = call(
        "project",
        artifact.folder,
        "--projection",
        projection,
        "--embeddings",
        shards,
        "--out",
        tmp_path / "new",
    )
    assert result.exit_code == 0, result.output
    made = load_artifact(tmp_path / "new")
    assert f"{made.encoder_id}, {DIMS} dims, made of {artifact.encoder_id}" in result.output
    assert made.encoder_id != artifact.encoder_id
    assert last_layer(made).backbone_id == last_layer(artifact).backbone_id
    full = load_full_width_encoder(artifact, backend="onnxruntime").encode_full_width(corpus.pixels[:9])[1]
    for backend in ("onnxruntime", "openvino"):
        vectors = load_encoder(made, backend=backend, precision="f32").encode(corpus.pixels[:9])
        assert vectors == pytest.approx(load_projection(projection).apply(full), abs=1e-4)
    assert made.manifest.similarity != artifact.manifest.similarity
    assert (made.has_text, "encodes photos only" in result.output) == (False, artifact.has_text)
    assert made.manifest.training["projected"] == {
        "made_of": artifact.encoder_id,
        "backbone_id": last_layer(artifact).backbone_id,
    }


def test_vectors_and_projections_of_another_network_are_refused(
    artifact: EncoderArtifact, embeddings: np.ndarray, shards: Path, projection: Path, tmp_path: Path
) -> None:
    """Nothing is written."""
    narrow = tmp_path / "narrow.npz"
    save_projection(fit_projection(embeddings[:, 1:], DIMS), narrow)
    rows = [EmbeddingRow("m1", "s1", "f" * 32, 0, "0" * 16, 1, embeddings[0])]
    other, few = write_shard(tmp_path / "other", "0" * 16, rows), tmp_path / "few"
    write_shard(few, last_layer(artifact).backbone_id, rows)
    for file, folder, found in (
        (narrow, shards, f"the projection has {embeddings.shape[1] - 1}"),
        (projection, other, "is 0000000000000000; give the shards of this artifact"),
        (projection, few, f"1 vectors, expected {LEAST_SAMPLE} or more"),
    ):
        result = call(
            "project",
            artifact.folder,
            "--projection",
            file,
            "--embeddings",
            folder,
            "--out",
            tmp_path / "new",
        )
        assert (result.exit_code, found in result.output) == (1, True), result.output
    assert not (tmp_path / "new").exists()

"""int8 artifacts: close to the original, or rejected."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.artifact import (
    DEFAULT_ARTIFACT,
    IMAGE_GRAPH,
    EncoderArtifact,
    Preprocessing,
    load_artifact,
)
from ml.data.corpus import Corpus
from ml.export.golden import golden_pixels
from ml.export.quantise import (
    LossyQuantisation,
    QuantisedAlready,
    mean_cosine,
    quantise,
    restore_weights,
    split_photos,
)
from ml.inference.embed import TooFewPhotos
from ml.inference.encoder import load_encoder
from ml.inference.graph import Backend, CompiledGraph, Precision, PrecisionMissing, open_onnxruntime
from ml.inference.preprocess import decode_photo
from ml.inference.self_check import WrongVectors
from tests.unit.ml.conftest import COLOURS
from tests.unit.ml.test_cli import call


@pytest.fixture(scope="module")
def whole() -> EncoderArtifact:
    """The committed encoder: vectors of the smoke encoder lose too much in int8."""
    return load_artifact(DEFAULT_ARTIFACT)


@pytest.fixture(scope="module")
def int8(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> EncoderArtifact:
    """The committed encoder in int8, by the command; drawn boxes lose more than photos."""
    out = tmp_path_factory.mktemp("int8")
    result = call("quantise", DEFAULT_ARTIFACT, "--data", shop, "--out", out, "--least-cosine", "0.95")
    assert result.exit_code == 0, result.output
    return load_artifact(out)


def test_int8_has_its_own_encoder_id(whole: EncoderArtifact, int8: EncoderArtifact) -> None:
    """No index has vectors of both; captions have the same vectors."""
    assert int8.encoder_id.startswith(f"{whole.manifest.name}-int8-")
    assert (int8.quantised, whole.quantised) == (True, False)
    assert int8.text_graph.read_bytes() == whole.text_graph.read_bytes()
    kinds = {node.op_type for node in onnx.load(int8.image_graph).graph.node}
    assert "DequantizeLinear" in kinds


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_int8_vectors_are_close_and_have_unit_norm(
    whole: EncoderArtifact, int8: EncoderArtifact, shop: Path, backend: Backend
) -> None:
    """On either backend and any CPU; an index with dot products needs exact norms.

    ONNX Runtime adds pairs of int8 products in 16 bits on a CPU without VNNI, where they saturate; the golden
    vectors show it, and it computes in float32 there.
    """
    found = load_encoder(int8, backend=backend).encode(photos_of(shop, whole))
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    expected = load_encoder(whole, precision="f32").encode(photos_of(shop, whole))
    assert (found * expected).sum(axis=1).mean() >= 0.95


def photos_of(shop: Path, artifact: EncoderArtifact) -> NDArray[np.uint8]:
    photos = sorted((shop.parent / "images").iterdir())[:20]
    return np.stack([decode_photo(photo.read_bytes(), artifact.image_size) for photo in photos])


def test_int8_in_float32_gives_the_golden_vectors(int8: EncoderArtifact) -> None:
    """Each rounding is a separate step, on any CPU."""
    golden = int8.golden(IMAGE_GRAPH)
    assert golden is not None
    whole_golden = load_artifact(DEFAULT_ARTIFACT).golden(IMAGE_GRAPH)
    assert whole_golden is not None
    assert not np.allclose(golden.vectors, whole_golden.vectors, atol=1e-3)
    found = load_encoder(int8, precision="f32").encode(golden_pixels(int8.image_size))
    assert np.allclose(found, golden.vectors, atol=1e-5)
    with pytest.raises(PrecisionMissing, match="OpenVINO computes an int8 graph in int8; use onnxruntime"):
        load_encoder(int8, backend="openvino", precision="f32")


def test_wrong_int8_is_replaced_by_float32(
    int8: EncoderArtifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By the named backend if it supports that, else it is an error."""

    def miscomputing(model: Path | bytes, path: Path, threads: int, precision: Precision) -> CompiledGraph:
        graph = open_onnxruntime(model, path, threads, precision)
        return graph if precision == "f32" else replace(graph, run=lambda batch: graph(batch[::-1]))

    monkeypatch.setattr("ml.inference.graph.open_openvino", miscomputing)
    monkeypatch.setattr("ml.inference.graph.open_onnxruntime", miscomputing)
    pixels = golden_pixels(int8.image_size)
    backends: tuple[Backend, ...] = ("auto", "onnxruntime")
    found = [load_encoder(int8, backend=backend).encode(pixels) for backend in backends]
    assert "computes image.onnx wrongly in int8" in caplog.text
    golden = int8.golden(IMAGE_GRAPH)
    assert golden is not None
    assert np.allclose(found, golden.vectors, atol=1e-5)
    with pytest.raises(WrongVectors, match=r"onnxruntime computes image\.onnx wrongly in int8"):
        load_encoder(int8, backend="openvino")
    with pytest.raises(WrongVectors, match=r"computes image\.onnx wrongly in int8"):
        load_encoder(int8, precision="int8")


@pytest.mark.soak
def test_rejects_a_lossy_graph(artifact: EncoderArtifact, shop: Path, tmp_path: Path) -> None:
    """The files in the folder are unchanged; the message has the remedy."""
    earlier = Path(shutil.copytree(artifact.folder, tmp_path / "a"))
    with pytest.raises(LossyQuantisation, match=r"expected 1\.0 or more; .*--least-cosine"):
        quantise(artifact, [shop], earlier, least_cosine=1.0)
    assert load_artifact(earlier).encoder_id == artifact.encoder_id
    assert {path.name for path in earlier.iterdir()} == {path.name for path in artifact.folder.iterdir()}


def test_rejects_its_source_as_output(artifact: EncoderArtifact, shop: Path) -> None:
    """The source is unchanged."""
    result = call("quantise", artifact.folder, "--data", shop, "--out", artifact.folder)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {artifact.folder}: is the input folder")
    assert load_artifact(artifact.folder).encoder_id == artifact.encoder_id


def test_calibrates_on_evenly_spaced_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first photos of a class folder would all be of one class."""
    monkeypatch.setattr("ml.export.quantise.LEAST_PHOTOS", 2)
    monkeypatch.setattr("ml.export.quantise.CALIBRATION", 8)
    monkeypatch.setattr("ml.export.quantise.HELD_OUT", 2)
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for number in range(12):
            Image.new("RGB", (24, 24), colour).save(tmp_path / name / f"{number}.png")
    calibration, held_out = split_photos([tmp_path], Preprocessing(image_size=24))
    assert (len(calibration), len(held_out)) == (8, 2)
    assert len(np.unique(calibration[:, 0, 0], axis=0)) == len(COLOURS)


def test_rejects_a_folder_without_photos(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """Calibration needs some; no empty folder is left."""
    (tmp_path / "listings.jsonl").write_text("{}\n")
    with pytest.raises(TooFewPhotos, match=r"listings\.jsonl: 0 usable photos"):
        quantise(artifact, [tmp_path / "listings.jsonl"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_no_new_folder(artifact: EncoderArtifact, shop: Path, tmp_path: Path) -> None:
    """It would look like an artifact whose files are missing."""
    with pytest.raises(LossyQuantisation):
        quantise(artifact, [shop], tmp_path / "new" / "out", least_cosine=1.0)
    assert not (tmp_path / "new" / "out").exists()


def test_an_int8_artifact_is_not_quantised_again(int8: EncoderArtifact, shop: Path, tmp_path: Path) -> None:
    """Its cosine would be that to the first int8."""
    with pytest.raises(QuantisedAlready, match="in int8 already; use the artifact it was made from"):
        quantise(int8, [shop], tmp_path / "out")


def test_restored_weights_compute_the_same(artifact: EncoderArtifact, corpus: Corpus, tmp_path: Path) -> None:
    """No cast of a weight is left, and vectors are the same."""
    restored = restore_weights(onnx.load(artifact.image_graph))
    stored = {weight.name for weight in restored.graph.initializer}
    assert not [node for node in restored.graph.node if node.op_type == "Cast" and node.input[0] in stored]
    onnx.save(restored, tmp_path / "f32.onnx")
    assert mean_cosine(artifact, tmp_path / "f32.onnx", corpus.pixels[:8], 1) == pytest.approx(1, abs=1e-6)

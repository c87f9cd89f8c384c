"""Every encoder is compared with its golden vectors when it is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ml.artifact import (
    DEFAULT_ARTIFACT,
    GOLDEN,
    IMAGE_GRAPH,
    MANIFEST,
    TEXT_GRAPH,
    ArtifactError,
    EncoderArtifact,
    load_artifact,
    save_manifest,
    sha256,
)
from ml.export.golden import golden_pixels
from ml.inference.encoder import load_encoder, load_text_encoder
from ml.inference.graph import Backend, CompiledGraph, Precision, Vectors, open_onnxruntime
from ml.inference.self_check import LEAST_COSINE, WrongVectors
from tests.unit.ml.test_cli import call

EMPTY_ZIP = b"PK\5\6" + bytes(18)
COMMITTED = (DEFAULT_ARTIFACT, DEFAULT_ARTIFACT.parent / "efficientnet-lite0")
ENCODER_IDS = ("siglip-lite-fa45c44d", "efficientnet-lite0-865c6edf")


@pytest.fixture(scope="module")
def committed() -> EncoderArtifact:
    """The committed encoder."""
    return load_artifact(DEFAULT_ARTIFACT)


@pytest.fixture
def copy(artifact: EncoderArtifact, tmp_path: Path) -> EncoderArtifact:
    """A copy of the smoke artifact."""
    return load_artifact(Path(shutil.copytree(artifact.folder, tmp_path / "copy")))


@pytest.mark.parametrize(("folder", "encoder_id"), list(zip(COMMITTED, ENCODER_IDS, strict=True)))
def test_golden_vectors_of_committed_artifacts_differ(folder: Path, encoder_id: str) -> None:
    """Otherwise a graph with a constant output would pass. The encoder_id is unchanged."""
    made = load_artifact(folder)
    golden = made.golden(IMAGE_GRAPH)
    assert golden is not None
    assert (made.encoder_id, golden.inputs.shape, golden.inputs.dtype) == (
        encoder_id,
        (4, 160, 160, 3),
        np.uint8,
    )
    cosines = golden.vectors @ golden.vectors.T
    assert np.diag(cosines) == pytest.approx(1, abs=1e-5)
    assert (cosines - np.eye(4)).max() < 0.9


def test_an_export_has_golden_photos_and_captions(artifact: EncoderArtifact) -> None:
    """Captions as token ids, so that no other release of the tokenizer changes them."""
    photos, captions = artifact.golden(IMAGE_GRAPH), artifact.golden(TEXT_GRAPH)
    assert photos is not None
    assert captions is not None
    assert photos.vectors.shape == captions.vectors.shape == (4, 8)
    assert captions.inputs.dtype == np.int64
    assert np.array_equal(photos.inputs, golden_pixels(32))


def not_a_number(vectors: Vectors) -> Vectors:
    return np.full_like(vectors, np.nan)


def all_zero(vectors: Vectors) -> Vectors:
    return np.zeros_like(vectors)


def of_other_length(vectors: Vectors) -> Vectors:
    return vectors * np.float32(2)


def infinite(vectors: Vectors) -> Vectors:
    return vectors * np.float32(np.inf)


def of_another_photo(vectors: Vectors) -> Vectors:
    return np.roll(vectors, 1, axis=0)


def one_row_off(vectors: Vectors) -> Vectors:
    return np.concatenate([vectors[:3], -vectors[3:]])


def slightly_off(vectors: Vectors) -> Vectors:
    """Cosine 0.97: more than rounding."""
    noise = np.random.default_rng(0).normal(size=vectors.shape)
    noise -= (noise * vectors).sum(axis=1, keepdims=True) * vectors
    turned = vectors + 0.25 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True), dtype=np.float32)


DAMAGES = [not_a_number, all_zero, of_other_length, infinite, of_another_photo, one_row_off, slightly_off]
Damage = Callable[[Vectors], Vectors]


def bf16_cpu(monkeypatch: pytest.MonkeyPatch, damage: Damage, *wrong_in: str) -> None:
    """Simulate a CPU with bf16, by float32, that computes wrongly in these precisions."""

    def open_openvino(model: Path | bytes, path: Path, threads: int, precision: Precision) -> CompiledGraph:
        graph = open_onnxruntime(model, path, threads, "f32")
        chosen = "f32" if precision == "f32" else "bf16"
        run = (lambda batch: damage(graph(batch))) if chosen in wrong_in else graph.run
        return CompiledGraph(run, "openvino", chosen)

    monkeypatch.setattr("ml.inference.graph.open_openvino", open_openvino)


@pytest.mark.parametrize("damage", DAMAGES)
def test_wrong_bf16_is_replaced_by_float32(
    committed: EncoderArtifact,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    damage: Damage,
) -> None:
    """Photos and captions have the correct vectors; the log has the figures."""
    bf16_cpu(monkeypatch, damage, "bf16")
    pixels, captions = golden_pixels(committed.image_size), ["red skirt"]
    photos = load_encoder(committed).encode(pixels)
    texts = load_text_encoder(committed).encode(captions)
    assert len(caplog.records) == 2
    assert "computes image.onnx wrongly in bf16 on " in caplog.text
    assert f"expected {LEAST_COSINE} or more); using openvino in f32 instead (cosine 1.000000)" in caplog.text
    monkeypatch.undo()
    assert np.allclose(photos, load_encoder(committed, backend="onnxruntime").encode(pixels), atol=1e-5)
    assert np.allclose(texts, load_text_encoder(committed, backend="onnxruntime").encode(captions), atol=1e-5)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("precision", ["auto", "f32"])
def test_wrong_float32_is_an_error(
    committed: EncoderArtifact, monkeypatch: pytest.MonkeyPatch, damage: Damage, precision: Precision
) -> None:
    """The message has what was found and the remedy."""
    bf16_cpu(monkeypatch, damage, "bf16", "f32")
    message = r"computes image\.onnx wrongly in f32 on .*expected 0\.9999 or more\); set NITAMONO"
    with pytest.raises(WrongVectors, match=message):
        load_encoder(committed, precision=precision)
    with pytest.raises(WrongVectors, match=r"text\.onnx wrongly in f32"):
        load_text_encoder(committed, precision=precision)


def test_a_named_precision_is_not_replaced(
    committed: EncoderArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If bf16 is named, float32 is not used."""
    bf16_cpu(monkeypatch, of_another_photo, "bf16")
    with pytest.raises(WrongVectors, match=r"computes image\.onnx wrongly in bf16"):
        load_encoder(committed, precision="bf16")


def test_correct_bf16_is_used(
    committed: EncoderArtifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Float32 is not tried and nothing is logged."""
    bf16_cpu(monkeypatch, of_another_photo, "f32")
    load_encoder(committed)
    assert not caplog.records


@pytest.mark.parametrize("backend", ["auto", "onnxruntime", "openvino"])
def test_this_machine_computes_the_committed_encoders_correctly(backend: Backend) -> None:
    """In the precision of "auto", and in float32."""
    for folder in COMMITTED:
        for precision in ("auto", "f32"):
            load_encoder(load_artifact(folder), backend=backend, precision=precision)


def without_golden(copy: EncoderArtifact) -> EncoderArtifact:
    files = {name: digest for name, digest in copy.manifest.files.items() if name != GOLDEN}
    (copy.folder / GOLDEN).unlink()
    return save_manifest(copy.folder, copy.manifest.model_copy(update={"files": files}))


def test_an_artifact_without_golden_vectors_is_used_with_a_warning(
    copy: EncoderArtifact, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning has the command that adds them; the encoder_id does not change."""
    old = without_golden(copy)
    assert load_encoder(load_artifact(old.folder)).dims == 8
    assert f"; add them with `nitamono ml artifact golden {old.folder}`" in caplog.text
    result = call("artifact", "golden", old.folder)
    assert result.exit_code == 0, result.output
    assert f"{copy.encoder_id} has golden vectors" in result.output
    assert load_artifact(old.folder) == copy
    caplog.clear()
    load_encoder(load_artifact(old.folder), precision="f32")
    assert not caplog.records


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive", EMPTY_ZIP])
def test_unreadable_golden_vectors_are_an_error(copy: EncoderArtifact, content: bytes) -> None:
    """The message has the command that writes them again."""
    (copy.folder / GOLDEN).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"golden\.npz: SHA-256 is"):
        load_artifact(copy.folder)
    manifest = json.loads((copy.folder / MANIFEST).read_text())
    manifest["files"][GOLDEN] = sha256(copy.folder / GOLDEN)
    (copy.folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"no golden vectors of image\.onnx .*ml artifact golden"):
        load_encoder(load_artifact(copy.folder))
    assert call("artifact", "golden", copy.folder).exit_code == 0
    load_encoder(load_artifact(copy.folder), precision="f32")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("folder", COMMITTED)
def test_a_photo_has_the_same_vector_in_any_batch(folder: Path, backend: Backend) -> None:
    """Of 1 to 33 photos, more than BATCH; in float32, where only the order of sums may differ."""
    encoder = load_encoder(load_artifact(folder), backend=backend, precision="f32")
    pixels = np.random.default_rng(0).integers(0, 256, (33, 160, 160, 3), dtype=np.uint8)
    pixels[:4] = golden_pixels(160)
    alone = np.concatenate([encoder.encode(one[None]) for one in pixels])
    for count in range(1, 34):
        assert np.abs(encoder.encode(pixels[:count]) - alone[:count]).max() < 1e-5


def test_a_caption_has_the_same_vector_in_any_batch(committed: EncoderArtifact) -> None:
    """All captions are padded to the same length."""
    captions = ["red skirt", "", "赤いスカート", "a pair of white running shoes"] * 9
    backends: tuple[Backend, ...] = ("openvino", "onnxruntime")
    for backend in backends:
        encoder = load_text_encoder(committed, backend=backend, precision="f32")
        alone = np.concatenate([encoder.encode([one]) for one in captions[:4]] * 9)
        for count in (1, 2, 3, 7, 31, 32, 33, 36):
            assert np.abs(encoder.encode(captions[:count]) - alone[:count]).max() < 1e-5


def test_golden_vectors_of_a_killed_run_are_written_again(copy: EncoderArtifact) -> None:
    """The file was replaced, but not the manifest; the same command repairs it."""
    (copy.folder / GOLDEN).write_bytes(EMPTY_ZIP)
    with pytest.raises(ArtifactError, match="SHA-256"):
        load_artifact(copy.folder)
    assert call("artifact", "golden", str(copy.folder)).exit_code == 0
    assert load_artifact(copy.folder).golden(IMAGE_GRAPH) is not None

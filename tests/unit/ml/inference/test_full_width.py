"""Full-width vectors beside the projected ones, and the id of what computes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from ml.artifact import DEFAULT_ARTIFACT, IMAGE_GRAPH, EncoderArtifact, load_artifact
from ml.export.golden import golden_pixels
from ml.inference.encoder import load_encoder
from ml.inference.full_width import NoProjection, last_layer, load_full_width_encoder
from ml.inference.graph import Backend
from ml.inference.onnx_file import UnreadableGraph, parse, with_output
from tests.indexing import write_colour_encoder


@pytest.fixture(scope="module")
def committed() -> EncoderArtifact:
    """The committed encoder."""
    return load_artifact(DEFAULT_ARTIFACT)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_one_pass_returns_both_vectors(committed: EncoderArtifact, backend: Backend) -> None:
    """The projected ones are those of the encoder as it is; the last layer maps the others to them."""
    pixels = golden_pixels(committed.image_size)
    encoder = load_full_width_encoder(committed, backend=backend, precision="f32")
    vectors, embeddings = encoder.encode_full_width(pixels)
    expected = load_encoder(committed, backend=backend, precision="f32").encode(pixels)
    assert embeddings.shape == (len(pixels), committed.manifest.width)
    assert np.abs(vectors - expected).max() < 1e-6
    assert np.abs(encoder.encode(pixels) - expected).max() < 1e-6
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-5)
    assert encoder.last.project(embeddings) == pytest.approx(vectors, abs=1e-5)


def test_float16_is_enough_for_projection(committed: EncoderArtifact) -> None:
    """The cosine to the vector of float32 is 1 to six digits."""
    encoder = load_full_width_encoder(committed, backend="onnxruntime")
    vectors, embeddings = encoder.encode_full_width(golden_pixels(committed.image_size))
    rounded = encoder.last.project(embeddings.astype(np.float16).astype(np.float32))
    assert (rounded * vectors).sum(axis=1).min() > 0.999999


def test_the_backbone_id_depends_on_all_but_the_last_layer(tmp_path: Path) -> None:
    """Neither name nor last weights matter; preprocessing does."""
    one = last_layer(load_artifact(write_colour_encoder(tmp_path / "1", "one", np.eye(3, dtype=np.float32))))
    turned = np.roll(np.eye(3, dtype=np.float32), 1, axis=0)
    artifact = load_artifact(write_colour_encoder(tmp_path / "2", "two", turned))
    other = last_layer(artifact)
    assert one.backbone_id == other.backbone_id
    assert (other.weight == turned).all()
    cropped = artifact.preprocessing.model_copy(update={"crop": 0.5})
    manifest = artifact.manifest.model_copy(update={"preprocessing": cropped})
    assert last_layer(replace(artifact, manifest=manifest)).backbone_id != one.backbone_id


def test_an_encoder_without_a_last_layer_has_no_full_width_vectors(tmp_path: Path) -> None:
    """The message says what is expected."""
    with pytest.raises(NoProjection, match=r"image\.onnx: expected the output .* \(3, 3\), found none"):
        last_layer(load_artifact(write_colour_encoder(tmp_path)))


def test_the_reader_sees_what_onnx_sees(committed: EncoderArtifact) -> None:
    """Nodes, weights and outputs; a further output follows the others in a valid file."""
    model = onnx.load(committed.image_graph)
    content = committed.image_graph.read_bytes()
    found = parse(content)
    assert [(node.op, list(node.inputs)) for node in found.nodes] == [
        (node.op_type, list(node.input)) for node in model.graph.node
    ]
    for weight in model.graph.initializer:
        if weight.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
            values = found.constant(weight.name)
            assert values is not None
            assert np.array_equal(values, onnx.numpy_helper.to_array(weight).astype(np.float32))
    widened = onnx.load_from_string(with_output(content, "cat_4"))
    assert [output.name for output in widened.graph.output] == ["vectors", "cat_4"]
    assert widened.graph.node == model.graph.node


@pytest.mark.parametrize("length", [1, 100, 5000])
def test_a_damaged_file_is_refused(committed: EncoderArtifact, length: int) -> None:
    """It ends within a field."""
    with pytest.raises(UnreadableGraph, match="not an ONNX file"):
        parse((committed.folder / IMAGE_GRAPH).read_bytes()[:length])

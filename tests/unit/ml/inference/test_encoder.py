"""Encoders: same vectors on every backend, precision and batch size."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import openvino
import pytest

from ml.artifact import DEFAULT_ARTIFACT, ArtifactError, EncoderArtifact, load_artifact
from ml.data.corpus import Corpus
from ml.data.synthetic_photos import synthetic_photos
from ml.inference.encoder import ImageEncoder, WrongInput, load_encoder, load_text_encoder
from ml.inference.graph import BATCH, Backend, Precision, PrecisionMissing


@pytest.fixture(scope="module")
def encoder(artifact: EncoderArtifact) -> ImageEncoder:
    """The smoke artifact on the default backend, in float32, where vectors can be compared exactly."""
    return load_encoder(artifact, precision="f32")


def offered_precisions() -> list[Precision]:
    """The precisions of OpenVINO on this CPU; float32 always."""
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["f32", "bf16"] if "BF16" in capabilities else ["f32"]


TOLERANCE: dict[Precision, float] = {"f32": 1e-5, "bf16": 1e-3}


def encode_photos(artifact: EncoderArtifact) -> None:
    load_encoder(artifact).encode(np.zeros((1, artifact.image_size, artifact.image_size, 3), np.uint8))


def encode_captions(artifact: EncoderArtifact) -> None:
    load_text_encoder(artifact).encode(["Red Skirts"])


def test_serving_imports_no_torch() -> None:
    """A worker imports no torch, and the inference library only when it is used."""
    code = (
        "import sys, ml.inference.encoder, ml.inference.preprocess, ml.artifact, ml.inference.embed\n"
        "import ml.metrics.retrieval, ml.cli\n"
        "print(sorted({'torch', 'transformers', 'openvino', 'onnxruntime'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1])
def test_vectors_have_unit_norm_for_any_batch(encoder: ImageEncoder, corpus: Corpus, count: int) -> None:
    """One vector per photo, also for no photos and for more than one batch."""
    vectors = encoder.encode(corpus.pixels[:count])
    assert (vectors.shape, vectors.dtype) == ((count, 8), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_vector_does_not_depend_on_its_batch(encoder: ImageEncoder, corpus: Corpus) -> None:
    """A photo has the same vector by itself and in a batch."""
    together = encoder.encode(corpus.pixels[:5])
    assert np.allclose(together[3], encoder.encode(corpus.pixels[3:4])[0], atol=1e-5)


@pytest.mark.parametrize("which", ["smoke", "committed"])
def test_backends_agree(which: str, artifact: EncoderArtifact) -> None:
    """OpenVINO and ONNX Runtime give the same vectors, of photos and of captions."""
    chosen = artifact if which == "smoke" else load_artifact(DEFAULT_ARTIFACT)
    side = chosen.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    backends: tuple[Backend, ...] = ("openvino", "onnxruntime")
    photos = [load_encoder(chosen, backend=one, precision="f32").encode(pixels) for one in backends]
    assert (photos[0] * photos[1]).sum(axis=1) == pytest.approx(1, abs=TOLERANCE["f32"])
    captions = ["Red Skirts", "赤いスカート", ""]
    texts = [load_text_encoder(chosen, backend=one, precision="f32").encode(captions) for one in backends]
    assert (texts[0] * texts[1]).sum(axis=1) == pytest.approx(1, abs=TOLERANCE["f32"])


@pytest.mark.parametrize("precision", offered_precisions())
def test_each_precision_of_this_cpu_gives_the_same_vectors(precision: Precision) -> None:
    """Of the committed encoder: the vectors of an untrained one are mostly rounding error in bf16."""
    committed = load_artifact(DEFAULT_ARTIFACT)
    pixels = synthetic_photos(8, committed.image_size)
    full = load_encoder(committed, precision="f32").encode(pixels)
    found = load_encoder(committed, precision=precision).encode(pixels)
    assert (full * found).sum(axis=1) == pytest.approx(1, abs=TOLERANCE[precision])
    alone = load_encoder(committed, precision=precision).encode(pixels[3:4])[0]
    assert alone @ found[3] == pytest.approx(1, abs=TOLERANCE[precision])
    captions = ["Red Skirts", "赤いスカート", ""]
    texts = [load_text_encoder(committed, precision=one).encode(captions) for one in ("f32", precision)]
    assert (texts[0] * texts[1]).sum(axis=1) == pytest.approx(1, abs=TOLERANCE[precision])


@pytest.mark.parametrize(("encode", "graph"), [(encode_photos, "image"), (encode_captions, "text")])
def test_rejects_vectors_of_other_dims_than_in_the_manifest(
    artifact: EncoderArtifact, encode: Callable[[EncoderArtifact], None], graph: str
) -> None:
    """The dims of an edited manifest are compared with those of the graph."""
    edited = replace(artifact, manifest=artifact.manifest.model_copy(update={"dims": 9}))
    with pytest.raises(ArtifactError, match=rf"dims is 9, but {graph}\.onnx outputs 8; restore"):
        encode(edited)


@pytest.mark.parametrize("shape", [(2, 31, 32, 3), (2, 3, 32, 32), (32, 32, 3)])
def test_rejects_other_shapes(encoder: ImageEncoder, shape: tuple[int, ...]) -> None:
    """The message has the wrong shape and the expected one."""
    with pytest.raises(WrongInput, match=r"expected uint8 \(n, 32, 32, 3\)"):
        encoder.encode(np.zeros(shape, dtype=np.uint8))


def test_rejects_other_types(encoder: ImageEncoder) -> None:
    """Such as floats, whose scale is unknown."""
    with pytest.raises(WrongInput, match="found float32"):
        encoder.encode(np.zeros((1, 32, 32, 3), dtype=np.float32))  # type: ignore[arg-type]  the mistake tested


def test_threads_share_an_encoder(encoder: ImageEncoder, corpus: Corpus) -> None:
    """Concurrent calls have the same results as separate ones."""
    alone = encoder.encode(corpus.pixels[:16])
    with ThreadPoolExecutor(4) as pool:
        each = list(pool.map(lambda row: encoder.encode(corpus.pixels[row : row + 1])[0], range(16)))
    assert np.allclose(each, alone, atol=1e-5)


def test_rejects_precisions_that_are_not_available(artifact: EncoderArtifact) -> None:
    """int8 needs a quantised artifact; ONNX Runtime has no bf16 on a CPU."""
    with pytest.raises(PrecisionMissing, match=r"has no int8 graph; create one with `nitamono ml quantise`"):
        load_encoder(artifact, precision="int8")
    with pytest.raises(PrecisionMissing, match="use OpenVINO for bf16"):
        load_encoder(artifact, backend="onnxruntime", precision="bf16")

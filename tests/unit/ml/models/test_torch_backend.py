"""The torch reference of an artifact's graphs."""

from dataclasses import replace

import numpy as np
import pytest

from ml.artifact import DEFAULT_ARTIFACT, EncoderArtifact, load_artifact
from ml.inference.encoder import OpenReference, load_encoder, load_text_encoder
from ml.inference.graph import Backend, BackendMissing, PrecisionMissing
from ml.models.torch_backend import open_reference


@pytest.mark.parametrize("which", ["smoke", "committed"])
def test_graphs_give_the_vectors_of_the_reference(which: str, artifact: EncoderArtifact) -> None:
    """Of the checkpoint in torch, for photos and captions."""
    chosen = artifact if which == "smoke" else load_artifact(DEFAULT_ARTIFACT)
    side = chosen.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    backends: tuple[Backend | OpenReference, ...] = (open_reference, "onnxruntime")
    photos = [load_encoder(chosen, backend=one).encode(pixels) for one in backends]
    assert (photos[0] * photos[1]).sum(axis=1).min() >= 0.9999
    captions = ["Red Skirts", "赤いスカート", ""]
    texts = [load_text_encoder(chosen, backend=one).encode(captions) for one in backends]
    assert (texts[0] * texts[1]).sum(axis=1).min() >= 0.9999


def test_the_message_has_what_the_reference_lacks(artifact: EncoderArtifact) -> None:
    """A checkpoint, or a precision."""
    with pytest.raises(PrecisionMissing, match="torch computes in f32; use OpenVINO for bf16"):
        load_encoder(artifact, backend=open_reference, precision="bf16")
    int8 = replace(artifact, manifest=artifact.manifest.model_copy(update={"training": {"int8": {}}}))
    with pytest.raises(PrecisionMissing, match="torch computes in f32; use the artifact it was made from"):
        load_encoder(int8, backend=open_reference)
    bare = replace(artifact, manifest=artifact.manifest.model_copy(update={"files": {}}))
    with pytest.raises(BackendMissing, match=r"torch needs checkpoint\.safetensors.* use another backend"):
        load_encoder(bare, backend=open_reference)

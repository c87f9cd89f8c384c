"""Backends and batches of compiled graphs."""

import builtins
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from ml.artifact import EncoderArtifact
from ml.inference.encoder import load_encoder
from ml.inference.graph import BATCH, BackendMissing, in_parts


def test_large_photos_are_split_into_small_calls() -> None:
    """The order is kept, the last call has the remainder, and a batch of small photos is not split."""
    seen: list[int] = []

    def graph(batch: np.ndarray) -> np.ndarray:
        seen.append(len(batch))
        return batch.reshape(len(batch), -1)[:, :1].astype(np.float32)

    photos = np.zeros((10, 256, 256, 3), np.uint8)
    photos[:, 0, 0, 0] = range(10)
    assert in_parts(graph)(photos).ravel().tolist() == list(range(10))
    assert seen == [6, 4]
    in_parts(graph)(np.zeros((BATCH, 112, 112, 3), np.uint8))
    assert seen[2:] == [BATCH]


def test_falls_back_to_the_backend_that_is_installed(
    artifact: EncoderArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without OpenVINO, "auto" is ONNX Runtime; for "openvino" the message has what to install."""
    real_import = builtins.__import__

    def without_openvino(name: str, *arguments: object, **named: object) -> object:
        if name == "openvino":
            raise ImportError(name)
        return real_import(name, *arguments, **named)  # type: ignore[arg-type]  passed on unchanged

    monkeypatch.setattr(builtins, "__import__", without_openvino)
    assert load_encoder(artifact).dims == 8
    with pytest.raises(BackendMissing, match="needs openvino; pip install"):
        load_encoder(artifact, backend="openvino")


def test_cuda_is_not_replaced_by_the_cpu(artifact: EncoderArtifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has what is missing."""

    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", not_installed)
    with pytest.raises(BackendMissing, match=r"needs cuda; pip install .*onnxruntime-gpu"):
        load_encoder(artifact, backend="cuda")

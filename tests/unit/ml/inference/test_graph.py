"""Backends and batches of compiled graphs."""

import builtins
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError

import numpy as np
import openvino
import pytest

from ml.artifact import DEFAULT_ARTIFACT, EncoderArtifact, load_artifact
from ml.inference.encoder import load_encoder
from ml.inference.graph import (
    BATCH,
    BackendMissing,
    CompiledGraph,
    Inputs,
    Vectors,
    fastest,
    in_parts,
    open_graph,
)


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


@pytest.mark.parametrize(("bf16", "f32", "expected"), [(2.0, 1.0, "f32"), (1.0, 2.0, "bf16")])
def test_auto_takes_the_faster_precision(bf16: float, f32: float, expected: str) -> None:
    """A first call, which also prepares kernels, does not count, nor does one slow call."""
    now = 0.0

    def graph(precision: str, seconds: float) -> CompiledGraph:
        durations = iter([100.0, 50.0, seconds, seconds])

        def run(batch: Inputs) -> Vectors:
            nonlocal now
            now += next(durations)
            return np.zeros((len(batch), 1), np.float32)

        return CompiledGraph(run, "openvino", precision)

    graphs = [graph("bf16", bf16), graph("f32", f32)]
    assert fastest(graphs, np.zeros((2, 1), np.uint8), clock=lambda: now).precision == expected


@pytest.mark.parametrize("timed", ["bf16", "f32"])
def test_precisions_of_a_cpu_with_bf16(monkeypatch: pytest.MonkeyPatch, timed: str) -> None:
    """auto is the faster on batches of the graph's own shape, for photos and captions; f32 is f32."""
    committed = load_artifact(DEFAULT_ARTIFACT)
    seen: list[tuple[tuple[int, ...], type]] = []

    def choose(graphs: Sequence[CompiledGraph], batch: Inputs) -> CompiledGraph:
        seen.append((batch.shape, batch.dtype.type))
        assert all(len(graph(batch)) == len(batch) for graph in graphs)
        return next(graph for graph in graphs if graph.precision == timed)

    def capabilities(core: openvino.Core, *names: str) -> list[str]:
        return ["FP32", "BF16"]

    monkeypatch.setattr(openvino.Core, "get_property", capabilities)
    monkeypatch.setattr("ml.inference.graph.fastest", choose)
    image, text = committed.image_graph, committed.text_graph
    assert [open_graph(path).precision for path in (image, text)] == [timed, timed]
    side = committed.image_size
    assert seen == [((2, side, side, 3), np.uint8), ((2, 20), np.int64)]
    assert open_graph(image, precision="f32").precision == "f32"
    assert open_graph(image, precision="bf16").precision == "bf16"
    assert len(seen) == 2


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

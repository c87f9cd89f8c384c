"""Measuring speed: counts are checked by hand, timings only for plausibility."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from ml.artifact import EncoderArtifact
from ml.cli import group
from ml.data.synthetic_photos import synthetic_jpegs
from ml.evaluation.speed import (
    Pipeline,
    available_pipelines,
    best_of_rounds,
    graph_gflop,
    matrix_limit,
    measure_cold_start,
    measure_rates,
    run_pipeline,
    stock_pipeline,
)
from tests.unit.ml.export.test_hf_import import write_siglip


def write_product(path: Path) -> None:
    """A graph of one convolution, 3 × 3 of 2 maps to 4 on 5 × 5 pixels, and one product of 100 × 7."""
    weights = [
        helper.make_tensor("kernel", TensorProto.FLOAT, [4, 2, 3, 3], np.zeros(72)),
        helper.make_tensor("matrix", TensorProto.FLOAT, [100, 7], np.zeros(700)),
    ]
    nodes = [
        helper.make_node("Conv", ["in", "kernel"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["maps"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["out"]),
    ]
    inputs = helper.make_tensor_value_info("in", TensorProto.FLOAT, ["batch", 2, 5, 5])
    outputs = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 7])
    graph = helper.make_graph(nodes, "g", [inputs], [outputs], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)


def test_counts_multiply_adds_twice(tmp_path: Path) -> None:
    """4 · 25 · 18 for the convolution and 100 · 7 for the product, per photo."""
    write_product(tmp_path / "g.onnx")
    assert graph_gflop(tmp_path / "g.onnx") * 1e9 == pytest.approx(2 * (4 * 25 * 18 + 100 * 7))


def test_every_pipeline_gets_every_photo_once() -> None:
    """Batches have the requested size, the last one holds the rest; the order is kept."""
    seen: list[list[int]] = []

    def encode(pixels: np.ndarray) -> np.ndarray:
        seen.append([int(one) for one in pixels])
        return np.zeros((len(pixels), 1), np.float32)

    photos = [bytes([number]) for number in range(5)]
    (rate,) = measure_rates(
        [Pipeline("ours", lambda data: np.array(data[0]), encode)], photos, threads=2, repeats=1, batch=2
    )
    assert seen == [[0], [0, 1], [2, 3], [4], [0, 1]]
    assert rate.photos_per_s > 0
    assert rate.encoded_per_s > 0


def test_the_stock_pipeline_alternates_decoding_and_encoding() -> None:
    """No photo of the next batch is decoded before the current batch is encoded."""
    seen: list[str] = []

    def decode(data: bytes) -> np.ndarray:
        seen.append(f"decode {data[0]}")
        return np.array(data[0])

    def encode(pixels: np.ndarray) -> np.ndarray:
        seen.append(f"encode {pixels.tolist()}")
        return np.zeros((len(pixels), 1), np.float32)

    run_pipeline(Pipeline("torch", decode, encode, stock=True), [b"\0", b"\1", b"\2"], threads=2, batch=2)
    assert seen == ["decode 0", "decode 1", "encode [0, 1]", "decode 2", "encode [2]"]


def test_measures_alternate_and_the_smallest_counts() -> None:
    """A slow first round is discarded; with a key, the whole measurement is returned."""
    first, second = iter([(5.0, 1.0), (2.0, 2.0)]), iter([(1.0, 1.0), (0.0, 9.0)])
    assert best_of_rounds([lambda: next(first), lambda: next(second)], 2, key=sum) == [(2.0, 2.0), (1.0, 1.0)]


def test_the_limit_is_plausible() -> None:
    """Any current CPU exceeds 1 GFLOP/s."""
    limit = matrix_limit("f32", 1, repeats=1)
    assert limit is not None
    assert limit > 1


def test_a_fresh_process_reports_its_memory(artifact: EncoderArtifact) -> None:
    """Seconds and megabytes of a separate process that loads OpenVINO."""
    start = measure_cold_start(artifact.folder, 1)
    assert start.seconds > 0.01
    assert 20 < start.megabytes < 5000


def test_pipelines_match_the_artifact(artifact: EncoderArtifact) -> None:
    """Both CPU backends and torch in floating point; no int8, since the artifact has no int8 graphs."""
    names = {pipeline.name for pipeline in available_pipelines(artifact, 1)}
    assert {"openvino f32", "onnxruntime f32", "torch f32"} <= names
    assert not [name for name in names if "int8" in name]


def test_stock_pipeline_gives_pooled_features(tmp_path: Path) -> None:
    """The processor's pixels go through the folder's own network."""
    pipeline = stock_pipeline(write_siglip(tmp_path))
    pixels = np.stack([pipeline.decode(photo) for photo in synthetic_jpegs(2, 60, 40)])
    assert pixels.shape == (2, 3, 32, 32)
    assert pipeline.encode(pixels).shape == (2, 32)


def test_bench_prints_rates_beside_the_limit(artifact: EncoderArtifact, shop: Path) -> None:
    """A line for the start, the limits and each pipeline; of the photos given."""
    options = ["--artifact", str(artifact.folder), "--photos", str(shop), "--count", "8", "--repeats", "1"]
    result = CliRunner().invoke(group, ["bench", *options])
    assert result.exit_code == 0, result.output
    for said in ("GFLOP per photo", "; 8 photos", "first photo after", "limit of matrix products in f32: "):
        assert said in result.output
    assert "openvino f32" in result.output

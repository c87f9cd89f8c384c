"""The measurement of speed: what it counts is checked by hand, what it times only for sense."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from ml.artifact import EncoderArtifact
from ml.cli import group
from ml.data.synthetic_photos import draw_jpegs
from ml.evaluation.speed import (
    Way,
    compare,
    graph_gflop,
    in_turns,
    matrix_limit,
    measure_start,
    pipeline,
    stock_way,
    ways,
)
from tests.unit.ml.export.test_hf_import import write_siglip


def write_product(path: Path) -> None:
    """A graph of one convolution, 3 × 3 of 2 maps to 4 on 5 × 5 places, and one product of 100 × 7."""
    weights = [
        helper.make_tensor("kernel", TensorProto.FLOAT, [4, 2, 3, 3], np.zeros(72)),
        helper.make_tensor("matrix", TensorProto.FLOAT, [100, 7], np.zeros(700)),
    ]
    nodes = [
        helper.make_node("Conv", ["in", "kernel"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["maps"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["out"]),
    ]
    given = helper.make_tensor_value_info("in", TensorProto.FLOAT, ["batch", 2, 5, 5])
    made = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 7])
    graph = helper.make_graph(nodes, "g", [given], [made], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)


def test_counts_multiply_adds_twice(tmp_path: Path) -> None:
    """4 · 25 · 18 of the convolution and 100 · 7 of the product, for one picture."""
    write_product(tmp_path / "g.onnx")
    assert graph_gflop(tmp_path / "g.onnx") * 1e9 == pytest.approx(2 * (4 * 25 * 18 + 100 * 7))


def test_every_way_sees_every_photo_once() -> None:
    """Batches are of the size asked for, the last one of what remains; the order is kept."""
    seen: list[list[int]] = []

    def encode(pixels: np.ndarray) -> np.ndarray:
        seen.append([int(one) for one in pixels])
        return np.zeros((len(pixels), 1), np.float32)

    photos = [bytes([number]) for number in range(5)]
    (rate,) = compare(
        [Way("ours", lambda data: np.array(data[0]), encode)], photos, threads=2, repeats=1, batch=2
    )
    assert seen == [[0], [0, 1], [2, 3], [4], [0, 1]]
    assert rate.photos_per_s > 0
    assert rate.encoded_per_s > 0


def test_the_stock_way_decodes_and_encodes_in_turn() -> None:
    """A photo of the next batch is not touched before the batch at hand is encoded."""
    seen: list[str] = []

    def decode(data: bytes) -> np.ndarray:
        seen.append(f"decode {data[0]}")
        return np.array(data[0])

    def encode(pixels: np.ndarray) -> np.ndarray:
        seen.append(f"encode {pixels.tolist()}")
        return np.zeros((len(pixels), 1), np.float32)

    pipeline(Way("torch", decode, encode, stock=True), [b"\0", b"\1", b"\2"], threads=2, batch=2)
    assert seen == ["decode 0", "decode 1", "encode [0, 1]", "decode 2", "encode [2]"]


def test_measures_take_turns_and_the_least_counts() -> None:
    """A slow first round is nobody's result; by a key, the whole measurement with the least comes back."""
    first, second = iter([(5.0, 1.0), (2.0, 2.0)]), iter([(1.0, 1.0), (0.0, 9.0)])
    assert in_turns([lambda: next(first), lambda: next(second)], 2, key=sum) == [(2.0, 2.0), (1.0, 1.0)]


def test_the_limit_is_that_of_a_machine() -> None:
    """More than a GFLOP/s, which any CPU of this century does."""
    limit = matrix_limit("f32", 1, repeats=1)
    assert limit is not None
    assert limit > 1


def test_a_worker_starts_and_tells_its_memory(artifact: EncoderArtifact) -> None:
    """Seconds and megabytes of a process of its own: one with OpenVINO in it."""
    start = measure_start(artifact.folder, 1)
    assert start.seconds > 0.01
    assert 20 < start.megabytes < 5000


def test_ways_are_those_of_the_artifact(artifact: EncoderArtifact) -> None:
    """Floating point of both CPU backends and of the reference; no int8, which this artifact has not."""
    names = {way.name for way in ways(artifact, 1)}
    assert {"openvino f32", "onnxruntime f32", "torch f32"} <= names
    assert not [name for name in names if "int8" in name]


def test_stock_way_gives_pooled_features(tmp_path: Path) -> None:
    """The processor's pixels go through the folder's own network."""
    way = stock_way(write_siglip(tmp_path))
    pixels = np.stack([way.decode(photo) for photo in draw_jpegs(2, 60, 40)])
    assert pixels.shape == (2, 3, 32, 32)
    assert way.encode(pixels).shape == (2, 32)


def test_bench_prints_rates_beside_the_limit(artifact: EncoderArtifact, shop: Path) -> None:
    """A line for the start, the limits and each way; of the photos given."""
    options = ["--artifact", str(artifact.folder), "--photos", str(shop), "--count", "8", "--repeats", "1"]
    result = CliRunner().invoke(group, ["bench", *options])
    assert result.exit_code == 0, result.output
    for said in ("GFLOP a picture", "; 8 photos", "first picture after", "limit of matrix products in f32: "):
        assert said in result.output
    assert "openvino f32" in result.output

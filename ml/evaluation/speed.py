"""Measurement of encoding speed, and of the machine's limit."""

import importlib.util
import io
import logging
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from ml.artifact import EncoderArtifact, load_artifact
from ml.data.prefetch import prefetch
from ml.data.synthetic_photos import synthetic_jpegs
from ml.inference.encoder import ImageEncoder, OpenReference, load_encoder
from ml.inference.graph import BATCH, Backend, BackendMissing, Precision, PrecisionMissing
from ml.inference.machine import processor
from ml.inference.preprocess import decode_as
from ml.inference.self_check import WrongVectors

if TYPE_CHECKING:
    import onnx
    from torch import Tensor
    from transformers import BaseImageProcessor

MATRIX: Final = 2048
"""Rows of the square matrices that measure the limit: large enough that arithmetic is the bottleneck."""

CARD_PHOTOS: Final = 128
CARD_SIDE: Final = 224
"""Pixels per side of the JPEGs that a model card is measured on: typical shop thumbnails."""

Pixels = NDArray[Any]  # uint8 or float32, the input of the same pipeline's encode
Measured = TypeVar("Measured")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pipeline:
    """The two steps from a photo's bytes to its vector."""

    name: str
    decode: Callable[[bytes], Pixels]
    encode: Callable[[Pixels], NDArray[np.float32]]
    """Encodes a stacked batch of pixels to (b, dims) float32, unit norm."""
    stock: bool = False
    """Whether it is the reference for the others, which decodes and encodes alternately, not concurrently."""


@dataclass(frozen=True)
class Rate:
    """The best speed of all repeats, since other load only makes runs slower."""

    pipeline: Pipeline
    photos_per_s: float
    """From bytes to vectors."""
    encoded_per_s: float
    """From pixels to vectors."""


@dataclass(frozen=True)
class ColdStart:
    """The start of a fresh process that loads the artifact and encodes."""

    seconds: float
    """From process start to the first vector."""
    megabytes: float
    """Resident memory after a batch of BATCH photos."""


def available_pipelines(artifact: EncoderArtifact, threads: int) -> list[Pipeline]:
    """Pipelines of every backend and precision that this machine supports."""
    precisions: tuple[Precision, ...] = ("int8",) if artifact.quantised else ("f32", "bf16")
    backends: list[tuple[str, Backend | OpenReference]]
    backends = [("cuda", "cuda"), ("openvino", "openvino"), ("onnxruntime", "onnxruntime")]
    if importlib.util.find_spec("torch"):
        from ml.models.torch_backend import open_reference  # noqa: PLC0415  serving machines have no torch

        backends.append(("torch", open_reference))
    available = []
    for name, backend in backends:
        for precision in precisions:
            try:
                available.append(backend_pipeline(artifact, name, backend, precision, threads))
            except (BackendMissing, PrecisionMissing):
                continue
            except WrongVectors as error:
                log.warning("not measured: %s", error)
    return available


def backend_pipeline(
    artifact: EncoderArtifact, name: str, backend: Backend | OpenReference, precision: Precision, threads: int
) -> Pipeline:
    """Create the pipeline of an artifact in one backend and precision.

    Raises:
        BackendMissing, PrecisionMissing: not available on this machine.
        WrongVectors: the backend does not reproduce the golden vectors.
    """
    encoder = load_encoder(artifact, backend=backend, precision=precision, threads=threads)
    return Pipeline(f"{name} {precision}", partial(decode_as, artifact.preprocessing), encoder.encode)


def stock_pipeline(folder: Path) -> Pipeline:
    """Create the pipeline of a local Hugging Face folder: image processor and vision model in torch."""
    from transformers import AutoImageProcessor, AutoModel  # noqa: PLC0415  serving machines have none

    model = AutoModel.from_pretrained(folder).eval()
    network = getattr(model, "vision_model", model)
    processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    return torch_pipeline(processor, lambda pixels: network(pixels).pooler_output)


def torch_pipeline(processor: "BaseImageProcessor", network: "Callable[[Tensor], Tensor]") -> Pipeline:
    """Create the reference pipeline: Pillow, a Hugging Face processor and a network in torch.

    network: from pixels (b, 3, s, s) float32 to vectors (b, width) float32.
    """
    import torch  # noqa: PLC0415  serving machines have none

    def decode(data: bytes) -> Pixels:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        pixels: NDArray[np.float32] = processor(image, return_tensors="np")["pixel_values"][0]
        return pixels

    def encode(pixels: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors: NDArray[np.float32] = network(torch.from_numpy(pixels)).numpy()
        return vectors

    return Pipeline("stock: HF processor + torch", decode, encode, stock=True)


def speed_figures(artifact: EncoderArtifact, threads: int) -> dict[str, str]:
    """Measure the speed section of a model card, value by label, with the backend that `auto` selects."""
    encoder = load_encoder(artifact, threads=threads)
    pipeline = Pipeline("ours", partial(decode_as, artifact.preprocessing), encoder.encode)
    (rate,) = measure_rates(
        [pipeline], synthetic_jpegs(CARD_PHOTOS, CARD_SIDE, CARD_SIDE), threads=threads, repeats=3
    )
    return {
        "machine": f"{threads} of {os.cpu_count()} cores, {processor()}",
        f"photos per second, from JPEGs of {CARD_SIDE} × {CARD_SIDE} to vectors": f"{rate.photos_per_s:,.0f}",
        "photos per second, from pixels to vectors": f"{rate.encoded_per_s:,.0f}",
    }


def measure_rates(
    pipelines: Sequence[Pipeline], photos: Sequence[bytes], *, threads: int, repeats: int, batch: int = BATCH
) -> list[Rate]:
    """Measure each pipeline over the same photos, JPEG bytes; the pipelines alternate."""
    pixels = [np.stack([pipeline.decode(photo) for photo in photos[:batch]]) for pipeline in pipelines]
    for pipeline, stacked in zip(pipelines, pixels, strict=True):
        pipeline.encode(stacked[:1])  # compiles and fills caches
    whole_runs = [
        partial(seconds_of, partial(run_pipeline, pipeline, photos, threads, batch)) for pipeline in pipelines
    ]
    encode_runs = [
        partial(seconds_of, partial(pipeline.encode, stacked))
        for pipeline, stacked in zip(pipelines, pixels, strict=True)
    ]
    best = best_of_rounds(whole_runs, repeats, key=float), best_of_rounds(encode_runs, repeats, key=float)
    return [
        Rate(pipeline, len(photos) / whole, min(batch, len(photos)) / encoding)
        for pipeline, whole, encoding in zip(pipelines, *best, strict=True)
    ]


def best_of_rounds(
    measures: Sequence[Callable[[], Measured]], repeats: int, *, key: Callable[[Measured], float]
) -> list[Measured]:
    """The smallest result of each measure, by `key`; measures alternate, so that other load affects all."""
    rounds = [[measure() for measure in measures] for _ in range(repeats)]
    return [min(results, key=key) for results in zip(*rounds, strict=True)]


def run_pipeline(pipeline: Pipeline, photos: Sequence[bytes], threads: int, batch: int) -> None:
    """Encode all photos in batches; all but the stock pipeline prefetch decoded photos."""
    with ThreadPoolExecutor(threads) as pool:
        decoded = (
            map(pipeline.decode, photos)
            if pipeline.stock
            else prefetch(pool, pipeline.decode, photos, limit=2 * batch)
        )
        while stacked := list(islice(decoded, batch)):
            pipeline.encode(np.stack(stacked))


def seconds_of(work: Callable[[], object]) -> float:
    """Measure the wall-clock seconds of one call."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def matrix_limit(precision: Precision, threads: int, *, repeats: int = 5) -> float | None:
    """Measure GFLOP/s of large matrix products in OpenVINO; None for bf16 on a CPU without it."""
    import openvino  # noqa: PLC0415
    from openvino import opset13  # noqa: PLC0415

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    rng = np.random.default_rng(0)
    parameter = opset13.parameter([MATRIX, MATRIX], np.float32)
    product = parameter
    for _ in range(4):
        product = opset13.matmul(product, rng.normal(size=(MATRIX, MATRIX)).astype(np.float32), False, False)
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(
        openvino.Model([product], [parameter]), "CPU", settings
    ).create_infer_request()
    matrix = rng.normal(size=(MATRIX, MATRIX)).astype(np.float32) / MATRIX
    best = min(seconds_of(lambda: request.infer([matrix])) for _ in range(repeats))
    return 4 * 2 * MATRIX**3 / best / 1e9


def graph_gflop(path: Path) -> float:
    """GFLOP per photo of a graph's matrix products and convolutions, counting a multiply-add as two."""
    import onnx  # noqa: PLC0415

    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    shapes = {value.name: dimensions(value) for value in values}
    shapes |= {weight.name: list(weight.dims) for weight in inferred.initializer}
    return sum(node_flop(node, shapes) for node in inferred.node) / 1e9


def dimensions(value: "onnx.ValueInfoProto") -> list[int]:
    """Dimensions of a tensor for one photo; the only dynamic one is the batch."""
    return [part.dim_value or 1 for part in value.type.tensor_type.shape.dim]


def node_flop(node: "onnx.NodeProto", shapes: dict[str, list[int]]) -> int:
    """Twice the multiply-adds of a Conv, MatMul or Gemm; 0 for other nodes, whose cost is negligible."""
    if node.op_type not in {"Conv", "MatMul", "Gemm"}:
        return 0
    weight = shapes[node.input[1]]
    outputs = math.prod(shapes[node.output[0]])
    if node.op_type == "Conv":
        return 2 * outputs * math.prod(weight[1:])
    return 2 * outputs * shapes[node.input[0]][-1]


def measure_cold_start(folder: Path, threads: int) -> ColdStart:
    """Start a fresh process and measure it from outside."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=report_first_vector, args=(folder, threads, sender)
    )
    before = time.perf_counter()
    process.start()
    sender.close()
    receiver.recv()
    elapsed = time.perf_counter() - before
    megabytes: float = receiver.recv()
    process.join()
    return ColdStart(elapsed, megabytes)


def report_first_vector(folder: Path, threads: int, answer: Connection) -> None:
    """Send a message after the first vector, then the resident megabytes after a full batch."""
    encoder: ImageEncoder = load_encoder(load_artifact(folder), threads=threads)
    pixels = np.zeros((BATCH, encoder.image_size, encoder.image_size, 3), np.uint8)
    encoder.encode(pixels[:1])
    answer.send("encoded")
    encoder.encode(pixels)
    answer.send(psutil.Process().memory_info().rss / 1e6)

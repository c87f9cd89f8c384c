"""How fast an artifact encodes on this machine, and how fast it could: pictures/s, GFLOP/s, start, memory."""

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
from ml.data.prefetch import ahead
from ml.data.synthetic_photos import draw_jpegs
from ml.inference.encoder import (
    BATCH,
    AnyBackend,
    BackendMissing,
    ImageEncoder,
    Precision,
    PrecisionMissing,
    load_encoder,
)
from ml.inference.self_check import WrongVectors
from ml.training.run_folder import processor

if TYPE_CHECKING:
    import onnx
    from torch import Tensor
    from transformers import BaseImageProcessor

MATRIX: Final = 2048
"""Rows of the square matrices of the limit: large enough that memory is no part of it."""

CARD_PHOTOS: Final = 128
CARD_SIDE: Final = 224
"""Pixels of a side of the JPEGs for a model card: a shop's thumbnails."""

Pixels = NDArray[Any]  # uint8 or float32, as the same way's encode takes it
Measured = TypeVar("Measured")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """One way from a photo's bytes to its vector, in two steps."""

    name: str
    decode: Callable[[bytes], Pixels]
    encode: Callable[[Pixels], NDArray[np.float32]]
    """Of a stacked batch."""
    stock: bool = False
    """What one writes first, and others are measured by; it decodes and encodes in turn, not at once."""


@dataclass(frozen=True)
class Rate:
    """The best of all repeats: whatever else the machine does only ever adds."""

    way: Way
    photos_per_s: float
    """From bytes to vectors."""
    encoded_per_s: float
    """From pixels to vectors alone."""


@dataclass(frozen=True)
class Start:
    """A process that loads the artifact and encodes."""

    seconds: float
    """From its beginning to its first vector."""
    megabytes: float
    """Resident after a batch of BATCH pictures."""


def ways(artifact: EncoderArtifact, threads: int) -> list[Way]:
    """Every backend and precision that the machine has."""
    precisions: tuple[Precision, ...] = ("int8",) if artifact.quantised else ("f32", "bf16")
    backends: tuple[AnyBackend, ...] = ("cuda", "openvino", "onnxruntime", "torch")
    found = []
    for backend in backends:
        for precision in precisions:
            try:
                found.append(our_way(artifact, backend, precision, threads))
            except (BackendMissing, PrecisionMissing):
                continue
            except WrongVectors as error:
                log.warning("not measured: %s", error)
    return found


def our_way(artifact: EncoderArtifact, backend: AnyBackend, precision: Precision, threads: int) -> Way:
    encoder = load_encoder(artifact, backend=backend, precision=precision, threads=threads)
    return Way(f"{backend} {precision}", artifact.preprocessing.decode, encoder.encode)


def stock_way(folder: Path) -> Way:
    """The processor of a local hub folder, and its vision model in torch."""
    from transformers import AutoImageProcessor, AutoModel  # noqa: PLC0415  serving machines have none

    model = AutoModel.from_pretrained(folder).eval()
    network = getattr(model, "vision_model", model)
    processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    return torch_way(processor, lambda pixels: network(pixels).pooler_output)


def torch_way(processor: "BaseImageProcessor", network: "Callable[[Tensor], Tensor]") -> Way:
    """What one writes first: Pillow, a Hugging Face processor, and the network in torch."""
    import torch  # noqa: PLC0415  serving machines have none

    def decode(data: bytes) -> Pixels:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        pixels: NDArray[np.float32] = processor(image, return_tensors="np")["pixel_values"][0]
        return pixels

    def encode(pixels: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors: NDArray[np.float32] = network(torch.from_numpy(pixels)).numpy()
        return vectors

    return Way("stock: HF processor + torch", decode, encode, stock=True)


def figures(artifact: EncoderArtifact, threads: int) -> dict[str, str]:
    """What a model card says of speed, as `nitamono ml bench` measures it, by the backend chosen here."""
    encoder = load_encoder(artifact, threads=threads)
    way = Way("ours", artifact.preprocessing.decode, encoder.encode)
    (rate,) = compare([way], draw_jpegs(CARD_PHOTOS, CARD_SIDE, CARD_SIDE), threads=threads, repeats=3)
    return {
        "machine": f"{threads} of {os.cpu_count()} cores, {processor()}",
        f"pictures a second, from JPEGs of {CARD_SIDE} × {CARD_SIDE} to vectors": f"{rate.photos_per_s:,.0f}",
        "pictures a second, from pixels to vectors": f"{rate.encoded_per_s:,.0f}",
    }


def compare(
    ways: Sequence[Way], photos: Sequence[bytes], *, threads: int, repeats: int, batch: int = BATCH
) -> list[Rate]:
    """A rate for each way."""
    pixels = [np.stack([way.decode(photo) for photo in photos[:batch]]) for way in ways]
    for way, stacked in zip(ways, pixels, strict=True):
        way.encode(stacked[:1])  # compiles and fills caches
    through = [partial(seconds, partial(pipeline, way, photos, threads, batch)) for way in ways]
    alone = [
        partial(seconds, partial(way.encode, stacked)) for way, stacked in zip(ways, pixels, strict=True)
    ]
    best = in_turns(through, repeats, key=float), in_turns(alone, repeats, key=float)
    return [
        Rate(way, len(photos) / whole, min(batch, len(photos)) / encoding)
        for way, whole, encoding in zip(ways, *best, strict=True)
    ]


def in_turns(
    measures: Sequence[Callable[[], Measured]], repeats: int, *, key: Callable[[Measured], float]
) -> list[Measured]:
    """The least, by `key`, that each measure gave; they take turns: a slow minute is no one's alone."""
    rounds = [[measure() for measure in measures] for _ in range(repeats)]
    return [min(results, key=key) for results in zip(*rounds, strict=True)]


def pipeline(way: Way, photos: Sequence[bytes], threads: int, batch: int) -> None:
    """Encodes all photos in batches, decoding ahead unless the way is the stock one."""
    with ThreadPoolExecutor(threads) as pool:
        decoded = map(way.decode, photos) if way.stock else ahead(pool, way.decode, photos, most=2 * batch)
        while stacked := list(islice(decoded, batch)):
            way.encode(np.stack(stacked))


def seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def matrix_limit(precision: Precision, threads: int, *, repeats: int = 5) -> float | None:
    """GFLOP/s of large square matrix products by OpenVINO, the machine's limit; None where it has no bf16."""
    import openvino  # noqa: PLC0415
    from openvino import opset13  # noqa: PLC0415

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    random = np.random.default_rng(0)
    given = opset13.parameter([MATRIX, MATRIX], np.float32)
    product = given
    for _ in range(4):
        product = opset13.matmul(
            product, random.normal(size=(MATRIX, MATRIX)).astype(np.float32), False, False
        )
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(openvino.Model([product], [given]), "CPU", settings).create_infer_request()
    matrix = random.normal(size=(MATRIX, MATRIX)).astype(np.float32) / MATRIX
    best = min(seconds(lambda: request.infer([matrix])) for _ in range(repeats))
    return 4 * 2 * MATRIX**3 / best / 1e9


def graph_gflop(path: Path) -> float:
    """GFLOP that a picture costs in a graph's matrix products and convolutions, two for each multiply-add."""
    import onnx  # noqa: PLC0415

    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    shapes = {value.name: dimensions(value) for value in values}
    shapes |= {weight.name: list(weight.dims) for weight in inferred.initializer}
    return sum(node_flop(node, shapes) for node in inferred.node) / 1e9


def dimensions(value: "onnx.ValueInfoProto") -> list[int]:
    """Of a tensor for one picture; the only free one is the batch."""
    return [part.dim_value or 1 for part in value.type.tensor_type.shape.dim]


def node_flop(node: "onnx.NodeProto", shapes: dict[str, list[int]]) -> int:
    """Twice the multiply-adds of a Conv, MatMul or Gemm; 0 of others, which are not matrix work."""
    if node.op_type not in {"Conv", "MatMul", "Gemm"}:
        return 0
    weight = shapes[node.input[1]]
    made = math.prod(shapes[node.output[0]])
    if node.op_type == "Conv":
        return 2 * made * math.prod(weight[1:])
    return 2 * made * shapes[node.input[0]][-1]


def measure_start(folder: Path, threads: int) -> Start:
    """Of a fresh process."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=start_and_tell, args=(folder, threads, sending)
    )
    before = time.perf_counter()
    process.start()
    sending.close()
    receiving.recv()
    elapsed = time.perf_counter() - before
    megabytes: float = receiving.recv()
    process.join()
    return Start(elapsed, megabytes)


def start_and_tell(folder: Path, threads: int, answer: Connection) -> None:
    """Answers once when the first picture is encoded, then with the megabytes resident after a batch."""
    encoder: ImageEncoder = load_encoder(load_artifact(folder), threads=threads)
    pictures = np.zeros((BATCH, encoder.image_size, encoder.image_size, 3), np.uint8)
    encoder.encode(pictures[:1])
    answer.send("encoded")
    encoder.encode(pictures)
    answer.send(psutil.Process().memory_info().rss / 1e6)

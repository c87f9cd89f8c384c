"""Compiled ONNX graphs on CUDA, OpenVINO or ONNX Runtime, each loaded on first use."""

import importlib
import importlib.metadata
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError

Backend = Literal["auto", "cuda", "openvino", "onnxruntime"]
"""What serves an artifact's graphs."""


Precision = Literal["auto", "f32", "bf16", "int8"]


Vectors = NDArray[np.float32]


Inputs = NDArray[np.uint8] | NDArray[np.int64]


BATCH: Final = 32
"""Rows through a graph at once: on one core 128 were 6 % faster than 32, for four times the memory."""


VALUES: Final = BATCH * 112 * 112 * 3
"""Input values through a graph on a CPU at once: BATCH pictures of 112 pixels a side, six of 256.
A ViT-B/16 takes as long for each of 2, 4, 8 or 16 (docs/decisions/107-encoder-speed.md)."""


class BackendMissing(MlError):
    """The inference library that was asked for is not installed."""


class PrecisionMissing(MlError):
    """A precision that the machine, the backend or the artifact does not have."""


class Graph(Protocol):
    """A compiled ONNX graph: a batch in, its vectors out. Safe to call from many threads."""

    def __call__(self, batch: Inputs) -> Vectors: ...


@dataclass(frozen=True)
class CompiledGraph:
    """A graph, and what computes it."""

    run: Graph
    backend: str
    precision: str
    """Of most products: f32, tf32, bf16 or int8."""

    def __call__(self, batch: Inputs) -> Vectors:
        """(n, dims) of a batch (n, …)."""
        return self.run(batch)


def encode_batches(graph: Graph, inputs: Inputs, dims: int) -> Vectors:
    """(n, dims) float32 of inputs (n, …), BATCH rows at a time."""
    vectors = np.empty((len(inputs), dims), dtype=np.float32)
    for start in range(0, len(inputs), BATCH):
        vectors[start : start + BATCH] = graph(inputs[start : start + BATCH])
    return vectors


def open_graph(
    path: Path, *, backend: Backend = "auto", threads: int = 1, precision: Precision = "auto"
) -> CompiledGraph:
    """A compiled graph. "auto" takes what is fastest of what the machine has: CUDA, then OpenVINO."""
    openers: dict[str, Callable[[Path, int, Precision], CompiledGraph]] = {
        "cuda": open_cuda,
        "openvino": open_openvino,
        "onnxruntime": open_onnxruntime,
    }
    names = list(openers) if backend == "auto" else [backend]
    missing: list[ImportError] = []
    for name in names:
        try:
            return openers[name](path, threads, precision)
        except ImportError as error:
            missing.append(error)
    raise BackendMissing(
        f"{path}: needs {' or '.join(names)}; pip install one of them ({missing[0]})"
    ) from missing[0]


def open_openvino(path: Path, threads: int, precision: Precision) -> CompiledGraph:
    """The graph on the CPU by OpenVINO.

    Raises:
        PrecisionMissing: bf16 on a CPU without it.
    """
    import openvino  # noqa: PLC0415  a heavy import that only this function needs

    core = openvino.Core()
    half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and not half:
        raise PrecisionMissing(f"{path}: this CPU has no bf16 arithmetic; take precision f32 or auto")
    chosen = "bf16" if half and precision != "f32" else "f32"
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Of an int8 graph it concerns the layers that were left in floating point.
        "INFERENCE_PRECISION_HINT": chosen,
        # Every worker process would pin itself to the same first cores.
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(path, "CPU", settings).create_infer_request()
    turn = threading.Lock()

    def run(batch: Inputs) -> Vectors:
        with turn:
            return np.array(request.infer([batch], share_inputs=True)[0])

    return CompiledGraph(in_parts(run), "openvino", chosen)


def in_parts(graph: Graph) -> Graph:
    """The same graph, on so few rows at once that what it holds between its layers stays small."""

    def run(batch: Inputs) -> Vectors:
        rows = max(1, VALUES // math.prod(batch.shape[1:]))
        if len(batch) <= rows:
            return graph(batch)
        return np.concatenate([graph(batch[start : start + rows]) for start in range(0, len(batch), rows)])

    return run


def open_onnxruntime(path: Path, threads: int, precision: Precision) -> CompiledGraph:
    """The graph on the CPU by ONNX Runtime."""
    run = open_session(path, threads, precision, "CPUExecutionProvider", {})
    return CompiledGraph(in_parts(run), "onnxruntime", "f32")


def open_cuda(path: Path, threads: int, precision: Precision) -> CompiledGraph:
    """The graph on an NVIDIA GPU.

    Raises:
        ImportError: there is no onnxruntime-gpu, or it finds no GPU.
    """
    # Checked without importing onnxruntime, which would slow the start of every worker without a GPU.
    try:
        importlib.metadata.version("onnxruntime-gpu")
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError("onnxruntime-gpu is not installed") from error
    chosen = "f32" if precision == "f32" else "tf32"
    settings = {"use_tf32": str(int(chosen == "tf32"))}
    return CompiledGraph(
        open_session(path, threads, precision, "CUDAExecutionProvider", settings), "cuda", chosen
    )


def open_session(
    path: Path, threads: int, precision: Precision, provider: str, settings: dict[str, str]
) -> Graph:
    """An ONNX Runtime session of one execution provider.

    Raises:
        ImportError: the provider is not installed or finds no device.
        PrecisionMissing: ONNX Runtime has no bf16.
    """
    import onnxruntime  # noqa: PLC0415

    if precision == "bf16":
        raise PrecisionMissing(f"{path}: ONNX Runtime runs the graph in f32 or int8; take OpenVINO for bf16")
    if provider not in onnxruntime.get_available_providers():
        raise ImportError(f"this onnxruntime has no {provider}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads take a core from the workers beside this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if precision == "f32":
        # Of an int8 graph each rounding is then a step of its own, between products in float32.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
    if provider not in session.get_providers():
        raise ImportError(f"{provider} finds no device")
    name = session.get_inputs()[0].name

    def run(batch: Inputs) -> Vectors:
        return np.asarray(session.run(None, {name: batch})[0])

    return run

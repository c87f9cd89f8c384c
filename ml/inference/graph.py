"""Compiled ONNX graphs on CUDA, OpenVINO or ONNX Runtime, each loaded on first use."""

import importlib
import importlib.metadata
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError
from ml.inference.onnx_file import with_output

Backend = Literal["auto", "cuda", "openvino", "onnxruntime"]
"""Library that computes an artifact's graphs."""

Precision = Literal["auto", "f32", "bf16", "int8"]

Vectors = NDArray[np.float32]

Inputs = NDArray[np.uint8] | NDArray[np.int64]
"""Pixels (n, s, s, 3) uint8 or token ids (n, tokens) int64."""

BATCH: Final = 32
"""Rows per call of a graph: on one core 128 were 6 % faster than 32, for four times the memory."""

VALUES: Final = BATCH * 112 * 112 * 3
"""Input values per call of a graph on a CPU: BATCH photos of 112 × 112 pixels, or six of 256 × 256. A
ViT-B/16 takes as long per photo in batches of 2, 4, 8 or 16 (docs/decisions/107-encoder-speed.md)."""

TIMED_ROWS: Final = 2
"""Rows with which precisions are compared: a ViT-B/16 takes half a second for them on two cores."""


class BackendMissing(MlError):
    """An inference library that is not installed."""


class PrecisionMissing(MlError):
    """A precision that the machine, the backend or the artifact does not support."""


class Graph(Protocol):
    """A compiled ONNX graph, from a batch (n, …) to vectors (n, dims) float32. Thread-safe."""

    def __call__(self, batch: Inputs) -> Vectors: ...


@dataclass(frozen=True)
class CompiledGraph:
    """A graph with its backend and precision."""

    run: Graph
    backend: str
    precision: str
    """Precision of most matrix products: f32, tf32, bf16 or int8."""

    def __call__(self, batch: Inputs) -> Vectors:
        """(n, dims) float32 vectors of a batch (n, …)."""
        return self.run(batch)


def encode_batches(graph: Graph, inputs: Inputs, dims: int) -> Vectors:
    """(n, dims) float32 vectors of inputs (n, …), computed BATCH rows at a time."""
    vectors = np.empty((len(inputs), dims), dtype=np.float32)
    for start in range(0, len(inputs), BATCH):
        vectors[start : start + BATCH] = graph(inputs[start : start + BATCH])
    return vectors


def open_graph(
    path: Path,
    *,
    backend: Backend = "auto",
    threads: int = 1,
    precision: Precision = "auto",
    beside: str | None = None,
) -> CompiledGraph:
    """Compile a graph. backend: "auto" is the first that is available of CUDA, OpenVINO and ONNX Runtime.

    beside: the name of a tensor (n, width) of the graph, whose columns follow those of the vectors.

    Raises:
        BackendMissing: the backend is not installed.
        PrecisionMissing: it does not support the precision on this machine.
    """
    model = with_output(path.read_bytes(), beside) if beside else path
    openers: dict[str, Callable[[Path | bytes, Path, int, Precision], CompiledGraph]] = {
        "cuda": open_cuda,
        "openvino": open_openvino,
        "onnxruntime": open_onnxruntime,
    }
    names = list(openers) if backend == "auto" else [backend]
    missing: list[ImportError] = []
    for name in names:
        try:
            return openers[name](model, path, threads, precision)
        except ImportError as error:
            missing.append(error)
    raise BackendMissing(
        f"{path}: needs {' or '.join(names)}; pip install one of them ({missing[0]})"
    ) from missing[0]


def open_openvino(model: Path | bytes, path: Path, threads: int, precision: Precision) -> CompiledGraph:
    """Compile the graph for the CPU by OpenVINO. precision: "auto" is the faster of those that the CPU has.

    Raises:
        PrecisionMissing: bf16 on a CPU without it.
    """
    import openvino  # noqa: PLC0415  a heavy import that only this function needs

    core = openvino.Core()
    network = core.read_model(model)
    half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and not half:
        raise PrecisionMissing(f"{path}: this CPU has no bf16 arithmetic; use precision f32 or auto")

    def compiled(chosen: str) -> CompiledGraph:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # In an int8 graph it applies to the layers that were left in floating point.
            "INFERENCE_PRECISION_HINT": chosen,
            # Every worker process would pin itself to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        request = core.compile_model(network, "CPU", settings).create_infer_request()
        turn = threading.Lock()

        def run(batch: Inputs) -> Vectors:
            with turn:
                return side_by_side(list(request.infer([batch], share_inputs=True).values()))

        return CompiledGraph(in_parts(run), "openvino", chosen)

    if not half or precision == "f32":
        return compiled("f32")
    if precision == "bf16":
        return compiled("bf16")
    values = network.inputs[0]
    shape = (TIMED_ROWS, *(side.get_length() for side in list(values.partial_shape)[1:]))
    return fastest([compiled("bf16"), compiled("f32")], np.zeros(shape, values.element_type.to_dtype()))


def fastest(
    graphs: Sequence[CompiledGraph], batch: Inputs, *, clock: Callable[[], float] = time.perf_counter
) -> CompiledGraph:
    """The graph that computes the batch in the shortest time, the best of three calls after one to warm up.

    A CPU that has bf16 may compute it slower than float32 (docs/decisions/107-encoder-speed.md).
    """

    def seconds(graph: CompiledGraph) -> float:
        before = clock()
        graph(batch)
        return clock() - before

    for graph in graphs:
        graph(batch)
    return min(graphs, key=lambda graph: min(seconds(graph) for _ in range(3)))


def in_parts(graph: Graph) -> Graph:
    """The graph, split into calls of at most VALUES input values, which limits the memory of activations."""

    def run(batch: Inputs) -> Vectors:
        rows = max(1, VALUES // math.prod(batch.shape[1:]))
        if len(batch) <= rows:
            return graph(batch)
        return np.concatenate([graph(batch[start : start + rows]) for start in range(0, len(batch), rows)])

    return run


def open_onnxruntime(model: Path | bytes, path: Path, threads: int, precision: Precision) -> CompiledGraph:
    """Compile the graph for the CPU by ONNX Runtime.

    Raises:
        PrecisionMissing: bf16, which ONNX Runtime does not support.
    """
    run = open_session(model, path, threads, precision, "CPUExecutionProvider", {})
    return CompiledGraph(in_parts(run), "onnxruntime", "f32")


def open_cuda(model: Path | bytes, path: Path, threads: int, precision: Precision) -> CompiledGraph:
    """Compile the graph for an NVIDIA GPU by ONNX Runtime.

    Raises:
        ImportError: onnxruntime-gpu is not installed, or finds no GPU.
        PrecisionMissing: bf16, which ONNX Runtime does not support.
    """
    # Checked without importing onnxruntime, which would slow the start of every worker without a GPU.
    try:
        importlib.metadata.version("onnxruntime-gpu")
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError("onnxruntime-gpu is not installed") from error
    chosen = "f32" if precision == "f32" else "tf32"
    settings = {"use_tf32": str(int(chosen == "tf32"))}
    return CompiledGraph(
        open_session(model, path, threads, precision, "CUDAExecutionProvider", settings), "cuda", chosen
    )


def open_session(
    model: Path | bytes,
    path: Path,
    threads: int,
    precision: Precision,
    provider: str,
    settings: dict[str, str],
) -> Graph:
    """Open an ONNX Runtime session of one execution provider.

    Raises:
        ImportError: the provider is not installed or finds no device.
        PrecisionMissing: ONNX Runtime has no bf16.
    """
    import onnxruntime  # noqa: PLC0415

    if precision == "bf16":
        raise PrecisionMissing(f"{path}: ONNX Runtime runs the graph in f32 or int8; use OpenVINO for bf16")
    if provider not in onnxruntime.get_available_providers():
        raise ImportError(f"this onnxruntime has no {provider}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take cores from other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if precision == "f32":
        # In an int8 graph each rounding is then a separate step, between products in float32.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
    if provider not in session.get_providers():
        raise ImportError(f"{provider} finds no device")
    name = session.get_inputs()[0].name

    def run(batch: Inputs) -> Vectors:
        return side_by_side(session.run(None, {name: batch}))

    return run


def side_by_side(outputs: Sequence[Vectors]) -> Vectors:
    """The outputs (n, d) float32 of a graph as columns of one new array."""
    return np.array(outputs[0]) if len(outputs) == 1 else np.concatenate(outputs, axis=1)

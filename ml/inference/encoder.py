"""Pixels and captions to unit vectors with an artifact's graphs; torch-free. Libraries load on first use."""

import importlib
import importlib.metadata
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.artifact import MANIFEST, ArtifactError, EncoderArtifact
from ml.errors import MlError
from ml.inference.self_check import checked

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Backend = Literal["auto", "cuda", "openvino", "onnxruntime"]
"""What serves an artifact's graphs."""
AnyBackend = Literal[Backend, "torch"]
"""Also the reference that they must agree with: an artifact's checkpoint in torch, which serving lacks."""
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


class NoTextTower(MlError):
    """Captions were to be encoded by an artifact that only takes photos."""


class WrongInput(MlError):
    """An array that is no batch of the pictures an encoder takes."""


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


class ImageEncoder:
    """Photos to vectors. Safe to call from many threads; they take turns."""

    def __init__(self, encoder_id: str, graph: Graph, *, dims: int, image_size: int) -> None:
        self.encoder_id = encoder_id
        self.dims = dims
        self.image_size = image_size
        self._graph = graph

    def encode(self, pixels: NDArray[np.uint8]) -> Vectors:
        """(n, dims) float32, unit norm, of pixels (n, s, s, 3) uint8 as decode_photo makes them.

        Raises:
            WrongInput: another shape or dtype; the message names both.
        """
        side = self.image_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3):
            raise WrongInput(
                f"{self.encoder_id}: found {pixels.dtype} {pixels.shape}, "
                f"expected uint8 (n, {side}, {side}, 3); "
                f"decode photos with ml.inference.preprocess.decode_photo(data, {side})"
            )
        return encode_batches(self._graph, pixels, self.dims)


class TextEncoder:
    """Captions to vectors in the space of the photos'. Safe to call from many threads; they take turns."""

    def __init__(self, artifact: EncoderArtifact, graph: Graph) -> None:
        self.encoder_id = artifact.encoder_id
        self.dims = artifact.dims
        self._graph = graph
        self._tokenizer_file = artifact.tokenizer

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from ml.data.tokenizer import load_tokenizer  # noqa: PLC0415  photos need no tokenizer

        return load_tokenizer(self._tokenizer_file)

    def encode(self, captions: Sequence[str]) -> Vectors:
        """(n, dims) float32, unit norm."""
        from ml.data.tokenizer import tokenize  # noqa: PLC0415

        return encode_batches(self._graph, tokenize(self._tokenizer, captions), self.dims)


def load_encoder(
    artifact: EncoderArtifact,
    *,
    backend: AnyBackend = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> ImageEncoder:
    """The artifact's image encoder on `threads` threads, which gives the artifact's golden vectors here.

    precision: "auto" is the fastest that this machine computes correctly. Of an int8 artifact, f32 computes
    what int8 stands for in float32.

    Raises:
        BackendMissing: the backend named is not installed, or none is.
        PrecisionMissing: the precision named is not available on this machine.
        WrongVectors: the precision named, or of "auto" float32 too, gives other vectors than the golden ones.
    """
    if precision == "int8" and not artifact.quantised:
        raise PrecisionMissing(
            f"{artifact.folder}: {artifact.encoder_id} has no int8 graph; "
            "make one with `nitamono ml quantise`, or take another precision"
        )
    graph = open_checked(artifact, artifact.image_graph, backend, threads, precision)
    return ImageEncoder(artifact.encoder_id, graph, dims=artifact.dims, image_size=artifact.image_size)


def load_text_encoder(
    artifact: EncoderArtifact,
    *,
    backend: AnyBackend = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> TextEncoder:
    """The artifact's text encoder; raises as load_encoder does.

    Raises:
        NoTextTower: the artifact takes photos alone.
    """
    if not artifact.has_text:
        raise NoTextTower(
            f"{artifact.folder}: {artifact.encoder_id} encodes photos, not captions; name an artifact with a "
            "text tower, or import a SigLIP again without --no-text"
        )
    return TextEncoder(artifact, open_checked(artifact, artifact.text_graph, backend, threads, precision))


def open_checked(
    artifact: EncoderArtifact, path: Path, backend: AnyBackend, threads: int, precision: Precision
) -> CompiledGraph:
    """One of the artifact's graphs; raises as load_encoder does."""

    def open_in(chosen: Precision) -> CompiledGraph:
        return open_artifact(artifact, path, backend, threads, chosen)

    graph = open_in(precision)
    int8_in_openvino = backend == "openvino" and graph.precision == "int8"
    replaceable = precision == "auto" and graph.precision != "f32" and not int8_in_openvino
    return checked(artifact, path, graph, (lambda: open_in("f32")) if replaceable else None)


def open_artifact(
    artifact: EncoderArtifact, path: Path, backend: AnyBackend, threads: int, precision: Precision
) -> CompiledGraph:
    """One of the artifact's graphs, which refuses to give vectors of other dims than the manifest's.

    Raises:
        ArtifactError: when it is run, see above.
    """
    quantised = artifact.quantised and path == artifact.image_graph
    if quantised and precision == "f32" and backend in {"auto", "openvino"}:
        backend = literal_backend(path, backend)
    if backend == "torch":
        graph = open_torch(artifact, path, threads, precision)
    else:
        graph = open_graph(path, backend=backend, threads=threads, precision=precision)

    def run(batch: Inputs) -> Vectors:
        vectors = graph(batch)
        if vectors.shape[1] != artifact.dims:
            raise ArtifactError(
                f"{artifact.folder / MANIFEST}: says dims {artifact.dims}, {path.name} gives "
                f"{vectors.shape[1]}; restore the folder from its source, or export it again"
            )
        return vectors

    return CompiledGraph(run, graph.backend, "int8" if quantised and precision != "f32" else graph.precision)


def literal_backend(path: Path, backend: AnyBackend) -> AnyBackend:
    """What computes an int8 graph as it is written, each rounding a step of its own in float32.

    Raises:
        PrecisionMissing: OpenVINO is named, which leaves the rounding out or computes in int8.
    """
    if backend == "openvino":
        raise PrecisionMissing(f"{path}: OpenVINO computes an int8 graph in int8; take onnxruntime for f32")
    return "onnxruntime"


def open_torch(artifact: EncoderArtifact, path: Path, threads: int, precision: Precision) -> CompiledGraph:
    if precision == "bf16":
        raise PrecisionMissing(f"{path}: torch computes in f32; take OpenVINO for bf16")
    try:
        # By name, for what serves must not depend on torch.
        reference = importlib.import_module("ml.models.torch_backend")
    except ImportError as error:
        raise BackendMissing(f"{path}: needs torch; pip install '.[train]' ({error})") from error
    graph: Graph = reference.open_reference(artifact, path, threads)
    return CompiledGraph(in_parts(graph), "torch", "f32")


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
    import openvino  # noqa: PLC0415

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
    run = open_session(path, threads, precision, "CPUExecutionProvider", {})
    return CompiledGraph(in_parts(run), "onnxruntime", "f32")


def open_cuda(path: Path, threads: int, precision: Precision) -> CompiledGraph:
    """The graph on an NVIDIA GPU.

    Raises:
        ImportError: there is no onnxruntime-gpu, or it finds no GPU.
    """
    # Told apart without importing onnxruntime, which would lengthen the start of every worker without a GPU.
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

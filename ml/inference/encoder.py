"""Encoders of photos and captions by an artifact's graphs. Torch-free; libraries load on first use."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ml.artifact import MANIFEST, ArtifactError, EncoderArtifact
from ml.errors import MlError
from ml.inference.graph import (
    Backend,
    CompiledGraph,
    Graph,
    Inputs,
    Precision,
    PrecisionMissing,
    Vectors,
    encode_batches,
    in_parts,
    open_graph,
)
from ml.inference.self_check import checked

if TYPE_CHECKING:
    from tokenizers import Tokenizer

OpenReference = Callable[[EncoderArtifact, Path, int], Graph]
"""Opens the checkpoint from which a graph (path) of an artifact was exported, on a number of threads: see
ml.models.torch_backend. The caller passes it, because serving has no torch."""


class NoTextTower(MlError):
    """A request for a text encoder of an artifact that encodes photos only."""


class WrongInput(MlError):
    """An array that is not a batch of photos of the encoder's size."""


class ImageEncoder:
    """An encoder of photos. Thread-safe: concurrent calls are serialised."""

    def __init__(self, encoder_id: str, graph: Graph, *, dims: int, image_size: int) -> None:
        self.encoder_id = encoder_id
        self.dims = dims
        self.image_size = image_size
        self._graph = graph

    @property
    def backend(self) -> str:
        """Library that computes the graph, such as `openvino`; empty for a graph that does not say."""
        return self._graph.backend if isinstance(self._graph, CompiledGraph) else ""

    @property
    def precision(self) -> str:
        """Precision of most matrix products: f32, tf32, bf16 or int8; empty as above."""
        return self._graph.precision if isinstance(self._graph, CompiledGraph) else ""

    def encode(self, pixels: NDArray[np.uint8]) -> Vectors:
        """(n, dims) float32, unit norm, of pixels (n, s, s, 3) uint8 as returned by decode_photo.

        Raises:
            WrongInput: another shape or dtype; the message has the one found and the one expected.
        """
        self.check_input(pixels)
        return encode_batches(self._graph, pixels, self.dims)

    def check_input(self, pixels: NDArray[np.uint8]) -> None:
        """Check that the array is a batch of pixels (n, s, s, 3) uint8.

        Raises:
            WrongInput: another shape or dtype.
        """
        side = self.image_size
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3):
            raise WrongInput(
                f"{self.encoder_id}: found {pixels.dtype} {pixels.shape}, "
                f"expected uint8 (n, {side}, {side}, 3); "
                f"decode photos with ml.inference.preprocess.decode_photo(data, {side})"
            )


class TextEncoder:
    """An encoder of captions, into the space of photos. Thread-safe: concurrent calls are serialised."""

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
        """(n, dims) float32, unit norm, of n captions."""
        from ml.data.tokenizer import tokenize  # noqa: PLC0415

        return encode_batches(self._graph, tokenize(self._tokenizer, captions), self.dims)


def load_encoder(
    artifact: EncoderArtifact,
    *,
    backend: Backend | OpenReference = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> ImageEncoder:
    """Load the artifact's image encoder, and check that it reproduces the golden vectors on this machine.

    backend: a library, "auto" for the fastest one installed, or a function that opens the reference in torch.
    threads: of the graph. precision: "auto" is the fastest that this machine computes correctly. For an int8
    artifact, f32 computes the int8 graph's values in float32.

    Raises:
        BackendMissing: the named backend is not installed, or for "auto" none is.
        PrecisionMissing: the named precision is not available on this machine.
        WrongVectors: the vectors differ from the golden ones in the named precision, or for "auto" even in
            float32.
    """
    if precision == "int8" and not artifact.quantised:
        raise PrecisionMissing(
            f"{artifact.folder}: {artifact.encoder_id} has no int8 graph; "
            "create one with `nitamono ml quantise`, or use another precision"
        )
    graph = open_checked(artifact, artifact.image_graph, backend, threads, precision)
    return ImageEncoder(artifact.encoder_id, graph, dims=artifact.dims, image_size=artifact.image_size)


def load_text_encoder(
    artifact: EncoderArtifact,
    *,
    backend: Backend | OpenReference = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> TextEncoder:
    """Load the artifact's text encoder. Arguments and errors are those of load_encoder.

    Raises:
        NoTextTower: the artifact encodes photos only.
    """
    if not artifact.has_text:
        raise NoTextTower(
            f"{artifact.folder}: {artifact.encoder_id} encodes photos only; use an artifact with a text "
            "tower, or import the SigLIP again without --no-text"
        )
    return TextEncoder(artifact, open_checked(artifact, artifact.text_graph, backend, threads, precision))


def open_checked(
    artifact: EncoderArtifact,
    path: Path,
    backend: Backend | OpenReference,
    threads: int,
    precision: Precision,
    *,
    beside: tuple[str, int] | None = None,
) -> CompiledGraph:
    """Open one of the artifact's graphs and check it. Arguments and errors are those of load_encoder.

    beside: name and width of a tensor of the graph, whose columns follow those of the vectors.
    """

    def open_in(chosen: Precision) -> CompiledGraph:
        return open_artifact(artifact, path, backend, threads, chosen, beside=beside)

    graph = open_in(precision)
    int8_in_openvino = backend == "openvino" and graph.precision == "int8"
    replaceable = precision == "auto" and graph.precision != "f32" and not int8_in_openvino
    return checked(artifact, path, graph, (lambda: open_in("f32")) if replaceable else None)


def open_artifact(
    artifact: EncoderArtifact,
    path: Path,
    backend: Backend | OpenReference,
    threads: int,
    precision: Precision,
    *,
    beside: tuple[str, int] | None = None,
) -> CompiledGraph:
    """Open one of the artifact's graphs. Running it checks that vectors have the dims of the manifest.

    beside: as in open_checked; not with a reference in torch.

    Raises:
        ArtifactError: they have not; raised when the graph is run.
    """
    quantised = artifact.quantised and path == artifact.image_graph
    if quantised and precision == "f32" and backend in ("auto", "openvino"):
        backend = literal_backend(path, backend)
    if callable(backend):
        graph = open_torch(artifact, path, threads, precision, backend)
    else:
        tensor = beside[0] if beside else None
        graph = open_graph(path, backend=backend, threads=threads, precision=precision, beside=tensor)
    expected = artifact.dims + (beside[1] if beside else 0)

    def run(batch: Inputs) -> Vectors:
        vectors = graph(batch)
        if vectors.shape[1] != expected:
            raise ArtifactError(
                f"{artifact.folder / MANIFEST}: dims is {artifact.dims}, but {path.name} outputs "
                f"{vectors.shape[1] - expected + artifact.dims}; "
                "restore the folder from its source, or export it again"
            )
        return vectors

    return CompiledGraph(run, graph.backend, "int8" if quantised and precision != "f32" else graph.precision)


def literal_backend(path: Path, backend: Backend | OpenReference) -> Backend:
    """The backend that computes an int8 graph literally, each rounding as a separate step in float32.

    Raises:
        PrecisionMissing: the backend is OpenVINO, which omits the rounding or computes in int8.
    """
    if backend == "openvino":
        raise PrecisionMissing(f"{path}: OpenVINO computes an int8 graph in int8; use onnxruntime for f32")
    return "onnxruntime"


def open_torch(
    artifact: EncoderArtifact, path: Path, threads: int, precision: Precision, open_reference: OpenReference
) -> CompiledGraph:
    """Open the reference of one of the artifact's graphs.

    Raises:
        PrecisionMissing: torch computes in float32 only.
    """
    if precision == "bf16":
        raise PrecisionMissing(f"{path}: torch computes in f32; use OpenVINO for bf16")
    graph = open_reference(artifact, path, threads)
    return CompiledGraph(in_parts(graph), "torch", "f32")

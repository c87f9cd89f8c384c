"""Pixels and captions to unit vectors with an artifact's graphs; torch-free. Libraries load on first use."""

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
"""Opens the checkpoint that a graph of the artifact was exported from, on so many threads: see
ml.models.torch_backend. The caller hands it in, because serving has no torch."""


class NoTextTower(MlError):
    """Captions were to be encoded by an artifact that only takes photos."""


class WrongInput(MlError):
    """An array that is no batch of the pictures an encoder takes."""


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
    backend: Backend | OpenReference = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> ImageEncoder:
    """The artifact's image encoder on `threads` threads, which gives the artifact's golden vectors here.

    backend: a library, "auto" for the fastest one here, or a function that opens the reference in torch.
    precision: "auto" is the fastest that this machine computes correctly. For an int8 artifact, f32 computes
    the int8 graph's values in float32.

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
    backend: Backend | OpenReference = "auto",
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
    artifact: EncoderArtifact,
    path: Path,
    backend: Backend | OpenReference,
    threads: int,
    precision: Precision,
) -> CompiledGraph:
    """One of the artifact's graphs; raises as load_encoder does."""

    def open_in(chosen: Precision) -> CompiledGraph:
        return open_artifact(artifact, path, backend, threads, chosen)

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
) -> CompiledGraph:
    """One of the artifact's graphs, which refuses to give vectors of other dims than the manifest's.

    Raises:
        ArtifactError: when it is run, see above.
    """
    quantised = artifact.quantised and path == artifact.image_graph
    if quantised and precision == "f32" and backend in ("auto", "openvino"):
        backend = literal_backend(path, backend)
    if callable(backend):
        graph = open_torch(artifact, path, threads, precision, backend)
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


def literal_backend(path: Path, backend: Backend | OpenReference) -> Backend:
    """What computes an int8 graph as it is written, each rounding a step of its own in float32.

    Raises:
        PrecisionMissing: OpenVINO is named, which leaves the rounding out or computes in int8.
    """
    if backend == "openvino":
        raise PrecisionMissing(f"{path}: OpenVINO computes an int8 graph in int8; take onnxruntime for f32")
    return "onnxruntime"


def open_torch(
    artifact: EncoderArtifact, path: Path, threads: int, precision: Precision, open_reference: OpenReference
) -> CompiledGraph:
    """The reference of one of the artifact's graphs.

    Raises:
        PrecisionMissing: torch computes in float32 only.
    """
    if precision == "bf16":
        raise PrecisionMissing(f"{path}: torch computes in f32; take OpenVINO for bf16")
    graph = open_reference(artifact, path, threads)
    return CompiledGraph(in_parts(graph), "torch", "f32")

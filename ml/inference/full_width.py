"""Vectors of a network at its full width, before the layer that projects them to the dims of the index."""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.artifact import EncoderArtifact
from ml.data.unit_vectors import normalize
from ml.errors import MlError
from ml.inference.encoder import ImageEncoder, open_checked
from ml.inference.graph import Backend, CompiledGraph, Precision, Vectors, encode_batches
from ml.inference.onnx_file import OnnxFile, parse

PASSED: Final = ("Div", "LpNormalization", "Identity")
"""Operations of a normalisation, from the output back to the last layer."""


class NoProjection(MlError):
    """An encoder whose image graph has no last linear layer from its full width."""


@dataclass(frozen=True)
class LastLayer:
    """The last linear layer of an image graph, and what it is applied to."""

    backbone_id: str
    """16 hex digits of a hash of all that determines the vector before it: the graph up to there and the
    preprocessing. Artifacts that differ in their projection alone share it."""
    tensor: str
    """The name of the layer's input in the graph."""
    weight: NDArray[np.float32]
    """(dims, width) float32."""
    bias: NDArray[np.float32]
    """(dims,) float32."""

    @property
    def width(self) -> int:
        """Dimensions of the vectors before it."""
        return int(self.weight.shape[1])

    def project(self, embeddings: Vectors) -> Vectors:
        """(n, dims) float32, unit norm, of full-width vectors (n, width) float32."""
        return normalize(embeddings @ self.weight.T + self.bias)


class FullWidthEncoder(ImageEncoder):
    """An encoder that returns the full-width vectors of photos beside their projected ones."""

    def __init__(self, artifact: EncoderArtifact, graph: CompiledGraph, last: LastLayer) -> None:
        super().__init__(artifact.encoder_id, graph, dims=artifact.dims, image_size=artifact.image_size)
        self.last = last

    def encode(self, pixels: NDArray[np.uint8]) -> Vectors:
        """See ImageEncoder.encode."""
        return self.encode_full_width(pixels)[0]

    def encode_full_width(self, pixels: NDArray[np.uint8]) -> tuple[Vectors, Vectors]:
        """Vectors (n, dims) float32, unit norm, and (n, width) float32 before the projection, of one pass.

        Raises:
            WrongInput: as ImageEncoder.encode.
        """
        self.check_input(pixels)
        both = encode_batches(self._graph, pixels, self.dims + self.last.width)
        return both[:, : self.dims], both[:, self.dims :]


def load_full_width_encoder(
    artifact: EncoderArtifact,
    *,
    backend: Backend = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> FullWidthEncoder:
    """Load an artifact's image encoder with its full-width vectors. Arguments are those of load_encoder.

    Raises:
        BackendMissing, PrecisionMissing, WrongVectors: as load_encoder.
        NoProjection: it has no last linear layer from its full width.
    """
    last = last_layer(artifact)
    graph = open_checked(
        artifact, artifact.image_graph, backend, threads, precision, beside=(last.tensor, last.width)
    )
    return FullWidthEncoder(artifact, graph, last)


def last_layer(artifact: EncoderArtifact) -> LastLayer:
    """Find the last linear layer of an artifact's image graph.

    Raises:
        NoProjection: there is none from the width in the manifest.
        UnreadableGraph: the file is damaged.
    """
    graph = parse(artifact.image_graph.read_bytes())
    found = find_layer(graph)
    shape = (artifact.dims, artifact.manifest.width)
    if found is None or found[1].shape != shape:
        raise NoProjection(
            f"{artifact.image_graph}: expected the output to be the normalized result of a linear layer of "
            f"{shape}, found {'none' if found is None else found[1].shape}; use an artifact of "
            "`nitamono ml export`, `import` or `quantise`"
        )
    return LastLayer(_backbone_id(artifact, graph, found[0]), *found)


def find_layer(graph: OnnxFile) -> tuple[str, NDArray[np.float32], NDArray[np.float32]] | None:
    """The input (a name), weight (dims, width) and bias (dims,) of the layer; None if there is none."""
    tensor, bias = graph.outputs[0], None
    while (node := graph.producer(tensor)) is not None:
        constants = [graph.constant(name) for name in node.inputs]
        if node.op in PASSED:
            tensor = node.inputs[0]
        elif node.op == "Add" and bias is None and (constants[0] is None) != (constants[1] is None):
            (bias,) = (value for value in constants if value is not None)
            tensor = node.inputs[constants[1] is None]
        elif node.op in ("Gemm", "MatMul") and constants[1] is not None and constants[1].ndim == 2:
            matrix = constants[1] if node.flags.get("transB") else constants[1].T
            if len(constants) > 2 and constants[2] is not None:
                bias = constants[2]
            return node.inputs[0], matrix, np.zeros(len(matrix), np.float32) if bias is None else bias
        else:
            return None
    return None


def _backbone_id(artifact: EncoderArtifact, graph: OnnxFile, tensor: str) -> str:
    nodes, weights = graph.needed_for(tensor)
    settings = artifact.preprocessing.model_dump(exclude_none=True)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for part in (*graph.opsets, *(node.raw for node in nodes), *weights):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]

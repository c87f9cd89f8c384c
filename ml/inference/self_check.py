"""Check that a graph reproduces the golden vectors of its artifact on this machine.

Some CPUs, and some releases of the inference libraries, miscompute bf16 or int8 without an error.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ml.artifact import EncoderArtifact, GoldenSample
from ml.errors import MlError

if TYPE_CHECKING:
    from ml.inference.graph import CompiledGraph, Graph

LEAST_COSINE_F32: Final = 0.9999
"""Minimum cosine of a vector to the golden one in float32. Between correct backends it is 0.999999."""

LEAST_COSINE: Final = 0.99
"""The same in bf16, int8 or TF32, which round by design. The lowest measured on correct machines were 0.9998
for the committed encoders and 0.993 for MobileNetV2 (docs/decisions/102-artifact.md)."""

log = logging.getLogger(__name__)


class WrongVectors(MlError):
    """A graph that does not reproduce its artifact's golden vectors on this machine."""


def checked(
    artifact: EncoderArtifact,
    path: Path,
    graph: "CompiledGraph",
    open_f32: "Callable[[], CompiledGraph] | None" = None,
) -> "CompiledGraph":
    """Return the graph at `path` if it reproduces the golden vectors, else that of open_f32 if it does.

    Logs a warning, and checks nothing, if the artifact has no golden vectors.

    Raises:
        WrongVectors: there is no open_f32, or its graph does not reproduce them either.
    """
    golden = artifact.golden(path.name)
    if golden is None:
        log.warning(
            "%s: %s has no golden vectors, so its vectors cannot be checked on this machine; "
            "add them with `nitamono ml artifact golden %s`",
            artifact.folder,
            artifact.encoder_id,
            artifact.folder,
        )
        return graph
    cosine = lowest_cosine(graph, golden)
    if cosine >= least_cosine(graph):
        return graph
    found = f"{artifact.folder}: {mismatch(path, graph, cosine)}"
    if open_f32 is None:
        raise wrong_vectors(found)
    full = open_f32()
    cosine = lowest_cosine(full, golden)
    if not cosine >= least_cosine(full):
        raise wrong_vectors(f"{found}; {mismatch(path, full, cosine)}")
    log.warning("%s; using %s in f32 instead (cosine %.6f)", found, full.backend, cosine)
    return full


def least_cosine(graph: "CompiledGraph") -> float:
    """The minimum cosine accepted in the graph's precision."""
    return LEAST_COSINE_F32 if graph.precision == "f32" else LEAST_COSINE


def lowest_cosine(graph: "Graph", golden: GoldenSample) -> float:
    """The lowest cosine of the graph's vectors to the golden ones; NaN if a vector contains NaN.

    Computed as 1 − |a − b|² / 2, which holds for unit vectors, so that a vector of another norm fails too.
    """
    vectors = graph(golden.inputs)[:, : golden.vectors.shape[1]]  # full-width ones may follow
    differences = vectors.astype(np.float64) - golden.vectors
    return float(1 - np.square(differences).sum(axis=1).max() / 2)


def mismatch(path: Path, graph: "CompiledGraph", cosine: float) -> str:
    """A sentence with backend, precision, machine and cosine of a failed check."""
    from ml.inference.machine import processor  # noqa: PLC0415  only where something is wrong

    machine = processor() or "this machine"
    return (
        f"{graph.backend} computes {path.name} wrongly in {graph.precision} on {machine} "
        f"(cosine to the golden vectors {cosine:.6f}, expected {least_cosine(graph)} or more)"
    )


def wrong_vectors(found: str) -> WrongVectors:
    """The error for a failed check, with the remedy."""
    return WrongVectors(
        f"{found}; set NITAMONO_ENCODER_BACKEND to auto or onnxruntime, or use another machine: "
        "these vectors would not match those in the index"
    )

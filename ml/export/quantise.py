"""Quantisation of an artifact's image graph to int8. Imports onnx and nncf."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ml.artifact import CARD, FILES, IMAGE_GRAPH, MANIFEST, EncoderArtifact, Preprocessing, write_manifest
from ml.atomic_files import check_different_folders, replaced_folder
from ml.data.corpus import evenly
from ml.data.unit_vectors import normalize
from ml.errors import MlError
from ml.export.export_run import remove_traces
from ml.export.golden import write_golden
from ml.inference.embed import TooFewPhotos, photo_sources, read
from ml.inference.encoder import ImageEncoder
from ml.inference.graph import open_graph

LEAST_COSINE: Final = 0.995
CALIBRATION: Final = 256
"""Number of photos that set the value ranges; nncf's default is 300."""
HELD_OUT: Final = 64
"""Other photos that int8 is measured on, which shows ranges that fit the calibration photos only."""
NORM: Final = ("ReduceL2", "Clip", "Expand", "Div", "LpNormalization")
"""Operations of the normalisation, which stay in float32: in int8 norms would be wrong by some percent."""
PRODUCTS: Final = ("Conv", "Gemm", "MatMul")
FIRST: Final = 3
LAST: Final = 8
"""Numbers of the products at the start and end of a network that stay in floats. They are a small part of the
work, and cost most of the precision: those on pixels, and a ViT's pooling head with the PCA."""
SMOOTHING: Final = 0.5
"""The α of SmoothQuant (arXiv 2211.10438), which moves ranges from activations to weights."""
STORED: Final = (".half", ".steps", ".step", ".float")
"""Endings of the names of stored weights, and of what they are restored from."""


LEAST_PHOTOS: Final = 50
"""With fewer, neither the ranges nor the loss mean much."""


class QuantisedAlready(MlError):
    """An int8 artifact, whose loss would not be that to the original."""


class LossyQuantisation(MlError):
    """An int8 graph whose vectors differ too much from those of the original graph."""


def quantise(
    artifact: EncoderArtifact,
    paths: Sequence[Path],
    out: Path,
    *,
    least_cosine: float = LEAST_COSINE,
    threads: int = 1,
) -> EncoderArtifact:
    """Write an artifact with its own encoder_id: the image graph in int8, calibrated on photos of `paths`.

    The text graph is not quantised, since captions are few. `out` is unchanged if there is an error.

    Raises:
        SameFolder: `out` is the artifact's own.
        QuantisedAlready: the artifact is an int8 one.
        TooFewPhotos: fewer than LEAST_PHOTOS usable photos.
        LossyQuantisation: the mean cosine to the artifact's vectors, on photos other than those of the
            calibration, is below least_cosine.
        NotWritten: the disk is full.
    """
    check_different_folders(artifact.folder, out)
    if artifact.quantised:
        raise QuantisedAlready(f"{artifact.folder}: is in int8 already; use the artifact it was made from")
    calibration, held_out = split_photos(paths, artifact.preprocessing)
    with replaced_folder(out, last=MANIFEST, earlier=(*FILES, CARD)) as unfinished:
        made = write_int8(artifact, calibration, held_out, unfinished, least_cosine, threads)
    return EncoderArtifact(out, made.manifest)


def write_int8(
    artifact: EncoderArtifact,
    calibration: NDArray[np.uint8],
    held_out: NDArray[np.uint8],
    out: Path,
    least_cosine: float,
    threads: int,
) -> EncoderArtifact:
    """Write the artifact to an empty folder. calibration, held_out: pixels (n, s, s, 3) uint8."""
    graph = out / IMAGE_GRAPH
    onnx.save(quantised(onnx.load(artifact.image_graph), calibration), graph)
    cosine = mean_cosine(artifact, graph, held_out, threads)
    if not cosine >= least_cosine:
        raise LossyQuantisation(
            f"{artifact.folder}: mean cosine of int8 vectors to the artifact's is {cosine:.4f} over "
            f"{len(held_out)} photos, expected {least_cosine} or more; calibrate on more photos like those "
            "to be encoded, or accept the loss with --least-cosine"
        )
    for name in artifact.manifest.files:
        if name != IMAGE_GRAPH:
            shutil.copyfile(artifact.folder / name, out / name)
    write_golden(out, artifact.image_size)
    manifest = artifact.manifest
    return write_manifest(
        out,
        name=f"{manifest.name}-int8",
        base_model=manifest.base_model,
        width=manifest.width,
        dims=manifest.dims,
        preprocessing=manifest.preprocessing,
        similarity=manifest.similarity,
        data_fingerprint=manifest.data_fingerprint,
        training=manifest.training
        | {
            "int8": {
                "made_of": artifact.encoder_id,
                "calibrated_on": len(calibration),
                "mean_cosine": round(cosine, 5),
                "measured_on": len(held_out),
            }
        },
        # They were measured on the original graph.
        metrics={},
    )


def split_photos(
    paths: Sequence[Path], preprocessing: Preprocessing
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Decode evenly spaced photos: pixels (n, s, s, 3) uint8 for calibration, and every fifth held out."""
    sources = list(photo_sources(paths))
    chosen = evenly(np.arange(len(sources)), CALIBRATION + HELD_OUT)
    read_ones = (read(sources[row], preprocessing) for row in chosen)
    pixels = [pixels for pixels in read_ones if not isinstance(pixels, str)]
    if len(pixels) < LEAST_PHOTOS:
        raise TooFewPhotos(
            f"{', '.join(map(str, paths))}: {len(pixels)} usable photos, expected at least {LEAST_PHOTOS}, "
            f"better {CALIBRATION + HELD_OUT}; `nitamono ml embed` prints the reason for each that is not"
        )
    held_out = np.arange(len(pixels)) % 5 == 0
    stacked = np.stack(pixels)
    return stacked[~held_out], stacked[held_out]


def quantised(model: onnx.ModelProto, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantise matrix products and convolutions to int8, but the FIRST and LAST ones.

    pixels: (n, s, s, 3) uint8, whose activations set the value ranges.
    """
    import nncf  # type: ignore[import-untyped]  # noqa: PLC0415  it has no types, and takes seconds to import

    name = model.graph.input[0].name
    attends = any(node.op_type == "Softmax" for node in model.graph.node)
    products = [node.name for node in model.graph.node if node.op_type in PRODUCTS]
    made: onnx.ModelProto = nncf.quantize(
        restore_weights(model),
        nncf.Dataset(np.split(pixels, len(pixels)), lambda batch: {name: batch}),
        subset_size=len(pixels),
        target_device=nncf.TargetDevice.CPU,
        ignored_scope=nncf.IgnoredScope(
            types=list(NORM), names=[*products[:FIRST], *products[-LAST:]], validate=False
        ),
        model_type=nncf.ModelType.TRANSFORMER if attends else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=SMOOTHING)
        ),
    )
    return remove_traces(made)


def restore_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert the weights that ml.export.export_run.shrink_weights stored to float32, in place."""
    graph = model.graph
    known = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    kept, used = [], set()
    for node in graph.node:
        small = [known[name] for name in node.input if name in known and name.endswith(STORED)]
        if not small or len(small) < len(node.input):
            kept.append(node)
            continue
        value = np.prod(np.broadcast_arrays(*(one.astype(np.float32) for one in small)), axis=0)
        known[node.output[0]] = value
        used.update(node.input)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    weights = [weight for weight in graph.initializer if weight.name not in used]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(weights)
    graph.node.extend(kept)
    return model


def mean_cosine(artifact: EncoderArtifact, graph: Path, pixels: NDArray[np.uint8], threads: int) -> float:
    """The mean cosine between the vectors of the artifact's image graph and of another, as served.

    pixels: (n, s, s, 3) uint8.
    """
    before, after = (
        ImageEncoder(
            artifact.encoder_id,
            open_graph(path, threads=threads),
            dims=artifact.dims,
            image_size=artifact.image_size,
        ).encode(pixels)
        for path in (artifact.image_graph, graph)
    )
    return float((normalize(before) * normalize(after)).sum(axis=1).mean())

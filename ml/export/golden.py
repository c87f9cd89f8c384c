"""Golden vectors: photos and captions with their vectors, by which each machine checks its results."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.artifact import (
    GOLDEN,
    IMAGE_GRAPH,
    TEXT_GRAPH,
    TOKENIZER,
    EncoderArtifact,
    save_manifest,
    sha256,
)
from ml.atomic_files import replaced
from ml.data.synthetic_photos import synthetic_photo
from ml.inference.graph import Inputs, open_graph

CAPTIONS: Final = ("red skirt", "a pair of white running shoes", "赤いスカート", "")


def write_golden(folder: Path, image_size: int) -> None:
    """Compute and write the vectors of a few inputs by the graphs of a folder, in ONNX Runtime and float32.

    Inputs are stored as pixels and token ids, so that they do not depend on releases of Pillow, NumPy or
    tokenizers.

    Raises:
        NotWritten: the disk is full.
    """
    inputs: dict[str, Inputs] = {IMAGE_GRAPH: golden_pixels(image_size)}
    if (folder / TEXT_GRAPH).exists():
        from ml.data.tokenizer import load_tokenizer, tokenize  # noqa: PLC0415  photos need no tokenizer

        inputs[TEXT_GRAPH] = tokenize(load_tokenizer(folder / TOKENIZER), CAPTIONS)
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, batch in inputs.items():
        graph = open_graph(folder / name, backend="onnxruntime", precision="f32")
        arrays |= {f"{name}.inputs": batch, f"{name}.vectors": graph(batch)}
    with replaced(folder / GOLDEN) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # typeshed takes the names for allow_pickle


def add_golden(artifact: EncoderArtifact) -> EncoderArtifact:
    """Add golden vectors to an artifact; its encoder_id does not change.

    Raises:
        NotWritten: the disk is full.
    """
    write_golden(artifact.folder, artifact.image_size)
    files = artifact.manifest.files | {GOLDEN: sha256(artifact.folder / GOLDEN)}
    manifest = artifact.manifest.model_copy(update={"files": dict(sorted(files.items()))})
    return save_manifest(artifact.folder, manifest)


def golden_pixels(side: int) -> NDArray[np.uint8]:
    """(4, side, side, 3) uint8: soft noise, a colour ramp, a checkerboard and a disc on white.

    They differ enough to have distinct vectors: the nearest pairs have cosines of 0.52 and 0.56 in the
    committed encoders.
    """
    down, across = np.mgrid[:side, :side]
    ramp = np.stack([across, down, side - 1 - across], axis=-1) * 255 // (side - 1)
    checks = (across * 8 // side + down * 8 // side) % 2 == 0
    disc = (2 * across - side) ** 2 + (2 * down - side) ** 2 < side * side * 4 // 9
    noise = synthetic_photo(np.random.default_rng(0), side, side)
    return np.stack(
        [
            noise,
            ramp,
            np.where(checks[..., None], (250, 250, 250), (20, 20, 90)),
            np.where(disc[..., None], (200, 30, 40), (255, 255, 255)),
        ]
    ).astype(np.uint8)

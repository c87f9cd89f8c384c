"""Reference encoders, for comparison: MobileNetV2 and EfficientNet-Lite 0, whose functions import torch, and
a colour histogram."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from ml.data.unit_vectors import Vectors, normalize
from ml.inference.preprocess import decode_photo


def mobilenet_features(
    folder: Path, photos: Sequence[bytes], *, threads: int = 1, batch: int = 16
) -> Vectors:
    """(n, 1280) float32, unit norm: pooled features of photo files by a MobileNetV2, run by OpenVINO."""
    import openvino  # noqa: PLC0415  a heavy import that only this function needs
    import torch  # noqa: PLC0415
    from transformers import AutoImageProcessor, MobileNetV2Model  # noqa: PLC0415

    processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)  # type: ignore[no-untyped-call]
    network = MobileNetV2Model.from_pretrained(folder)  # in evaluation mode
    side = processor.crop_size["height"]
    graph = openvino.convert_model(network, example_input=torch.zeros(1, 3, side, side))
    # The scores of a baseline must not depend on whether the CPU has bf16.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    outputs = []
    for start in tqdm(range(0, len(photos), batch), "MobileNetV2", unit="batch", disable=None):
        images = [Image.open(io.BytesIO(photo)).convert("RGB") for photo in photos[start : start + batch]]
        pixels = processor(images=images, return_tensors="np")["pixel_values"]
        outputs.append(compiled(pixels)[1])
    return normalize(np.concatenate(outputs))


LITE_SIZE: Final = 224
LITE_CROP: Final = 0.875
"""Size and crop with which EfficientNet-Lite 0 was trained."""


def lite_features(photos: Sequence[Path], *, threads: int = 1, batch: int = 32) -> Vectors:
    """(n, 1280) float32, unit norm: pooled features of photo files by EfficientNet-Lite 0, run by OpenVINO.

    Raises:
        WeightsMissing: the package of its weights is not installed.
    """
    import openvino  # noqa: PLC0415  a heavy import that only this function needs
    import torch  # noqa: PLC0415

    from ml.models.efficientnet_lite import pretrained_features  # noqa: PLC0415

    example = torch.zeros(1, LITE_SIZE, LITE_SIZE, 3, dtype=torch.uint8)
    graph = openvino.convert_model(pretrained_features("efficientnet-lite0"), example_input=example)
    # As for MobileNetV2.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    starts = tqdm(range(0, len(photos), batch), "EfficientNet-Lite 0", unit="batch", disable=None)
    parts = (photos[start : start + batch] for start in starts)
    outputs = [
        compiled(np.stack([decode_photo(photo.read_bytes(), LITE_SIZE, LITE_CROP) for photo in part]))[0]
        for part in parts
    ]
    return normalize(np.concatenate(outputs))


def colour_histograms(pixels: NDArray[np.uint8], levels: int = 4) -> Vectors:
    """(n, levels³) float32, unit norm: square roots of colour counts of pixels (n, h, w, 3) uint8.

    The dot product of two is their Bhattacharyya coefficient.
    """
    steps = (pixels.astype(np.int64) * levels) // 256
    colours = steps[..., 0] * levels**2 + steps[..., 1] * levels + steps[..., 2]
    counts = [np.bincount(colour.ravel(), minlength=levels**3) for colour in colours]
    return normalize(np.sqrt(np.array(counts, dtype=np.float32)))


def with_colours(vectors: Vectors, pixels: NDArray[np.uint8]) -> Vectors:
    """(n, d + 64) float32, unit norm: unit vectors (n, d) with colours of pixels (n, h, w, 3) uint8."""
    return normalize(np.hstack([vectors, colour_histograms(pixels)]))

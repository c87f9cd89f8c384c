"""The reference encoders: colours by hand, MobileNetV2 against transformers itself."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, MobileNetV2Model

from ml.data.unit_vectors import normalize
from ml.models.reference_encoders import colour_histograms, mobilenet_features, with_colours

MOBILENET = Path(os.environ.get("NITAMONO_MODELS_DIR", "../shared/models")) / "mobilenet_v2_1.0_224"


def test_histogram_of_two_colours() -> None:
    """Half black, half white: two of 64 bins hold all, and the vector has unit norm."""
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels[0, :2] = 255
    (histogram,) = colour_histograms(pixels)
    assert histogram[0] == histogram[63] == pytest.approx(np.sqrt(0.5))
    assert np.count_nonzero(histogram) == 2


def test_colours_count_half() -> None:
    """Cosine of the joined vectors is the mean of both cosines."""
    pixels = np.stack([np.full((2, 2, 3), shade, np.uint8) for shade in (0, 0, 255)])
    joined = with_colours(np.eye(3, dtype=np.float32), pixels)
    assert joined[0] @ joined[1] == pytest.approx(0.5)
    assert joined[0] @ joined[2] == pytest.approx(0.0)


def test_normalize_keeps_a_zero_vector() -> None:
    """No division by zero for a vector without length."""
    assert normalize(np.array([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))


@pytest.mark.skipif(not MOBILENET.is_dir(), reason="needs a local MobileNetV2: set NITAMONO_MODELS_DIR")
def test_mobilenet_features_are_those_of_transformers() -> None:
    """The quick way through OpenVINO gives the pooled features of the stock way."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 240, 3), dtype=np.uint8)
    images = [Image.fromarray(noise), Image.fromarray(np.rot90(noise))]
    buffers = [io.BytesIO() for _ in images]
    for image, buffer in zip(images, buffers, strict=True):
        image.save(buffer, "PNG")
    found = mobilenet_features(MOBILENET, [buffer.getvalue() for buffer in buffers])
    processor = AutoImageProcessor.from_pretrained(MOBILENET, use_fast=False)
    with torch.inference_mode():
        stock = MobileNetV2Model.from_pretrained(MOBILENET)(**processor(images=images, return_tensors="pt"))
    assert (found * normalize(stock.pooler_output.numpy())).sum(axis=1) == pytest.approx(1, abs=1e-3)

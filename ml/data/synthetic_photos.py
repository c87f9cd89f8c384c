"""Random images for exports and timings without photos."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def synthetic_photo(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: soft noise with grain, whose JPEG is about as large as a photo's."""
    soft = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    smooth = np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = rng.integers(-6, 7, smooth.shape, dtype=np.int16)
    return (smooth + grain).clip(0, 255).astype(np.uint8)


def synthetic_photos(count: int, side: int) -> NDArray[np.uint8]:
    """Synthetic photos (count, side, side, 3) uint8, all different, the same in every run."""
    rng = np.random.default_rng(0)
    return np.stack([synthetic_photo(rng, side, side) for _ in range(count)])


def synthetic_jpegs(count: int, width: int, height: int, *, quality: int = 90) -> list[bytes]:
    """Synthetic JPEG files, all different, the same in every run. width, height: in pixels."""
    rng = np.random.default_rng(0)
    return [to_jpeg(synthetic_photo(rng, width, height), quality) for _ in range(count)]


def to_jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Encode pixels (h, w, 3) uint8 as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()

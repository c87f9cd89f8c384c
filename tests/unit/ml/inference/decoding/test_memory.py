"""Decoding takes no more memory than estimated from the header."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pictures import encode, smooth, striped_jpeg

CHILD = """
import gc, sys, threading
import psutil
from ml.inference.decoding.formats import photo_format
from ml.inference.decoding.opening import open_photo
from ml.inference.preprocess import decode_photo

def watch(process, peak, done):
    while not done.wait(0.001):
        peak[0] = max(peak[0], process.memory_info().rss)

small, data = (open(path, "rb").read() for path in sys.argv[1:])
decode_photo(small, 96)  # one-time allocations of the decoder
estimate = open_photo(data, photo_format(data), 96).memory
gc.collect()
process, done = psutil.Process(), threading.Event()
before = process.memory_info().rss
peak = [before]
watcher = threading.Thread(target=watch, args=(process, peak, done), daemon=True)
watcher.start()
decode_photo(data, 96)
done.set()
watcher.join()
print(estimate, peak[0] - before)
"""
BUFFERS = 25_000_000  # of decoders, independent of the image size


WIDTH, HEIGHT = 3_000, 2_000


def opaque() -> Image.Image:
    return smooth(WIDTH, HEIGHT)


def transparent() -> Image.Image:
    picture = opaque().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def grey() -> Image.Image:
    return Image.fromarray(np.tile(np.arange(WIDTH, dtype=np.uint16) * 20, (HEIGHT, 1)))


FAST = {"quality": 30, "enc_params": {"preset": "ultrafast"}}
LARGE: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: striped_jpeg(8_160, 382),
    "jpeg progressive": lambda: encode(opaque(), "JPEG", progressive=True),
    "png": lambda: encode(opaque(), compress_level=1),
    "png transparent": lambda: encode(transparent(), compress_level=1),
    "png grey and alpha": lambda: encode(transparent().convert("LA"), compress_level=1),
    "png grey, one transparent": lambda: encode(opaque().convert("L"), compress_level=1, transparency=0),
    "png one transparent colour": lambda: encode(opaque(), compress_level=1, transparency=(0, 0, 0)),
    "png palette": lambda: encode(opaque().quantize(32), compress_level=1, transparency=0),
    "png 16 bits": lambda: encode(grey(), compress_level=1),
    "bmp": lambda: encode(opaque(), "BMP"),
    "gif": lambda: encode(opaque().quantize(32), "GIF", transparency=0),
    "webp": lambda: encode(transparent(), "WEBP", method=0, quality=30),
    "avif": lambda: encode(opaque(), "AVIF", speed=10, quality=30),
    "avif transparent": lambda: encode(transparent(), "AVIF", speed=10, quality=30, subsampling="4:4:4"),
    "heic": lambda: encode(opaque(), "HEIC", **FAST),
    "heic transparent": lambda: encode(transparent(), "HEIC", **FAST),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_peak_stays_below_the_estimate(name: str, tmp_path: Path) -> None:
    """Six megapixels of each kind, and 50 in JPEG, which need little memory."""
    estimate, peak = measured(LARGE[name](), tmp_path)
    assert peak <= estimate + BUFFERS
    assert name != "jpeg" or estimate < 30_000_000


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["LA", "RGB"])
def test_transparent_pngs_of_25_megapixels_stay_below_it(mode: str, tmp_path: Path) -> None:
    """They take 12 bytes per pixel; at six megapixels a lower estimate would be hidden by the buffers."""
    picture = smooth(5_000, 5_000).convert(mode)
    transparency = {"transparency": (0, 0, 0)} if mode == "RGB" else {}
    estimate, peak = measured(encode(picture, compress_level=1, **transparency), tmp_path)
    assert peak <= estimate + BUFFERS


def measured(data: bytes, folder: Path) -> tuple[int, int]:
    """The estimate for a photo, and the measured peak of a process that decodes it, in bytes."""
    (folder / "small").write_bytes(encode(smooth()))
    (folder / "large").write_bytes(data)
    found = subprocess.run(
        [sys.executable, "-c", CHILD, folder / "small", folder / "large"],
        capture_output=True,
        text=True,
        check=True,
    )
    estimate, peak = map(int, found.stdout.split())
    return estimate, peak

"""How many photos a second go from JPEG bytes to vectors: `python -m bench.encode --help`.

Two ways encode the same photos with the same weights in one run, on the same number of threads:

- nitamono: ml.preprocess.decode_photo, then OpenVINO (and ONNX Runtime) on batches;
- stock: Pillow and a Hugging Face SiglipImageProcessor, then the checkpoint in torch, batch by batch.

The photos are drawn here: soft noise with a little grain, so that their JPEGs are about as large as camera
photos of that size. Each way runs over all photos `--repeats` times, taking turns, and its best time counts,
since whatever else the machine does only ever adds.
"""

import argparse
import io
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter
from transformers import SiglipImageProcessor

from ml.artifact import CHECKPOINT, DEFAULT_ARTIFACT, EncoderArtifact, load_artifact
from ml.checkpoint import load_checkpoint
from ml.config import TowerConfig
from ml.encoder import Backend, load_encoder
from ml.model import ImageTower
from ml.preprocess import decode_photo

BATCH = 32
QUALITY = 90

Pixels = NDArray[Any]  # uint8 or float32, as the same way's encode takes it
Decode = Callable[[bytes], Pixels]
Encode = Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class Way:
    """One way from bytes to vectors, in its two steps."""

    name: str
    decode: Decode
    encode: Encode
    """Of a stacked batch."""


@dataclass(frozen=True)
class Rate:
    """The best of all repeats."""

    way: str
    photos_per_s: float
    decode_share: float
    """Of the time; the rest is inference."""
    ratio: float
    """To the stock way's photos_per_s."""


def draw_jpegs(count: int, width: int, height: int) -> list[bytes]:
    """JPEG files of soft noise with grain, each another."""
    random = np.random.default_rng(0)
    return [draw_jpeg(random, width, height) for _ in range(count)]


def draw_jpeg(random: np.random.Generator, width: int, height: int) -> bytes:
    soft = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    photo = np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = random.integers(-6, 7, photo.shape, dtype=np.int16)
    buffer = io.BytesIO()
    Image.fromarray((photo + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def ours(artifact: EncoderArtifact, backend: Backend, threads: int) -> Way:
    encoder = load_encoder(artifact, backend=backend, threads=threads)
    return Way(f"nitamono, {backend}", lambda data: decode_photo(data, artifact.image_size), encoder.encode)


def stock(artifact: EncoderArtifact) -> Way:
    """What one writes first: the processor and the torch model, with the artifact's own weights."""
    side = artifact.image_size
    processor = SiglipImageProcessor(size={"height": side, "width": side})
    tower = checkpoint_tower(artifact)

    def decode(data: bytes) -> Pixels:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        pixels: NDArray[np.float32] = processor(image, return_tensors="np")["pixel_values"][0]
        return pixels

    def encode(pixels: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors: NDArray[np.float32] = tower(torch.from_numpy(pixels)).numpy()
        return vectors

    return Way("stock: HF processor + torch", decode, encode)


def checkpoint_tower(artifact: EncoderArtifact) -> ImageTower:
    config = TypeAdapter(TowerConfig).validate_python(artifact.manifest.training["tower"])
    return load_checkpoint(artifact.folder / CHECKPOINT, config).image


def measure(way: Way, photos: Sequence[bytes]) -> tuple[float, float]:
    """Seconds spent decoding, and encoding, all photos."""
    decoding = encoding = 0.0
    for start in range(0, len(photos), BATCH):
        before = time.perf_counter()
        pixels = np.stack([way.decode(photo) for photo in photos[start : start + BATCH]])
        between = time.perf_counter()
        way.encode(pixels)
        decoding += between - before
        encoding += time.perf_counter() - between
    return decoding, encoding


def compare(ways: Sequence[Way], photos: Sequence[bytes], repeats: int) -> list[Rate]:
    """A rate per way, the stock one last in `ways`."""
    for way in ways:
        measure(way, photos[:BATCH])  # compiles and fills caches
    best = [(float("inf"), 0.0)] * len(ways)
    for _ in range(repeats):
        times = [measure(way, photos) for way in ways]
        best = [min(old, new, key=sum) for old, new in zip(best, times, strict=True)]
    slowest = sum(best[-1])
    return [
        Rate(
            way.name,
            len(photos) / (decoding + encoding),
            decoding / (decoding + encoding),
            slowest / (decoding + encoding),
        )
        for way, (decoding, encoding) in zip(ways, best, strict=True)
    ]


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--artifact", type=Path, default=DEFAULT_ARTIFACT)
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--sizes", nargs="+", default=["224x224", "400x533", "1080x1080"], metavar="WxH")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    artifact = load_artifact(options.artifact)
    ways = [
        *(ours(artifact, backend, options.threads) for backend in ("openvino", "onnxruntime")),
        stock(artifact),
    ]
    report: dict[str, list[Rate]] = {}
    for size in options.sizes:
        width, height = map(int, size.split("x"))
        report[size] = compare(ways, draw_jpegs(options.photos, width, height), options.repeats)
    if options.json:
        print(json.dumps({size: [asdict(rate) for rate in rates] for size, rates in report.items()}))
        return
    threads = f"{options.threads} thread(s) on {os.cpu_count()} cores"
    print(f"{artifact.encoder_id}, {threads}, {options.photos} JPEGs of each size")
    for size, rates in report.items():
        print(f"\n{size:<30}{'photos/s':>10}{'decode':>9}{'inference':>11}{'× stock':>9}")
        for rate in rates:
            share = rate.decode_share
            print(
                f"{rate.way:<30}{rate.photos_per_s:>10.0f}{share:>9.0%}{1 - share:>11.0%}{rate.ratio:>9.1f}"
            )


if __name__ == "__main__":
    main()

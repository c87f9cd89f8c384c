"""How many photos a second go from JPEG bytes to vectors: `python -m bench.encode --help`.

Two pipelines encode the same photos with the same weights in one run, on the same number of threads:

- nitamono: ml.inference.preprocess.decode_photo, then OpenVINO (and ONNX Runtime) on batches;
- stock: Pillow and a Hugging Face SiglipImageProcessor, then the checkpoint in torch, batch by batch.

The photos are drawn here: soft noise with a little grain, so that their JPEGs are about as large as camera
photos of that size. Pipelines alternate, each runs over all photos `--repeats` times, and its best time
counts: other load on the machine can only slow a run down.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import SiglipImageProcessor

from ml.artifact import CHECKPOINT, DEFAULT_ARTIFACT, EncoderArtifact, load_artifact
from ml.data.synthetic_photos import synthetic_jpegs
from ml.evaluation.speed import Pipeline, backend_pipeline, best_of_rounds, torch_pipeline
from ml.inference.graph import BATCH, Backend
from ml.models.checkpoint import load_checkpoint, tower_config


@dataclass(frozen=True)
class Row:
    """The best of all repeats of a pipeline."""

    pipeline: str
    photos_per_s: float
    decode_share: float
    """Of the time; the rest is inference."""
    ratio: float
    """To the stock pipeline's photos_per_s."""


def ours(artifact: EncoderArtifact, backend: Backend, threads: int) -> Pipeline:
    """Our decoder and the artifact's graph in one backend."""
    pipeline = backend_pipeline(artifact, backend, backend, "auto", threads)
    return replace(pipeline, name=f"nitamono, {backend}")


def stock(artifact: EncoderArtifact) -> Pipeline:
    """The artifact's own weights in torch, behind a SigLIP's processor."""
    tower = tower_config(artifact)
    if tower is None:
        raise SystemExit(
            f"{artifact.folder}: has no checkpoint that torch could run; `nitamono ml bench --stock` "
            "measures imported encoders"
        )
    side = artifact.image_size
    processor = SiglipImageProcessor(size={"height": side, "width": side})
    return torch_pipeline(processor, load_checkpoint(artifact.folder / CHECKPOINT, tower).image)


def measure(pipeline: Pipeline, photos: Sequence[bytes]) -> tuple[float, float]:
    """Seconds spent decoding, and encoding, all photos."""
    decoding = encoding = 0.0
    for start in range(0, len(photos), BATCH):
        before = time.perf_counter()
        pixels = np.stack([pipeline.decode(photo) for photo in photos[start : start + BATCH]])
        between = time.perf_counter()
        pipeline.encode(pixels)
        decoding += between - before
        encoding += time.perf_counter() - between
    return decoding, encoding


def total_s(spent: tuple[float, float]) -> float:
    """Return the seconds of both stages."""
    return sum(spent)


def compare(pipelines: Sequence[Pipeline], photos: Sequence[bytes], repeats: int) -> list[Row]:
    """A row per pipeline, the stock one last in `pipelines`."""
    for pipeline in pipelines:
        measure(pipeline, photos[:BATCH])  # compiles and fills caches
    measures = [partial(measure, pipeline, photos) for pipeline in pipelines]
    times = best_of_rounds(measures, repeats, key=total_s)
    slowest = sum(times[-1])
    return [
        Row(
            pipeline.name,
            len(photos) / (decoding + encoding),
            decoding / (decoding + encoding),
            slowest / (decoding + encoding),
        )
        for pipeline, (decoding, encoding) in zip(pipelines, times, strict=True)
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
    pipelines = [
        *(ours(artifact, backend, options.threads) for backend in ("openvino", "onnxruntime")),
        stock(artifact),
    ]
    report: dict[str, list[Row]] = {}
    for size in options.sizes:
        width, height = map(int, size.split("x"))
        report[size] = compare(pipelines, synthetic_jpegs(options.photos, width, height), options.repeats)
    if options.json:
        print(json.dumps({size: [asdict(row) for row in rows] for size, rows in report.items()}))
        return
    threads = f"{options.threads} thread(s) on {os.cpu_count()} cores"
    print(f"{artifact.encoder_id}, {threads}, {options.photos:,} JPEGs of each size")
    for size, rows in report.items():
        print(f"\n{size:<30}{'photos/s':>10}{'decode':>9}{'inference':>11}{'× stock':>9}")
        for row in rows:
            share = row.decode_share
            print(
                f"{row.pipeline:<30}{row.photos_per_s:>10,.0f}{share:>9.0%}"
                f"{1 - share:>11.0%}{row.ratio:>9.1f}"
            )


if __name__ == "__main__":
    main()

"""The files of a run: configuration, log, curves, environment, fingerprint of the data."""

import csv
import io
import json
import math
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import TypeAdapter, ValidationError

from ml.atomic_files import NotWritten
from ml.data.corpus import Corpus, short_name
from ml.errors import MlError
from ml.inference.machine import processor
from ml.models.checkpoint import run_file
from ml.training.config import FinetuneConfig

CONFIG: Final = "config.json"
LOG: Final = "log.csv"
CURVES: Final = "curves.png"
ENVIRONMENT: Final = "environment.json"
DATA: Final = "data.json"
STATE: Final = "state.pt"
LOG_COLUMNS: Final = (
    "epoch",
    "step",
    "seconds",
    "sigmoid_loss",
    "photo_loss",
    "photos_per_s",
    "source",
    "validation_ndcg@5",
)
PACKAGES: Final = ("numpy", "pillow", "safetensors", "tokenizers", "torch", "transformers", "accelerate")

Line = tuple[int, int, int, float, float, int, str, float]
"""A row of the log, in the order of LOG_COLUMNS."""


class UnreadableRun(MlError):
    """A folder that is not a run of this release."""


def make_folder(out: Path) -> None:
    """Create the folder of a run.

    Raises:
        NotWritten: it cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(f"{out}: cannot be created ({error.strerror}); choose another --out") from error


def describe_run(out: Path, config: FinetuneConfig, corpus: Corpus, device: str, processes: int) -> None:
    """Write the configuration, the fingerprint of the data and the environment.

    Raises:
        NotWritten: the disk is full.
    """
    write_json(out / CONFIG, asdict(config))
    splits = dict(Counter(corpus.splits.tolist()))
    write_json(
        out / DATA,
        {"fingerprint": corpus.fingerprint, "pairs": splits, "dropped": dict(corpus.dropped)},
    )
    write_json(out / ENVIRONMENT, environment() | {"device": device, "processes": processes})


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write JSON atomically."""
    with run_file(path) as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")


def environment() -> dict[str, object]:
    """Versions and processor, on which results may depend; nothing that identifies the machine."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
    }


def installed(name: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def read_config(run: Path) -> FinetuneConfig:
    """Read the configuration of a run.

    Raises:
        UnreadableRun: there is none, or it is of another release.
    """
    path = run / CONFIG
    try:
        return TypeAdapter(FinetuneConfig).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UnreadableRun(
            f"{path}: {error}; expected the folder of a run of `nitamono ml finetune`"
        ) from error


def write_log(out: Path, lines: Sequence[Line]) -> None:
    """Write log.csv and curves.png.

    Raises:
        NotWritten: the disk is full.
    """
    with run_file(out / LOG) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text).writerows([LOG_COLUMNS, *lines])
        text.detach()
    with run_file(out / CURVES) as file:
        draw_curves(lines, file)


def draw_curves(lines: Sequence[Line], file: BinaryIO) -> None:
    """Write a PNG with the loss by step, and below it the validation nDCG@5 of each source."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    by_step = {step: loss + photo for _, step, _, loss, photo, *_ in lines if math.isfinite(loss + photo)}
    above.plot(list(by_step), list(by_step.values()), marker=".", color="tab:red")
    above.set(ylabel="training loss, mean of each epoch")
    for source in dict.fromkeys(line[6] for line in lines):
        points = [(line[1], line[7]) for line in lines if line[6] == source]
        below.plot(*zip(*points, strict=True), marker=".", label=short_name(source))
    below.set(xlabel="step", ylabel="validation nDCG@5", ylim=(0, 1))
    if lines:
        below.legend(title="source")
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, format="png", dpi=110)

"""`nitamono ml bench`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.number_types import WholeNumber
from console.table import table
from ml.artifact import load_artifact
from ml.commands.options import artifact_option, existing, folder, threads_option

if TYPE_CHECKING:
    from ml.evaluation.speed import Rate


@click.command()
@artifact_option
@click.option(
    "--photos",
    type=existing,
    multiple=True,
    help="Photos, folders or listing JSONL files. May be given several times.  [default: synthetic JPEGs]",
)
@click.option("--count", type=WholeNumber(1), default=64, show_default=True, help="Maximum number of photos.")
@click.option(
    "--size",
    type=WholeNumber(16),
    default=1080,
    show_default=True,
    help="Pixels per side of the synthetic JPEGs.",
)
@click.option(
    "--repeats",
    type=WholeNumber(1),
    default=3,
    show_default=True,
    help="Measurements per backend; the best one counts.",
)
@click.option(
    "--stock",
    type=folder,
    help="Local Hugging Face folder to run in transformers for comparison.",
)
@threads_option
def bench(
    *,
    artifact_folder: Path,
    photos: Sequence[Path],
    count: int,
    size: int,
    repeats: int,
    stock: Path | None,
    threads: int,
) -> None:
    """Measure encoding speed on this machine.

    Each available backend and precision is compared with the machine's limit for matrix products.
    """
    from ml.data.synthetic_photos import synthetic_jpegs  # noqa: PLC0415
    from ml.evaluation import speed  # noqa: PLC0415
    from ml.inference.graph import BATCH  # noqa: PLC0415

    artifact = load_artifact(artifact_folder)
    start = speed.measure_cold_start(artifact_folder, threads)
    gflop = speed.graph_gflop(artifact.image_graph)
    jpegs = read_photos(photos, count) if photos else synthetic_jpegs(count, size, size)
    pipelines = speed.available_pipelines(artifact, threads)
    if stock:
        import torch  # noqa: PLC0415

        torch.set_num_threads(threads)
        pipelines.append(speed.stock_pipeline(stock))
    click.echo(
        f"{artifact.encoder_id}: {gflop:.2f} GFLOP per photo; {threads} thread(s) on {os.cpu_count()} cores; "
        f"{len(jpegs):,} photos{'' if photos else f', synthetic, {size} × {size} pixels'}"
    )
    click.echo(
        f"a worker encodes its first photo after {start.seconds:.2f} s and uses {start.megabytes:.0f} MB "
        f"after a batch of {BATCH}"
    )
    limits = {name: speed.matrix_limit(name, threads) for name in ("f32", "bf16")}
    for name, limit in limits.items():
        found = (
            "not supported by this CPU"
            if limit is None
            else f"{limit:.0f} GFLOP/s, {limit / gflop:.1f} photos/s"
        )
        click.echo(f"limit of matrix products in {name}: {found}")
    rates = speed.measure_rates(pipelines, jpegs, threads=threads, repeats=repeats)
    click.echo(rate_table(rates, gflop, limits["bf16"] or limits["f32"] or 0.0))


def read_photos(paths: Sequence[Path], count: int) -> list[bytes]:
    """Read the bytes of the first `count` photos that can be decoded."""
    from ml.inference.embed import photo_sources  # noqa: PLC0415
    from ml.inference.preprocess import UnusablePhoto, decode_photo  # noqa: PLC0415

    found: list[bytes] = []
    for source in photo_sources(paths):
        if len(found) == count:
            break
        try:
            data = source.photo.read_bytes() if source.photo else b""
            decode_photo(data, 16)
        except (OSError, UnusablePhoto):
            continue
        found.append(data)
    if not found:
        raise click.ClickException(
            f"{', '.join(map(str, paths))}: no usable photo; `nitamono ml embed` prints the reason for each"
        )
    return found


def rate_table(rates: "Sequence[Rate]", gflop: float, limit: float) -> str:
    """A table of photos/s from bytes and from pixels, the share of the limit, and the factor over stock."""
    stock = next((rate.photos_per_s for rate in rates if rate.pipeline.stock), None)
    head = ("", "photos/s", "encode/s", "of limit", "× stock")
    rows = [
        (
            rate.pipeline.name,
            f"{rate.photos_per_s:.1f}",
            f"{rate.encoded_per_s:.1f}",
            "" if "int8" in rate.pipeline.name else f"{rate.encoded_per_s * gflop / limit:.0%}",
            f"{rate.photos_per_s / stock:.2f}" if stock else "",
        )
        for rate in rates
    ]
    return table(head, rows, right=head[1:])

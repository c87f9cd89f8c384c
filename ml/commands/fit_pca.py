"""`nitamono ml fit-pca`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from console.number_types import WholeNumber
from console.table import table
from ml.commands.options import existing, folder


def parsed_dims(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    """Parse a comma-separated list of numbers, and sort it."""
    try:
        dims = sorted({int(part) for part in value.split(",")})
    except ValueError:
        dims = [0]
    if dims[0] < 1:
        raise click.BadParameter(f"{value!r} is not a list of dims; expected for example 32,64,128")
    return tuple(dims)


@click.command(name="fit-pca")
@click.argument("shards", nargs=-1, required=True, type=existing)
@click.option(
    "--out", type=folder, required=True, help="Folder for projection.npz, report.json and report.png."
)
@click.option(
    "--dims",
    metavar="N,N,…",
    callback=parsed_dims,
    default="32,64,128,256",
    show_default=True,
    help="Numbers of dims to measure.",
)
@click.option(
    "--keep",
    type=WholeNumber(1),
    default=128,
    show_default=True,
    help="Dims of projection.npz. A rerun with another value reuses the sums in OUT.",
)
@click.option(
    "--memory-limit",
    type=WholeNumber(0),
    default=2**30,
    show_default=True,
    help="Bytes up to which scikit-learn is used on all rows; above, shards are summed in one pass.",
)
@click.option(
    "--workers", type=WholeNumber(1, 256), default=1, show_default=True, help="Shards to sum in parallel."
)
def fit_pca(
    *, shards: Sequence[Path], out: Path, dims: tuple[int, ...], keep: int, memory_limit: int, workers: int
) -> None:
    """Fit PCA to embeddings.

    SHARDS are .npy files of float32 embeddings, parquet files of full-width vectors that workers wrote, or
    folders of them. Vectors are normalised before and after PCA. Every 20th row is held out, to measure how
    many of its ten nearest neighbours each of --dims keeps. An interrupted run resumes: OUT/sums has
    the sums of finished shards.
    """
    from ml.atomic_files import replaced, writing  # noqa: PLC0415
    from ml.data.vector_shards import open_shards  # noqa: PLC0415
    from ml.pca.fit import NEIGHBOURS, draw_choices, fit_shards, measure_choices, require_rows  # noqa: PLC0415
    from ml.pca.projection import save_projection  # noqa: PLC0415

    opened = open_shards(shards)
    dims = tuple(sorted({*dims, keep}))
    require_rows(opened, dims[-1])
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    spectrum, solver = fit_shards(opened, out / "sums", memory_limit=memory_limit, workers=workers)
    choices = measure_choices(spectrum, opened, dims)
    save_projection(spectrum.projection(keep), out / "projection.npz")
    draw_choices(spectrum, choices, out / "report.png")
    report = {
        "solver": solver,
        "shards": len(opened),
        "rows": spectrum.count,
        "width": opened[0].width,
        "kept_dims": keep,
        "neighbours": NEIGHBOURS,
        "choices": [asdict(choice) for choice in choices],
    }
    with replaced(out / "report.json") as file:
        file.write((json.dumps(report, indent=2) + "\n").encode())
    click.echo(f"{spectrum.count:,} rows × {opened[0].width:,} in {len(opened):,} shards, solver: {solver}")
    head = ("dims", "variance explained", f"recall@{NEIGHBOURS} against full width, held out")
    rows = [(str(one.dims), f"{one.explained:.4f}", f"{one.recall:.4f}") for one in choices]
    click.echo(table(head, rows, right=head))
    click.echo(f"{out / 'projection.npz'}: {keep} dims")

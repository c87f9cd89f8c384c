"""`nitamono ml evaluate`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml.artifact import EncoderArtifact, load_artifact
from ml.commands.options import artifact_option, data_option, folder, photos, read, threads_option

if TYPE_CHECKING:
    from ml.evaluate import Row, Vectors
    from ml.pairs import Corpus


@click.command()
@data_option
@artifact_option
@click.option("--mobilenet", type=folder, help="Local folder of a MobileNetV2, to compare with.")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Which part of the data is searched.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@threads_option
def evaluate(
    *,
    data: Sequence[Path],
    artifact_folder: Path,
    mobilenet: Path | None,
    split: str,
    as_json: bool,
    threads: int,
) -> None:
    """Compare encoders by exact search among photos with known labels, a table for each source of DATA."""
    from ml.evaluate import compare  # noqa: PLC0415

    artifact = load_artifact(artifact_folder)
    corpus = read(data, artifact.image_size, threads)
    tables = {}
    for source in corpus.sources:
        rows = corpus.rows(split, source)
        part = corpus.part(rows)
        encoders = vectors_by_encoder(artifact, part, mobilenet, threads)
        baseline = "MobileNetV2" if mobilenet else None
        tables[source] = compare(encoders, [pair.labels for pair in part.pairs], baseline)
        if not as_json:
            click.echo(f"{source}: {len(rows)} photos ({split}), each searched among the others")
            click.echo(table(tables[source]))
    if as_json:
        click.echo(json.dumps({source: [asdict(row) for row in rows] for source, rows in tables.items()}))


def vectors_by_encoder(
    artifact: EncoderArtifact, corpus: "Corpus", mobilenet: Path | None, threads: int
) -> "dict[str, Vectors]":
    """Random vectors, the artifact's and, where given, MobileNetV2's without and with a colour histogram."""
    from ml.encoder import load_encoder  # noqa: PLC0415
    from ml.evaluate import random_vectors  # noqa: PLC0415

    vectors = {
        "random": random_vectors(len(corpus.pairs), artifact.dims),
        artifact.encoder_id: load_encoder(artifact, threads=threads).encode(corpus.pixels),
    }
    if mobilenet:
        from ml.baseline import mobilenet_features, with_colours  # noqa: PLC0415

        vectors["MobileNetV2"] = mobilenet_features(mobilenet, photos(corpus), threads=threads)
        vectors["MobileNetV2 + colours"] = with_colours(vectors["MobileNetV2"], corpus.pixels)
    return vectors


def table(rows: "Sequence[Row]") -> str:
    """Lines of text: a row per encoder, a column per metric with its 95 % interval, and the gain."""
    metrics = list(rows[0].means)
    wide = max(len(row.encoder) for row in rows)
    lines = [" " * wide + "".join(f"{metric:>22}" for metric in metrics) + "   nDCG@5 gain"]
    for row in rows:
        cells = (
            f"{row.means[name]:.3f} ({row.intervals[name][0]:.3f}–{row.intervals[name][1]:.3f})"
            for name in metrics
        )
        lines.append(f"{row.encoder:<{wide}}" + "".join(f"{cell:>22}" for cell in cells) + gain_text(row))
    return "\n".join(lines)


def gain_text(row: "Row") -> str:
    if row.gain is None or row.gain_interval is None:
        return ""
    low, high = row.gain_interval
    return f"   {row.gain:+.1%} ({low:+.1%} to {high:+.1%})"

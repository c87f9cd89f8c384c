"""`nitamono ml`: train, export, look at, run and evaluate encoders."""

import importlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml.artifact import DEFAULT_ARTIFACT, EncoderArtifact, load_artifact
from ml.config import FinetuneConfig
from ml.errors import MlError

if TYPE_CHECKING:
    from ml.evaluate import Row, Vectors
    from ml.pairs import Corpus

TRAINING_LIBRARIES = frozenset({"torch", "onnx", "onnxscript", "safetensors", "transformers"})

existing = click.Path(exists=True, path_type=Path)
folder = click.Path(file_okay=False, path_type=Path)
data_option = click.option(
    "--data",
    "--listings",
    "data",
    type=existing,
    multiple=True,
    required=True,
    help="A listings JSONL, or a folder of CLASS/photo.jpg. May be given several times.",
)
artifact_option = click.option(
    "--artifact",
    "--encoder",
    "artifact_folder",
    envvar="NITAMONO_ENCODER",
    type=folder,
    default=DEFAULT_ARTIFACT,
    show_default="the committed one",
    help="Folder of the encoder artifact.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="More than the free cores make it slower, not faster.",
)


class FriendlyGroup(click.Group):
    """A group whose commands end with one sentence where an input or a missing library stops them."""

    def invoke(self, ctx: click.Context) -> object:
        """The command's own result."""
        try:
            return super().invoke(ctx)
        except MlError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            if error.name not in TRAINING_LIBRARIES:
                raise
            raise click.ClickException(
                f"{error.name} is not installed; training and comparing need it: pip install '.[train]'"
            ) from error


@click.group(name="ml", cls=FriendlyGroup)
def group() -> None:
    """Train, evaluate and run encoders."""


@group.command()
@click.argument("config")
@data_option
@click.option(
    "--out", type=folder, required=True, help="Folder of the run; its artifact goes to OUT/artifact."
)
@click.option("--teacher", type=folder, help="Local folder of a MobileNetV2 whose features to learn from.")
@click.option(
    "--start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A run of the same towers to go on from, instead of from scratch.",
)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="End then, whatever the epochs.")
@click.option("--smoke", is_flag=True, help="The configuration's tiny version, to see whether a run works.")
@threads_option
def finetune(
    *,
    config: str,
    data: Sequence[Path],
    out: Path,
    teacher: Path | None,
    start: Path | None,
    minutes: float | None,
    smoke: bool,
    threads: int,
) -> None:
    """Train and export an encoder. CONFIG is a name (siglip_small) or a Python file that defines CONFIG."""
    chosen = load_config(config, smoke=smoke)
    from ml.baseline import mobilenet_features  # noqa: PLC0415  torch only where it is needed
    from ml.finetune import finetune as train  # noqa: PLC0415

    corpus = read(data, chosen.tower.image_size, threads)
    features = mobilenet_features(teacher, photos(corpus), threads=threads) if teacher else None
    train(chosen, corpus, out, teacher=features, start=start, threads=threads, minutes=minutes)
    export_run(out, corpus, out / "artifact", threads)


@group.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_option
@click.option("--out", type=folder, required=True, help="Folder of the artifact.")
@threads_option
def export(*, run: Path, data: Sequence[Path], out: Path, threads: int) -> None:
    """Export a run, also one that was cut off; DATA as for its training."""
    from ml.finetune import read_config  # noqa: PLC0415

    export_run(run, read(data, read_config(run).tower.image_size, threads), out, threads)


@group.command()
@click.argument("paths", nargs=-1, required=True, type=existing)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .npy file.")
@artifact_option
@threads_option
def embed(*, paths: Sequence[Path], out: Path, artifact_folder: Path, threads: int) -> None:
    """Embed photos: files, folders, or a JSONL of listings. The ids go beside OUT, as NAME.ids.txt."""
    from ml.embed import embed_photos, ids_path, photo_sources, save_embedded  # noqa: PLC0415
    from ml.encoder import load_encoder  # noqa: PLC0415

    encoder = load_encoder(load_artifact(artifact_folder), threads=threads)
    sources = list(photo_sources(paths))
    embedded = embed_photos(sources, encoder, threads=threads)
    for item_id, reason in embedded.left_out.items():
        click.echo(f"{item_id}: {reason}", err=True)
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(embedded.reasons.items()))
    click.echo(
        f"{len(sources)} given, {len(embedded.ids)} embedded by {encoder.encoder_id}, "
        f"{len(embedded.left_out)} left out{f' ({counts})' if counts else ''}"
    )
    if not embedded.ids:
        raise click.ClickException(f"nothing could be embedded of {', '.join(map(str, paths))}")
    save_embedded(embedded, out)
    click.echo(
        f"{out}: {embedded.vectors.shape[0]} × {embedded.vectors.shape[1]} float32; ids in {ids_path(out)}"
    )


@group.command()
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


@group.group()
def artifact() -> None:
    """Look at encoder artifacts."""


@artifact.command()
@click.argument("artifact_folder", metavar="[FOLDER]", type=folder, default=DEFAULT_ARTIFACT)
def show(*, artifact_folder: Path) -> None:
    """Verify an artifact's files and print its manifest."""
    click.echo(load_artifact(artifact_folder).manifest.model_dump_json(indent=2))


class UnknownConfig(MlError):
    """A configuration that is neither one of ours nor a file that defines one."""


def load_config(name: str, *, smoke: bool) -> FinetuneConfig:
    """The CONFIG, or SMOKE, of ml/configs/NAME.py or of a Python file.

    Raises:
        UnknownConfig: there is none.
    """
    wanted = "SMOKE" if smoke else "CONFIG"
    path = Path(name) if name.endswith(".py") else Path(__file__).parent / "configs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        known = ", ".join(sorted(file.stem for file in path.parent.glob("[a-z]*.py")))
        raise UnknownConfig(f"{path}: no such configuration; expected a Python file or one of: {known}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = getattr(module, wanted, None)
    if not isinstance(config, FinetuneConfig):
        raise UnknownConfig(f"{path}: {wanted} is {config!r}, expected an ml.config.FinetuneConfig")
    return config


def read(data: Sequence[Path], size: int, threads: int) -> "Corpus":
    from ml.pairs import describe, read_corpus  # noqa: PLC0415

    corpus = read_corpus(data, size, threads=threads)
    click.echo(describe(corpus), err=True)
    return corpus


def photos(corpus: "Corpus") -> list[bytes]:
    return [pair.photo.read_bytes() for pair in corpus.pairs]


def export_run(run: Path, corpus: "Corpus", out: Path, threads: int) -> None:
    from ml.export import export_artifact  # noqa: PLC0415

    exported = export_artifact(run, corpus, out, threads=threads)
    click.echo(f"{out}: {exported.encoder_id}")
    click.echo(json.dumps(exported.manifest.metrics, indent=2))


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

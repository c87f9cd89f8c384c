"""`nitamono ml evaluate`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.number_types import WholeNumber
from ml.commands.options import artifact_option, data_option_named, existing, folder, read, threads_option
from ml.errors import MlError

if TYPE_CHECKING:
    from ml.evaluation.comparison import Comparison


@click.command()
@data_option_named("--data", "--listings", "--queries")
@artifact_option
@click.option(
    "--encoders",
    type=folder,
    multiple=True,
    help="Folders of artifacts or of a MobileNetV2, to compare in place of --artifact.",
)
@click.argument("more_encoders", metavar="[ENCODER]...", nargs=-1, type=folder)
@click.option("--mobilenet", type=folder, help="Local folder of a MobileNetV2, to compare with.")
@click.option("--baseline", help="Row to compare with. [default: MobileNetV2, or the first of --encoders]")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Which part of the data is searched.",
)
@click.option(
    "-k",
    "ks",
    type=WholeNumber(1, 100),
    multiple=True,
    default=[5],
    show_default=True,
    help="Ranks that are scored; of several the first is tested and sliced.",
)
@click.option(
    "--judgments",
    "judgments_file",
    type=existing,
    help="JSON lines or parquet of query_id, item_id and gain, in place of labels.",
)
@click.option("--slices", is_flag=True, help="Print scores by category, price, colour and title too.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an HTML page with plots and examples.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@threads_option
def evaluate(
    *,
    data: Sequence[Path],
    artifact_folder: Path,
    encoders: Sequence[Path],
    more_encoders: Sequence[Path],
    mobilenet: Path | None,
    baseline: str | None,
    split: str,
    ks: tuple[int, ...],
    judgments_file: Path | None,
    slices: bool,
    report: Path | None,
    as_json: bool,
    threads: int,
) -> None:
    """Compare encoders by exact search among photos with known labels, a table for each source of DATA."""
    from ml.evaluation.comparison import Task, comparisons, import_libraries  # noqa: PLC0415
    from ml.evaluation.evaluated_encoders import load_encoders  # noqa: PLC0415
    from ml.evaluation.report import write_report  # noqa: PLC0415
    from ml.evaluation.tables import metric_table, slice_table  # noqa: PLC0415
    from ml.metrics.relevance import read_judgments  # noqa: PLC0415

    evaluated = load_encoders((*encoders, *more_encoders) or (artifact_folder,), mobilenet, threads)
    import_libraries(evaluated, charts=report is not None)
    judgments = None if judgments_file is None else read_judgments(judgments_file)
    task = Task(split, ks, baseline, judgments, str(judgments_file))
    corpus = read(data, evaluated.image_size, threads)
    measured = []
    for comparison in comparisons(corpus, evaluated, task, left_out=report_skipped):
        measured.append(comparison)
        if not as_json:
            click.echo(heading(comparison))
            click.echo(metric_table(comparison.rows))
            if slices:
                click.echo(slice_table(comparison.rows))
    if as_json:
        click.echo(json_text(measured))
    if report:
        write_report(measured, report)
        click.echo(f"{report}: written", err=True)


def report_skipped(error: MlError) -> None:
    """Print on standard error what is not compared, and why."""
    click.echo(f"Skipped: {error}", err=True)


def json_text(measured: "Sequence[Comparison]") -> str:
    """One object, source to rows; null where no query has a score, since JSON has no NaN."""
    rows = {one.source: [asdict(row) for row in one.rows] for one in measured}
    return json.dumps(json.loads(json.dumps(rows), parse_constant=lambda _: None))


def heading(comparison: "Comparison") -> str:
    """The line above the tables of a comparison."""
    photos = f"{comparison.source}: {len(comparison.searched.pairs)} photos ({comparison.task.split})"
    if comparison.counts is None:
        return f"{photos}, each searched among the others"
    counts = comparison.counts
    return (
        f"{photos}, {len(comparison.relevance.queries)} judged queries; {counts.used} judgments used, "
        f"{counts.unknown_queries} with an unknown query_id, {counts.unknown_items} with an unknown item_id"
    )

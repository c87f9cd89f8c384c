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
    help="Folder of an artifact or MobileNetV2; replaces --artifact. May be given several times.",
)
@click.argument("more_encoders", metavar="[ENCODER]...", nargs=-1, type=folder)
@click.option("--mobilenet", type=folder, help="Local folder of a MobileNetV2 to compare with.")
@click.option("--baseline", help="Row to compare with.  [default: MobileNetV2, or the first of --encoders]")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Part of the data to search.",
)
@click.option(
    "-k",
    "ks",
    type=WholeNumber(1, 100),
    multiple=True,
    default=[5],
    show_default=True,
    help="Number of results to score. May be given several times; significance and slices use the first.",
)
@click.option(
    "--judgments",
    "judgments_file",
    type=existing,
    help="JSONL or parquet file of query_id, item_id and gain, used instead of labels.",
)
@click.option("--slices", is_flag=True, help="Also print scores by category, price, colour and title.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an HTML report with charts and examples.",
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
    """Compare encoders by exact search.

    Each photo is searched among the others of its source. Relevance follows from labels or judgments. The
    ENCODERs are artifacts or a MobileNetV2, like those of --encoders. Prints a table for each source.
    """
    from ml.evaluation.comparison import Task, comparisons, import_libraries  # noqa: PLC0415
    from ml.evaluation.evaluated_encoders import load_encoders  # noqa: PLC0415
    from ml.evaluation.report import write_report  # noqa: PLC0415
    from ml.evaluation.tables import metric_table, slice_table  # noqa: PLC0415
    from ml.metrics.relevance import read_judgments  # noqa: PLC0415

    evaluated = load_encoders((*encoders, *more_encoders) or (artifact_folder,), mobilenet, threads)
    import_libraries(evaluated, charts=report is not None)
    judgments = None if judgments_file is None else read_judgments(judgments_file)
    task = Task(split, ks, baseline, judgments, str(judgments_file))
    corpus = read(data, evaluated.preprocessing, threads)
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
    """Print the reason why a source is skipped to stderr."""
    click.echo(f"Skipped: {error}", err=True)


def json_text(measured: "Sequence[Comparison]") -> str:
    """A JSON object of the rows by source; null where no query has a score, since JSON has no NaN."""
    rows = {one.source: [asdict(row) for row in one.rows] for one in measured}
    return json.dumps(json.loads(json.dumps(rows), parse_constant=lambda _: None))


def heading(comparison: "Comparison") -> str:
    """The line above the tables of a comparison."""
    photos = f"{comparison.source}: {len(comparison.searched.pairs):,} photos ({comparison.task.split})"
    if comparison.counts is None:
        return f"{photos}, each searched among the others"
    counts = comparison.counts
    return (
        f"{photos}, {len(comparison.relevance.queries):,} judged queries; {counts.used:,} judgments used, "
        f"{counts.unknown_queries:,} with an unknown query_id, {counts.unknown_items:,} with an unknown "
        "item_id"
    )

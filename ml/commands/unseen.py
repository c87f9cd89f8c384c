"""`nitamono ml unseen`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.number_types import WholeNumber
from console.table import table
from ml.atomic_files import replaced
from ml.commands.finetune import load_config, stored_preprocessing
from ml.commands.options import data_option, folder, read, threads_option

if TYPE_CHECKING:
    from ml.evaluation.unseen_kinds import UnseenKind


def parsed_kinds(
    _ctx: click.Context, _param: click.Parameter, values: Sequence[str]
) -> dict[str, re.Pattern[str]]:
    """Parse NAME=PATTERN."""
    kinds: dict[str, re.Pattern[str]] = {}
    for value in values:
        name, _, pattern = value.partition("=")
        if not re.fullmatch(r"[\w-]+", name) or not pattern:
            raise click.BadParameter(
                f"{value!r}; expected NAME=PATTERN, such as footwear='Shoes|Heels', with letters, digits, "
                "_ and - in NAME"
            )
        if name in kinds:
            raise click.BadParameter(f"{name}: given twice; a kind has one pattern, such as 'Shoes|Heels'")
        try:
            kinds[name] = re.compile(pattern)
        except re.error as error:
            raise click.BadParameter(f"{value!r}: {error}") from error
    return kinds


@click.command()
@click.argument("config")
@data_option
@click.option(
    "--kind",
    "kinds",
    metavar="NAME=PATTERN",
    multiple=True,
    required=True,
    callback=parsed_kinds,
    help="A kind to leave out: a regular expression that is searched in SOURCE/TYPE of each photo. "
    "May be given several times.",
)
@click.option(
    "--mobilenet", type=folder, required=True, help="Local folder of a MobileNetV2 to compare with."
)
@click.option(
    "--epochs", type=WholeNumber(1), help="Length of each run; replaces the configured number of epochs."
)
@click.option("--out", type=folder, required=True, help="Folder of the runs and of unseen.json.")
@threads_option
def unseen(
    *,
    config: str,
    data: Sequence[Path],
    kinds: Mapping[str, re.Pattern[str]],
    mobilenet: Path,
    epochs: int | None,
    out: Path,
    threads: int,
) -> None:
    """Measure an encoder on kinds of photo that it was not trained on.

    Trains CONFIG once without each kind, then searches every photo of the kind among the others.
    An interrupted command continues if it is run again. OUT/unseen.json can be added to a model
    card: `nitamono ml artifact card --unseen`.
    """
    from ml.evaluation.evaluated_encoders import require_mobilenet  # noqa: PLC0415  torch is slow
    from ml.evaluation.unseen_kinds import UNSEEN, UnseenKinds, unseen_kinds  # noqa: PLC0415

    require_mobilenet(mobilenet)
    chosen = load_config(config, smoke=False)
    if epochs is not None:
        chosen = replace(chosen, epochs=epochs)
    corpus = read(data, stored_preprocessing(chosen), threads)
    measured: list[UnseenKind] = []
    for kind in unseen_kinds(chosen, corpus, kinds, mobilenet, out, threads=threads):
        measured.append(kind)
        click.echo(f"{kind.kind}: {kind.served:.3f}, {kind.ratio:.3f} of MobileNetV2", err=True)
        found = UnseenKinds(chosen.name, chosen.epochs, corpus.fingerprint, chosen.settings, tuple(measured))
        with replaced(out / "unseen.json", remedy="free disk space, then run again") as file:
            file.write(UNSEEN.dump_json(found, indent=2) + b"\n")
    click.echo(unseen_table(found.rows))


def unseen_table(kinds: Sequence["UnseenKind"]) -> str:
    """A line for each kind: nDCG@5, and the ratio to MobileNetV2, both after PCA."""
    numbers = (
        "photos",
        "encoder",
        "its full width",
        "frozen start",
        "MobileNetV2",
        "its full width",
        "ratio",
    )
    rows = [
        (
            one.kind,
            f"{one.photos:,}",
            f"{one.served:.3f}",
            f"{one.full_width:.3f}",
            "–" if one.frozen_start is None else f"{one.frozen_start:.3f}",
            f"{one.baseline:.3f}",
            f"{one.baseline_full_width:.3f}",
            f"{one.ratio:.3f}",
        )
        for one in kinds
    ]
    return table(("kind", *numbers), rows, right=numbers)

"""The model card of an artifact: its data, measurements, weak slices and configuration."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

from ml.artifact import CARD, EncoderArtifact, Manifest
from ml.atomic_files import replaced
from ml.data.corpus import Corpus
from ml.evaluation.comparison import Comparison, Task, comparisons
from ml.evaluation.evaluated_encoders import EvaluatedEncoders
from ml.evaluation.rows import Row, Slice, weakest
from ml.evaluation.speed import speed_figures
from ml.evaluation.templates import environment

if TYPE_CHECKING:
    from ml.evaluation.unseen_kinds import UnseenKinds  # which imports torch

WEAK_SLICES: Final = 8


@dataclass(frozen=True)
class Section:
    """The part of a card about one source of data."""

    comparison: Comparison
    served: Row
    weak: list[Slice]


def measure_card(encoders: EvaluatedEncoders, corpus: Corpus, unseen: "UnseenKinds | None" = None) -> Path:
    """Measure the first artifact on the test split of a corpus, and its speed, and write its model card.

    corpus: decoded at encoders.preprocessing. unseen: see ml.evaluation.unseen_kinds.

    Raises: as comparisons and write_card.
    """
    artifact = encoders.artifacts[0]
    speed = speed_figures(artifact, encoders.threads)
    measured = list(comparisons(corpus, encoders, Task()))
    return write_card(artifact, measured, fingerprint=corpus.fingerprint, speed=speed, unseen=unseen)


def write_card(
    artifact: EncoderArtifact,
    measured: Sequence[Comparison],
    *,
    fingerprint: str,
    speed: Mapping[str, str] | None = None,
    unseen: "UnseenKinds | None" = None,
) -> Path:
    """Write MODEL_CARD.md into an artifact's folder. The manifest does not list it, so the encoder_id stays.

    measured: comparisons with a row of the artifact. fingerprint: of the data that they were measured on.
    speed: label to value, such as {"photos per second": "1,100 on two cores"}.

    Raises:
        NotWritten: the disk is full, or permission is missing.
    """
    folder, manifest = artifact.folder, artifact.manifest
    sizes = {name: (folder / name).stat().st_size for name in manifest.files}
    text = card(manifest, measured, fingerprint, sizes, speed or {}, unseen)
    path = folder / CARD
    with replaced(path, remedy="free disk space or make the folder writable, then measure again") as file:
        file.write(text.encode())
    return path


def card(
    manifest: Manifest,
    measured: Sequence[Comparison],
    fingerprint: str,
    sizes: Mapping[str, int],
    speed: Mapping[str, str],
    unseen: "UnseenKinds | None" = None,
) -> str:
    """The card as Markdown. sizes: bytes by file name. speed: label to value."""
    sections = [section(comparison, manifest.encoder_id) for comparison in measured]
    template = environment().get_template("model_card.md.jinja")
    filled = template.render(
        manifest=manifest,
        sections=sections,
        same_data=fingerprint == manifest.data_fingerprint,
        fingerprint=fingerprint,
        settings=[(name, cell(value)) for name, value in flat(manifest.training)],
        sizes=sizes,
        speed=speed,
        titles=manifest.metrics.get("titles"),
        unseen=unseen,
        cell=cell,
    )
    return re.sub(r"\n{3,}", "\n\n", filled).rstrip() + "\n"


def section(comparison: Comparison, encoder: str) -> Section:
    """The section about a comparison, with the weakest slices of the encoder as served."""
    served = next(row for row in comparison.rows if row.encoder == encoder)
    return Section(comparison, served, weakest(served.slices, WEAK_SLICES))


def flat(settings: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Nested settings as pairs of dotted name and value."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def cell(value: object) -> str:
    """A value as text for a cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", r"\|").replace("<", "&lt;")

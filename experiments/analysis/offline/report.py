"""An evaluation as JSON, and as a self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup

from experiments.analysis.charts import positions_chart
from experiments.analysis.offline.evaluation import Evaluation
from experiments.analysis.offline.propensity import Propensities
from experiments.analysis.offline.wording import SIMULATED, origin, warning, weighting_sentence
from ml.atomic_files import replaced, writing
from ml.evaluation.gallery import Example
from ml.evaluation.templates import environment

PAGE: Final = "offline.html"
FIGURES: Final = "offline.json"


def write_results(evaluation: Evaluation, examples: Sequence[Example], out: Path) -> list[Path]:
    """Write OUT/offline.html and OUT/offline.json, and return their paths.

    Raises:
        NotWritten: the folder cannot be created or written, or is full.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    texts = {PAGE: page(evaluation, examples), FIGURES: json_text(evaluation)}
    for name, text in texts.items():
        with replaced(out / name, remedy="give --out another folder") as file:
            file.write(text.encode())
    return [out / name for name in texts]


def json_text(evaluation: Evaluation) -> str:
    """A JSON object; NaN becomes null."""
    figures = asdict(evaluation) | {"warning": warning(evaluation)}
    return json.dumps(json.loads(json.dumps(figures), parse_constant=lambda _: None), indent=1)


def page(evaluation: Evaluation, examples: Sequence[Example]) -> str:
    """The HTML page."""
    own, shared = jinja2.PackageLoader("experiments.analysis.offline"), environment().loader
    templates = environment().overlay(loader=jinja2.ChoiceLoader([own, shared] if shared else [own]))
    return templates.get_template("offline.html.jinja").render(
        evaluation=evaluation,
        banner=SIMULATED if evaluation.simulated else "",
        origin=origin(evaluation),
        weighting=weighting_sentence(evaluation),
        warning=warning(evaluation),
        examples=examples,
        propensities=evaluation.propensities,
        positions=positions(evaluation.propensities) if evaluation.propensities else "",
    )


def positions(found: Sequence[Propensities]) -> Markup:
    """A chart of the propensities of each source by position."""
    return positions_chart(
        {str(each.source): list(zip(each.values, each.intervals, strict=True)) for each in found}
    )

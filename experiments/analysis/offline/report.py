"""An evaluation as JSON, and as one HTML page that needs nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import jinja2
import numpy as np

from experiments.analysis.offline.evaluation import Evaluation
from experiments.analysis.offline.propensity import Propensities
from experiments.analysis.offline.wording import SIMULATED, origin, warning, weighting_sentence
from ml.atomic_files import replaced, writing
from ml.evaluation.gallery import Example
from ml.evaluation.templates import environment

PAGE: Final = "offline.html"
FIGURES: Final = "offline.json"
COLOURS: Final = ("#4878a8", "#b5651d")
"""Of the sources of propensities."""


def write_results(evaluation: Evaluation, examples: Sequence[Example], out: Path) -> list[Path]:
    """The files written, OUT/offline.html and OUT/offline.json.

    Raises:
        NotWritten: the folder cannot be made, is full, or may not be written to.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    texts = {PAGE: page(evaluation, examples), FIGURES: json_text(evaluation)}
    for name, text in texts.items():
        with replaced(out / name, remedy="give --out another folder") as file:
            file.write(text.encode())
    return [out / name for name in texts]


def json_text(evaluation: Evaluation) -> str:
    """One object; null where there is no figure, since JSON has no NaN."""
    figures = asdict(evaluation) | {"warning": warning(evaluation)}
    return json.dumps(json.loads(json.dumps(figures), parse_constant=lambda _: None), indent=1)


def page(evaluation: Evaluation, examples: Sequence[Example]) -> str:
    """Bars with intervals, tables and slices as logged and weighted, propensities, and examples if any."""
    own, shared = jinja2.PackageLoader("experiments.analysis.offline"), environment().loader
    templates = environment().overlay(loader=jinja2.ChoiceLoader([own, shared] if shared else [own]))
    return templates.get_template("offline.html.jinja").render(
        evaluation=evaluation,
        banner=SIMULATED if evaluation.simulated else "",
        origin=origin(evaluation),
        weighting=weighting_sentence(evaluation),
        warning=warning(evaluation),
        examples=examples,
        curves=list(zip(evaluation.propensities, COLOURS, strict=False)),
        positions=max((len(each.values) for each in evaluation.propensities), default=0),
        ceiling=ceiling(evaluation.propensities),
    )


def ceiling(curves: Sequence[Propensities]) -> float:
    """The upper end of the propensities' axis: holds every interval, of wide ones what is below 2."""
    highs = [min(high, 2.0) for curve in curves for _, high in curve.intervals if not np.isnan(high)]
    return max([1.0, *highs])

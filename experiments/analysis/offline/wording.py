"""An evaluation in sentences and text tables."""

from __future__ import annotations

from typing import Final

from experiments.analysis.offline.evaluation import Evaluation
from experiments.analysis.offline.orders import PRODUCTION, REFERENCES
from experiments.analysis.offline.propensity import Source
from ml.evaluation.rows import Row
from ml.evaluation.tables import metric_table, slice_table

SIMULATED: Final = "Simulated: the users, taps and purchases of this log are simulated."


def origin(evaluation: Evaluation) -> str:
    """What was evaluated and what was excluded."""
    counts, (first, last) = evaluation.counts, evaluation.days
    return (
        f"{evaluation.log}: {counts.used:,} slates of {evaluation.users:,} users, {first} to {last}, "
        f"{evaluation.shuffled_slates:,} of them shuffled; "
        f"excluded of {counts.logged:,}: {counts.left_out or 'none'}"
    )


def weighting_sentence(evaluation: Evaluation) -> str:
    """How taps were weighted."""
    weighting = evaluation.weighting
    if weighting is None:
        return "Slates could not be weighted."
    taps, slates = evaluation.propensities[0].taps, evaluation.counts.used
    return (
        f"Weighted: by how often a position is looked at, estimated from {weighting.source} ({taps:,} taps); "
        f"{weighting.clipped_slates:,} of {slates:,} slates have the largest weight allowed, "
        f"{weighting.clip:g}; the effective sample size is {weighting.worth_slates:,.0f} slates."
    )


def warning(evaluation: Evaluation) -> str:
    """One sentence on whether the log favours the production order; "" if nothing says so."""
    if evaluation.weighting is None:
        return (
            "Warning: no slates were shuffled and too few items changed positions, so it is unknown how far "
            "this log favours the production order and whatever ranks like it; give an arm a `shuffle` share."
        )
    favour = evaluation.favour
    if favour is not None and favour[1][0] > 0:
        value, (low, high) = favour
        logged, weighted = (
            _row(rows, PRODUCTION).means[evaluation.metric]
            for rows in (evaluation.as_logged, evaluation.weighted)
        )
        return (
            f"Warning: this log favours the production order, whose {evaluation.metric} is {logged:.3f} as "
            f"logged and {weighted:.3f} weighted ({value:.3f} less, 95 % {low:.3f} to {high:.3f}): go by the "
            f"weighted rows{_turned(evaluation)}."
        )
    if evaluation.weighting.source is Source.SWAPS:
        return (
            "Warning: no slates were shuffled, so weights are based on items that changed positions by "
            "themselves; give an arm a `shuffle` share."
        )
    return ""


def _turned(evaluation: Evaluation) -> str:
    """The end of a sentence that says whether another encoder leads once weighted; "" if none does."""
    logged, weighted = (
        _best(rows, evaluation.metric) for rows in (evaluation.as_logged, evaluation.weighted)
    )
    return f", where {weighted} leads instead of {logged}" if weighted != logged else ""


def _best(rows: list[Row], metric: str) -> str:
    encoders = [row for row in rows if row.encoder not in REFERENCES]
    return max(encoders, key=lambda row: row.means[metric]).encoder


def _row(rows: list[Row], name: str) -> Row:
    return next(row for row in rows if row.encoder == name)


def text(evaluation: Evaluation, *, slices: bool) -> str:
    """The evaluation for a terminal."""
    parts = [SIMULATED] if evaluation.simulated else []
    parts.append(origin(evaluation))
    for title, rows in (("As logged", evaluation.as_logged), ("Weighted", evaluation.weighted)):
        if rows:
            parts += [f"\n{title}, gains over {evaluation.baseline}", metric_table(rows)]
            parts += [slice_table(rows)] if slices else []
    parts += ["", weighting_sentence(evaluation), warning(evaluation)]
    return "\n".join(parts).rstrip()

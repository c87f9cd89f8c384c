"""Rows of a comparison as plain-text tables."""

import math
from collections.abc import Sequence

from console.percentage import percent
from console.table import table
from ml.evaluation.rows import Row


def metric_table(rows: Sequence[Row]) -> str:
    """A table with a row per encoder: each metric with its 95 % interval, the gain and its p-value."""
    metrics = list(rows[0].means)
    gain = f"{metrics[0].replace('ndcg', 'nDCG')} gain"
    cells = [(row.encoder, *(row.text(name) for name in metrics), gain_text(row)) for row in rows]
    return table(["", *metrics, gain], cells, right=metrics)


def gain_text(row: Row) -> str:
    """The gain with its interval and p-value; empty for the baseline."""
    if row.gain is None or row.gain_interval is None:
        return ""
    low, high = row.gain_interval
    corrected = "" if row.p_holm is None else f", p {row.p_holm:.4f} after Holm"
    return f"{percent(row.gain)} ({percent(low)} to {percent(high)}){corrected}"


def slice_table(rows: Sequence[Row]) -> str:
    """A table with a row per slice, and a column per encoder with the mean of the first metric."""
    names = [f"{one.by}: {one.value} ({one.queries:,})" for one in rows[0].slices]
    if not names:
        return "No slice has enough queries."
    encoders = [row.encoder for row in rows]
    cells = [
        (name, *(score_text(row.slices[index].mean) for row in rows)) for index, name in enumerate(names)
    ]
    return table(["", *encoders], cells, right=encoders)


def score_text(score: float) -> str:
    """A score to three decimals; a dash if no query has a score."""
    return "–" if math.isnan(score) else f"{score:.3f}"

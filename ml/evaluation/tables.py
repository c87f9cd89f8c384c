"""Rows of a comparison as plain-text tables."""

import math
from collections.abc import Sequence

from ml.evaluation.rows import Row


def table(rows: Sequence[Row]) -> str:
    """A row per encoder: each metric with its 95 % interval, the gain and its p-value."""
    metrics = list(rows[0].means)
    width = max(len(row.encoder) for row in rows)
    first = metrics[0].replace("ndcg", "nDCG")
    lines = [" " * width + "".join(f"{metric:>22}" for metric in metrics) + f"   {first} gain"]
    for row in rows:
        cells = "".join(f"{row.text(name):>22}" for name in metrics)
        lines.append(f"{row.encoder:<{width}}{cells}{gain_text(row)}")
    return "\n".join(lines)


def gain_text(row: Row) -> str:
    """The gain with its interval and p-value; empty for the baseline."""
    if row.gain is None or row.gain_interval is None:
        return ""
    low, high = row.gain_interval
    corrected = "" if row.p_holm is None else f", p {row.p_holm:.4f} after Holm"
    return f"   {row.gain:+.1%} ({low:+.1%} to {high:+.1%}){corrected}"


def slice_table(rows: Sequence[Row]) -> str:
    """A row per slice, a column per encoder with the mean of the first metric."""
    names = [f"{one.by}: {one.value} ({one.queries})" for one in rows[0].slices]
    if not names:
        return "no slice has enough queries"
    width = max(map(len, names))
    lines = [" " * width + "".join(f"  {row.encoder}" for row in rows)]
    for index, name in enumerate(names):
        means = (f"  {score_text(row.slices[index].mean):>{len(row.encoder)}}" for row in rows)
        lines.append(f"{name:<{width}}" + "".join(means))
    return "\n".join(lines)


def score_text(score: float) -> str:
    """Three decimals; a dash if no query has a score."""
    return "–" if math.isnan(score) else f"{score:.3f}"

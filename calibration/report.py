"""What a calibration found, as text."""

from __future__ import annotations

from typing import Final

from calibration.calibrate import Calibrated, left_out
from calibration.fit import Interval
from calibration.questions import JUDGED
from calibration.tap_report import about, closing
from console.counts import count_of
from console.percentage import percent
from console.table import table

HEAD: Final = ("term", "now", "fitted", "gain in nDCG", "95 % interval", "")


def text(done: Calibrated) -> str:
    """Return the report."""
    change = done.effect
    verdict = "" if change.gain.shown_to_help else ": not shown to be better"
    return "\n".join(
        [
            *opening(done),
            "",
            table(HEAD, rows(done), right=HEAD[1:5]),
            "",
            f"nDCG@{JUDGED} of items that the weights were not fitted on",
            f"now     {_shown(change.before)}",
            f"fitted  {_shown(change.after)}",
            f"gain    {_shown(change.gain, signed=True)}{verdict}",
            "",
            *ending(done),
        ]
    )


def opening(done: Calibrated) -> list[str]:
    """Return the lines on what was fitted to."""
    collected = done.collected
    items = f"{count_of(len(collected.judged), 'item')}, {count_of(collected.pairs, 'judged pair')}"
    lines = about(done.taps, collected) if done.taps else [items]
    missing = left_out(collected)
    return [*lines, f"Left out: {'; '.join(missing)}"] if missing else lines


def ending(done: Calibrated) -> list[str]:
    """Return the lines on what is no weight."""
    if done.taps:
        return closing(floor_of(done), done.taps.learned)
    return [
        floor_line(done),
        "Duplicate thresholds: unchanged; judgments of similarity say nothing of them",
    ]


def rows(done: Calibrated) -> list[list[str]]:
    """Return the table's rows: the fitted terms, then the others."""
    weights = done.ranking.weights
    fitted = [
        [
            name,
            f"{weights[name]:g}",
            f"{done.fit.weights[place]:g}",
            f"{gain.mean:+.4f}",
            f"{gain.low:+.4f} to {gain.high:+.4f}",
            "kept" if gain.shown_to_help else "removed",
        ]
        for place, (name, gain) in enumerate(zip(done.terms, done.fit.gains, strict=True))
    ]
    fixed = [
        [name, f"{weights[name]:g}", f"{weights[name]:g}", "", "", f"not fitted: {reason}"]
        for name, reason in done.fixed.items()
    ]
    return fitted + fixed


def floor_line(done: Calibrated) -> str:
    """Return the line on the floor of similarity."""
    before, floor = floor_of(done), done.floor
    if floor is None:
        return f"Floor of similarity: unchanged ({before}); no cosine separates the judged pairs"
    lost = f"{percent(floor.alike_below, signed=False)} of the pairs of a grade above 0"
    removed = f"{percent(floor.unlike_below, signed=False)} of those of grade 0"
    return f"Floor of similarity: {floor.cosine:g} (now {before}); below it are {lost} and {removed}"


def floor_of(done: Calibrated) -> str:
    """Return the floor in use."""
    now = done.ranking.min_similarity
    return "the encoder's" if now is None else f"{now:g}"


def _shown(values: Interval, *, signed: bool = False) -> str:
    mean, low, high = (f"{each:{'+' if signed else ''}.4f}" for each in values)
    return f"{mean} ({low} to {high})"

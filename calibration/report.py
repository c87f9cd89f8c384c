"""What a calibration found, as text."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Final

from calibration.calibrate import Calibrated, left_out
from calibration.duplicates import FittedThresholds
from calibration.fit import Interval
from calibration.questions import JUDGED
from calibration.tap_report import about, closing
from console.counts import count_of
from console.percentage import percent
from console.table import table
from query.search.duplicates import DuplicateThresholds

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
    missing = left_out(collected, slates=done.taps is not None)
    return [*lines, f"Left out: {'; '.join(missing)}"] if missing else lines


def ending(done: Calibrated) -> list[str]:
    """Return the lines on what is no weight."""
    if done.taps:
        return closing(floor_of(done), done.taps.learned)
    fitted = done.duplicates
    return [floor_line(done), *(duplicate_lines(fitted, done.ranking.duplicates) if fitted else [])]


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


def duplicate_lines(fitted: FittedThresholds, now: DuplicateThresholds) -> list[str]:
    """Return the lines on the duplicate thresholds."""
    if fitted.thresholds is None:
        head = f"unchanged ({_named(now)}); {fitted.why}"
    else:
        head = f"{_named(fitted.thresholds)} (now {_named(now)})"
    judged = f"{count_of(fitted.pairs, 'pair')} judged by same_photo, {fitted.same:,} of one photo"
    found = [
        f"{name}recall {_shown(each.recall)}, precision {_shown(each.precision)}"
        for name, each in (("now     ", fitted.now), ("fitted  ", fitted.fitted))
        if each
    ]
    about = [f"{judged}; found when not fitted on"] if found else [judged]
    return [f"Duplicate thresholds: {head}", *about, *found]


def _named(thresholds: DuplicateThresholds) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in asdict(thresholds).items())


def _shown(values: Interval, *, signed: bool = False) -> str:
    if math.isnan(values.mean):
        return "unknown, since no pair is found"
    mean, low, high = (f"{each:{'+' if signed else ''}.4f}" for each in values)
    return f"{mean} ({low} to {high})"

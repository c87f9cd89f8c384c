"""What a calibration found in a log, as text."""

from __future__ import annotations

from typing import Final

from calibration.calibrate import Tapped
from calibration.co_taps import CategoryPair
from calibration.judged import Collected
from calibration.similarities import Learned
from calibration.taps import MOST_SLATES, TapLog
from console.counts import count_of
from console.table import table
from experiments.analysis.offline.evaluation import CLIP
from experiments.analysis.offline.wording import SIMULATED
from mappings.values import CATEGORY_SEPARATOR

HEAD: Final = ("item", "tapped", "taps", "expected", "now", "learned")

_SHOWN: Final = 10
"""Pairs that a report lists."""


def about(taps: Tapped, collected: Collected) -> list[str]:
    """Return lines on the log: what was used of it, and how taps were weighted."""
    log, slates = taps.log, count_of(len(collected.judged), "slate")
    lines = [SIMULATED] if log.simulated else []
    lines.append(
        f"{slates} with a tap of {count_of(taps.users, 'user')}, {count_of(collected.pairs, 'item')} shown"
    )
    if len(log.slates) > MOST_SLATES:
        lines.append(f"Drawn: {MOST_SLATES:,} of {len(log.slates):,} slates with a tap")
    if excluded := log.counts.left_out:
        lines.append(f"Excluded of {log.counts.logged:,} slates: {excluded}")
    return [*lines, weighting(log)]


def weighting(log: TapLog) -> str:
    """Return how taps count."""
    found = log.propensities
    if found is None:
        return (
            "Taps count as logged, as if every position were looked at equally: no slates were shuffled and "
            "too few items changed positions. This favours the ranking in use; give an arm a `shuffle` share"
        )
    return (
        f"Taps count by how seldom their position is looked at, at most {CLIP:g} times one at the first; "
        f"estimated from {found.source} ({count_of(found.taps, 'tap')})"
    )


def closing(now: str, learned: Learned) -> list[str]:
    """Return lines on what is learned of categories, and on what taps do not say. now: the floor in use."""
    return [
        *categories(learned),
        "",
        f"Floor of similarity: unchanged ({now}); an item without a tap is not an unlike one",
        "Duplicate thresholds: unchanged; taps say nothing of them",
    ]


def categories(learned: Learned) -> list[str]:
    """Return lines on the similarities of categories, with the strongest pairs."""
    if learned.gain is None:
        return ["Similarities of categories: unchanged; no pair has enough evidence"]
    mean, low, high = learned.gain
    found = count_of(len(learned.pairs), "pair")
    effect = f"gain in nDCG {mean:+.4f} ({low:+.4f} to {high:+.4f})"
    if not learned.kept:
        return [f"Similarities of categories: unchanged; {found} found, not shown to help: {effect}"]
    return [
        f"Similarities of categories: {found} learned, {effect}",
        "",
        table(HEAD, [row(pair) for pair in learned.pairs[:_SHOWN]], right=HEAD[2:]),
    ]


def row(pair: CategoryPair) -> list[str]:
    """Return the cells of one pair."""
    names = [CATEGORY_SEPARATOR.join(path) for path in (pair.item, pair.other)]
    counts = (f"{pair.taps:,.0f}", f"{pair.expected:,.0f}")
    return [*names, *counts, f"{pair.current:.2f}", f"{pair.similarity:.2f}"]

"""Tapped slates of an event log, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from calibration.documents import Live
from calibration.errors import TooLittleData
from calibration.judged import Collected, Judged, Known, known_among
from calibration.questions import Floats
from events.log_tables import SIMULATED
from experiments.analysis.log.files import FaultyFile
from experiments.analysis.log.read import EventLog, read_valid_files
from experiments.analysis.offline.evaluation import CLIP, known_propensities, slate_weights
from experiments.analysis.offline.propensity import Propensities, tap_weights
from experiments.analysis.offline.slates import Counts, Slates, TappedLog

MOST_SLATES: Final = 20_000
"""Slates that are drawn from a longer log: the fit takes minutes."""


@dataclass(frozen=True)
class TapLog:
    """The slates with a tap of a log."""

    folder: Path
    slates: Slates
    importance: Floats
    """(s,) how much each counts, 1 on average: the inverse propensity of its taps."""
    counts: Counts
    propensities: Propensities | None
    """None where the log does not say how often each position is looked at: taps count as logged."""
    simulated: bool
    faulty: tuple[FaultyFile, ...]
    """Files that could not be read."""


def read_taps(folder: Path) -> TapLog:
    """Return the tapped slates of a log, as `nitamono events export` writes it.

    Raises:
        UnreadableLog: no file of impressions can be read.
        TooLittleData: no slate has a tap.
    """
    now = datetime.now(UTC)

    def read(log: EventLog) -> tuple[Slates, Counts, list[Propensities], bool]:
        tapped = TappedLog(log.workspace(), now=now)
        return tapped.slates(), tapped.counts(), known_propensities(tapped), log.simulated()

    (slates, counts, found, simulated), faulty = read_valid_files(folder, read)
    if not len(slates):
        raise TooLittleData(
            f"{folder}: no slate has a tap, of {counts.logged:,} ({counts.left_out or 'none was logged'}); "
            "send taps with the slate_id and user_id of their impression, and export more days with "
            "`nitamono events export`"
        )
    return TapLog(
        folder=folder,
        slates=slates,
        importance=importance_of(slates, found[0] if found else None),
        counts=counts,
        propensities=found[0] if found else None,
        simulated=simulated or (folder / SIMULATED).exists(),
        faulty=faulty,
    )


def importance_of(slates: Slates, propensities: Propensities | None) -> Floats:
    """(s,) weights of slates, 1 on average: the mean inverse propensity of a slate's taps.

    Of the methods compared in docs/decisions/165-offline-weighting.md it comes closest to the truth.
    """
    if propensities is None:
        return np.ones(len(slates))
    weights = slate_weights(slates, tap_weights(propensities, slates.positions, CLIP))
    return np.asarray(weights / weights.mean())


def drawn(log: TapLog, seed: int) -> list[int]:
    """Return the rows of at most MOST_SLATES slates, drawn at random, in the order of the log."""
    rows = np.random.default_rng(seed).permutation(len(log.slates))[:MOST_SLATES]
    return sorted(rows.tolist())


def collect_slates(live: Live, log: TapLog, seed: int) -> Collected:
    """Read the documents of the slates' items from the live index. A tapped item has grade 1, others 0.

    Raises:
        NoLiveIndex, SearchUnavailable
    """
    rows, slates = drawn(log, seed), log.slates
    codes = np.unique(np.append(slates.items[rows], slates.query[rows]))
    known = known_among(live, {slates.item_ids[code] for code in codes.tolist() if code >= 0})
    slated = (judged_slate(log, row, known) for row in rows)
    return known.collected(each for each in slated if each is not None)


def judged_slate(log: TapLog, row: int, known: Known) -> Judged | None:
    """Return a slate as a judged item, or None if its query item has no vector."""
    slates = log.slates
    item = known.usable.get(slates.item_ids[int(slates.query[row])])
    if item is None:
        return None
    cells = zip(slates.items[row].tolist(), slates.tapped[row].tolist(), strict=True)
    tapped = {slates.item_ids[code]: hit for code, hit in cells if code >= 0}
    others = [other for other in sorted(tapped) if other in known.usable]
    return Judged(
        item,
        [known.usable[other] for other in others],
        [float(tapped[other]) for other in others],
        importance=float(log.importance[row]),
        user=int(slates.user[row]),
        seen=datetime.fromisoformat(f"{slates.day[row]}T23:59:59+00:00"),
    )

"""A ranking file fitted to the taps of an event log."""

from __future__ import annotations

from typing import Final

import numpy as np

from calibration.calibrate import LEAST_ITEMS, Calibrated, Tapped, left_out
from calibration.co_taps import Leaves
from calibration.documents import Live
from calibration.errors import TooLittleData
from calibration.questions import Floats, Questions, fitted_of, questions_of
from calibration.similarities import Evidence, effect_of_taps, fit_taps
from calibration.taps import TapLog, collect_slates
from console.counts import count_of
from console.percentage import percent
from query.search.ranking import ADJUSTABLE, Ranking
from query.search.terms.popularity import Popularity

LEAST_VARIED: Final = 0.1
"""Share of the slates whose items must differ in a term. In the others the ranking has decided by the term
what is shown at all, so taps do not show what would happen without it."""

_EQUAL: Final = 1e-9


def calibrate_taps(live: Live, log: TapLog, ranking: Ranking, *, folds: int, seed: int) -> Calibrated:
    """Fit weights and category similarities to taps. The users are the unit of folds and intervals.

    Raises:
        TooLittleData: too few users tapped items that are in the live index beside others.
        NoLiveIndex, SearchUnavailable
    """
    collected = collect_slates(live, log, seed)
    users, least = len({one.user for one in collected.judged}), max(LEAST_ITEMS, 2 * folds)
    if users < least:
        raise TooLittleData(
            f"{log.folder}: {count_of(users, 'user')} with a tap on some of the items shown, expected "
            f"{least} or more; left out: {'; '.join(left_out(collected, slates=True)) or 'nothing'}; "
            "export more days with `nitamono events export`, and calibrate on the index that the log is of"
        )
    questions = questions_of(collected.judged, live, ranking, ())
    fixed = unidentifiable(questions)
    fitted, now = fitted_of(ranking, fixed)
    evidence = Evidence(
        questions,
        Leaves.of(collected.judged),
        fitted,
        now,
        ranking.learned,
        live.encoder.similarity_spread,
    )
    learned, fitted_weights = fit_taps(evidence, seed, folds)
    return Calibrated(
        encoder_id=live.encoder.encoder_id,
        ranking=ranking,
        fixed=fixed,
        collected=collected,
        fit=fitted_weights,
        effect=effect_of_taps(evidence, seed, folds),
        floor=None,
        taps=Tapped(log, users, learned),
    )


def unidentifiable(questions: Questions) -> dict[str, str]:
    """Return the terms whose weights slates cannot determine, with the reason."""
    shares = dict(zip(ADJUSTABLE, varied(questions).tolist(), strict=True))
    return {
        name: f"items differ in it on {percent(share, signed=False)} of the slates"
        for name, share in shares.items()
        if share < LEAST_VARIED
    } | {Popularity.name: "the taps themselves raised it"}


def varied(questions: Questions) -> Floats:
    """(t,) share of the slates whose items differ in a term."""
    present = np.isfinite(questions.cosines)
    highest = np.where(present, questions.values, -np.inf).max(axis=2)
    lowest = np.where(present, questions.values, np.inf).min(axis=2)
    return np.asarray((highest - lowest > _EQUAL).mean(axis=1))

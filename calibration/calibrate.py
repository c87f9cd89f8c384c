"""A ranking file fitted to judgments or taps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from calibration.documents import Live
from calibration.duplicates import FittedThresholds, fit_thresholds, photo_pairs
from calibration.errors import OtherEncoder, TooLittleData
from calibration.fit import Effect, Fit, Interval, effect, fit
from calibration.floor import Floor, fitted_floor
from calibration.judged import Collected, collect
from calibration.judgments import Judgments, SamePhotos
from calibration.questions import fitted_terms, questions_of
from calibration.similarities import Learned
from calibration.taps import TapLog
from console.counts import count_of
from query.search.ranking import ADJUSTABLE, Ranking
from query.search.ranking_file import Pair, RankingFile, Thresholds

LEAST_ITEMS: Final = 20
"""Items that a calibration needs. Intervals over fewer say nothing."""


@dataclass(frozen=True)
class Tapped:
    """The log whose taps were fitted to, and what they say of categories."""

    log: TapLog
    users: int
    learned: Learned

    @property
    def facts(self) -> dict[str, Any]:
        """What the file says of it."""
        found, gain = self.log.propensities, self.learned.gain
        return {
            "users": self.users,
            "simulated": self.log.simulated,
            "propensities_from": found.source.value if found else None,
            "categories_learned": len(self.learned.pairs) if self.learned.kept else 0,
            "categories_gain": _rounded(gain) if gain else None,
        }


@dataclass(frozen=True)
class Calibrated:
    """Fitted weights, floor and duplicate thresholds."""

    encoder_id: str
    ranking: Ranking
    """The one in use."""
    fixed: Mapping[str, str]
    """The terms that were not fitted, and why."""
    collected: Collected
    fit: Fit
    effect: Effect
    floor: Floor | None
    """None where the judgments do not determine one."""
    duplicates: FittedThresholds | None = None
    """None where no pair was judged by same_photo."""
    taps: Tapped | None = None
    """None where judgments were fitted to."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that were fitted, in the order of the weights."""
        return fitted_terms(self.fixed)

    def file(self, source: str) -> RankingFile:
        """Return the ranking file. What was not fitted is as in the ranking in use."""
        ranking = self.ranking
        now = {name: ranking.weights[name] for name in ADJUSTABLE}
        learned = self.taps.learned.beside(ranking.learned) if self.taps else ranking.learned
        pairs = [
            Pair(item=item, other=other, similarity=similarity)
            for item, others in learned.items()
            for other, similarity in others.items()
        ]
        fitted = self.duplicates.thresholds if self.duplicates else None
        return RankingFile(
            encoder_id=self.encoder_id,
            weights=now | dict(zip(self.terms, self.fit.weights.tolist(), strict=True)),
            min_similarity=ranking.min_similarity if self.floor is None else self.floor.cosine,
            duplicates=Thresholds(**asdict(fitted or ranking.duplicates)),
            freshness_half_life_days=ranking.half_life_days,
            popularity_full=ranking.full_popularity,
            categories=tuple(pairs),
            fitted=self.facts(source),
        )

    def facts(self, source: str) -> dict[str, Any]:
        """Return what the file says of its origin."""
        gains = zip(self.terms, self.fit.gains, strict=True)
        return {
            "on": source,
            "from": self.ranking.name,
            "items": len(self.collected.judged),
            "pairs": self.collected.pairs,
            **(self.taps.facts if self.taps else {}),
            "not_fitted": list(self.fixed),
            "gains": {name: _rounded(gain) for name, gain in gains},
            "ndcg_before": _rounded(self.effect.before),
            "ndcg_after": _rounded(self.effect.after),
            **({"same_photo_pairs": self.duplicates.pairs} if self.duplicates else {}),
        }


def calibrate(
    live: Live,
    judgments: Judgments,
    ranking: Ranking,
    *,
    fixed: Mapping[str, str],
    folds: int,
    seed: int,
    same_photos: SamePhotos | None = None,
) -> Calibrated:
    """Fit weights and floor to judgments, and duplicate thresholds to pairs of one photo and of two.

    Raises:
        TooLittleData: too few items have candidates of different grades in the live index.
        NoLiveIndex, SearchUnavailable
    """
    collected = collect(live, judgments)
    if len(collected.judged) < max(LEAST_ITEMS, 2 * folds):
        raise TooLittleData(too_few(collected, max(LEAST_ITEMS, 2 * folds)))
    questions = questions_of(collected.judged, live, ranking, fixed)
    now = np.array([ranking.weights[name] for name in fitted_terms(fixed)])
    return Calibrated(
        encoder_id=live.encoder.encoder_id,
        ranking=ranking,
        fixed=fixed,
        collected=collected,
        fit=fit(questions, now, seed, folds),
        effect=effect(questions, now, seed, folds),
        floor=fitted_floor(questions),
        duplicates=fit_thresholds(photo_pairs(live, same_photos), ranking.duplicates, seed=seed, folds=folds)
        if same_photos
        else None,
    )


def check_encoder(live: Live, ranking: Ranking) -> None:
    """Check that the ranking in use is for the live index.

    Raises:
        OtherEncoder: it is not.
    """
    if problem := ranking.objection(live.index, live.encoder):
        raise OtherEncoder(
            f"{problem}, or start without it (`nitamono demo up --forget-settings`, or unset "
            "NITAMONO_RANKING_FILE)"
        )


def too_few(collected: Collected, least: int) -> str:
    """Return why a calibration cannot be made."""
    found = count_of(len(collected.judged), "item")
    return (
        f"{found} with candidates of different grades, expected {least} or more; "
        f"left out: {'; '.join(left_out(collected)) or 'nothing'}"
    )


def left_out(collected: Collected, *, slates: bool = False) -> list[str]:
    """Return a clause for each kind of judgment, or of slates, that does not count."""
    one_grade = "where all items or none were tapped" if slates else "whose candidates all have one grade"
    kinds = (
        (collected.unknown, "id", "not in the live index"),
        (collected.without_vector, "listing", "without a vector"),
        (collected.undecided, "slate" if slates else "item", one_grade),
    )
    return [f"{count_of(count, noun)} {why}" for count, noun, why in kinds if count]


def _rounded(values: Interval) -> list[float]:
    return [round(each, 4) for each in values]

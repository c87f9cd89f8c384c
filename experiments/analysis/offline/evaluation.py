"""The evaluation of encoders on a log: slates, propensities, and rows of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from experiments.analysis.offline.clustered import Estimate, compare, difference, mean_of
from experiments.analysis.offline.orders import (
    PRODUCTION,
    REFERENCES,
    Gain,
    Numbers,
    gains_of,
    orders_of,
    scores_by_order,
)
from experiments.analysis.offline.propensity import Propensities, Source, propensities, tap_weights
from experiments.analysis.offline.slates import Counts, Integers, Slates, TappedLog
from experiments.analysis.offline.vectors import ItemVectors, with_vectors
from experiments.errors import ExperimentError
from ml.evaluation.rows import Row
from ml.metrics.ranking import Scores

METRIC: Final = "ndcg@5"
CLIP: Final = 20.0
"""The largest weight of a tap: it counts as at most this many taps at the first position."""

ENOUGH_TAPS: Final = 2000
"""Taps on shuffled slates from which on swaps are ignored. The tenth position then has 50 taps or more if it
is looked at a tenth as often as the first, which gives its propensity to within a third."""


class NothingToEvaluate(ExperimentError):
    """A log without a usable slate."""


class UnknownRow(ExperimentError):
    """A baseline that names no row."""


@dataclass(frozen=True)
class Task:
    """Options of an evaluation."""

    baseline: str | None = None
    """Default: the first encoder."""
    gain: Gain = Gain.TAPS
    clip: float = CLIP


@dataclass(frozen=True)
class Weighting:
    """How taps were weighted."""

    source: Source
    clip: float
    clipped_slates: int
    """Slates with the largest weight allowed."""
    worth_slates: float
    """The effective sample size: the square of the sum of weights over the sum of squares (Kish 1965)."""


@dataclass(frozen=True)
class Evaluation:
    """All figures of a log."""

    log: str
    simulated: bool
    counts: Counts
    shuffled_slates: int
    """Of those used."""
    users: int
    days: tuple[str, str]
    """The first and the last, UTC."""
    gain: Gain
    baseline: str
    as_logged: list[Row]
    """Every slate counts as one."""
    weighted: list[Row]
    """Every slate counts by the inverse propensity of its taps; empty without propensities."""
    weighting: Weighting | None
    propensities: list[Propensities]
    """One for each source with enough taps; the first is used."""
    favour: Estimate | None
    """The production order's score as logged minus its weighted one."""

    metric: str = METRIC


@dataclass(frozen=True)
class Ranked:
    """The slates used, in every order."""

    slates: Slates
    gains: Numbers
    """(s, n) float64, in the order shown."""
    orders: dict[str, Integers]
    """Name to (s, n) int64: indices into the slate, best first."""
    scores: dict[str, dict[str, Scores]]
    """Order to metric to (s,) float64, NaN where there is no score."""

    def rows(self, baseline: str, weights: Scores) -> list[Row]:
        """A row for each order. weights: (s,) float64."""
        slates = self.slates
        groups = {
            "category": slates.category,
            "price": slates.price,
            "day": slates.day,
            "order shown": np.where(slates.randomised, "shuffled", "production"),
        }
        return compare(self.scores, slates.user, baseline, weights=weights, groups=groups)


def evaluate(
    log: TappedLog, encoders: Sequence[ItemVectors], task: Task, *, name: str, simulated: bool
) -> tuple[Evaluation, Ranked]:
    """The rows of a log, and the ranked slates from which they are computed.

    name: of the log, for readers. simulated: whether its users are simulated.

    Raises:
        NothingToEvaluate: no slate has both a tap and all vectors.
        UnknownRow: no row has the name of the baseline, or two rows have the same name.
        UnusableVectors: a vector is not finite, or only zeros.
    """
    baseline = baseline_of([encoder.name for encoder in encoders], task.baseline)
    slates, counts = usable_slates(log, encoders)
    orders = orders_of(slates, {encoder.name: encoder.cosines(slates) for encoder in encoders})
    gains = gains_of(slates, task.gain)
    ranked = Ranked(slates, gains, orders, scores_by_order(slates, orders, gains))
    found = known_propensities(log)
    weights = slate_weights(slates, tap_weights(found[0], slates.positions, task.clip)) if found else None
    evaluation = Evaluation(
        log=name,
        simulated=simulated,
        counts=counts,
        shuffled_slates=int(slates.randomised.sum()),
        users=len(np.unique(slates.user)),
        days=(min(slates.day.tolist()), max(slates.day.tolist())),
        gain=task.gain,
        baseline=baseline,
        as_logged=ranked.rows(baseline, np.ones(len(slates))),
        weighted=[] if weights is None else ranked.rows(baseline, weights),
        weighting=None if weights is None else weighting_of(found[0], weights, task.clip),
        propensities=found,
        favour=None if weights is None else favour_of(ranked, weights),
    )
    return evaluation, ranked


def baseline_of(encoders: Sequence[str], asked: str | None) -> str:
    """The name of the row that others are compared with.

    Raises:
        UnknownRow: no row has the name asked for, or two rows have the same name.
    """
    rows = [*REFERENCES, *encoders]
    for row in rows:
        if rows.count(row) > 1:
            raise UnknownRow(f"two rows would be called {row!r}; give each encoder a name of its own")
    if asked is not None and asked not in rows:
        raise UnknownRow(f"no row {asked!r} to compare with; there are {', '.join(rows)}")
    return asked or encoders[0]


def usable_slates(log: TappedLog, encoders: Sequence[ItemVectors]) -> tuple[Slates, Counts]:
    """The slates that every row covers, and the number of the others by reason.

    Raises:
        NothingToEvaluate: there are none.
    """
    tapped, counts = log.slates(), log.counts()
    slates = tapped.part(with_vectors(tapped, encoders))
    counts = replace(counts, without_vector=len(tapped) - len(slates), used=len(slates))
    if not len(slates):
        raise NothingToEvaluate(
            f"no slate of {counts.logged:,} can be used: {counts.left_out or 'none was logged'}; "
            "expected taps, and vectors of all items shown: `nitamono ml embed` makes them"
        )
    return slates, counts


def known_propensities(log: TappedLog) -> list[Propensities]:
    """Propensities from shuffled slates and from swaps, if they have enough taps; the better first.

    Shuffled slates need fewer assumptions, but with few taps their estimates are less precise.
    """
    shuffled = propensities(log.shuffled(), Source.SHUFFLED)
    swaps = propensities(log.swapped(), Source.SWAPS)
    found = [each for each in (shuffled, swaps) if each is not None]
    return sorted(found, key=lambda each: -min(each.taps, ENOUGH_TAPS))


def slate_weights(slates: Slates, weights: Numbers) -> Scores:
    """(s,) float64: the mean weight of each slate's taps.

    Inverse propensity weighting (Joachims et al. 2017, arXiv 1608.04468, section 4), self-normalised
    (Swaminathan and Joachims 2015). Exact for slates with one tap; for several, the mean was the closest to
    the truth of the methods that decision 165 compares. weights: (s, n) float64, of taps.
    """
    return np.asarray((weights * slates.tapped).sum(axis=1) / slates.tapped.sum(axis=1))


def favour_of(ranked: Ranked, weights: Scores) -> Estimate | None:
    """The production order's score as logged minus its weighted one; None if every slate was shuffled.

    weights: (s,) float64.
    """
    if ranked.slates.randomised.all():
        return None
    scores = ranked.scores[PRODUCTION][METRIC]
    plain = mean_of(scores, np.ones(len(weights)))
    return difference(plain, mean_of(scores, weights), ranked.slates.user)


def weighting_of(found: Propensities, weights: Scores, clip: float) -> Weighting:
    """A summary of the weights (s,) float64 of slates."""
    return Weighting(
        source=found.source,
        clip=clip,
        clipped_slates=int((weights >= clip).sum()),
        worth_slates=float(weights.sum() ** 2 / (weights**2).sum()),
    )

"""An evaluation of encoders on a log, from its slates to rows and what to make of them."""

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
"""Taps that one tap may stand for, so that none outweighs twenty at the top."""

ENOUGH_TAPS: Final = 2000
"""Of shuffled slates, to go by them alone: the tenth position then has 50 or more where it is looked at a
tenth as often as the first, and is known to a third."""


class NothingToEvaluate(ExperimentError):
    """A log of which no slate can be used."""


class UnknownRow(ExperimentError):
    """A baseline that is no row."""


@dataclass(frozen=True)
class Task:
    """What is asked of an evaluation beside the log and the vectors."""

    baseline: str | None = None
    """By default the first of the encoders."""
    gain: Gain = Gain.TAPS
    clip: float = CLIP


@dataclass(frozen=True)
class Weighting:
    """How taps were weighted."""

    source: Source
    clip: float
    clipped_slates: int
    """Whose weight is the largest allowed."""
    worth_slates: float
    """Unweighted slates that would tell as much: the square of the sum of weights over the sum of squares
    (Kish 1965)."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured on a log."""

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
    """Every slate counts by how seldom the positions tapped are looked at; empty if that cannot be told."""
    weighting: Weighting | None
    propensities: list[Propensities]
    """Of each source that has enough taps; the first is used."""
    favour: Estimate | None
    """The production order's score as logged less its weighted one."""

    metric: str = METRIC


@dataclass(frozen=True)
class Ranked:
    """The slates that were used, in every order."""

    slates: Slates
    gains: Numbers
    """(s, n)"""
    orders: dict[str, Integers]
    """(s, n) places in the slate, best first."""
    scores: dict[str, dict[str, Scores]]
    """(s,) by order and metric."""

    def rows(self, baseline: str, weights: Scores) -> list[Row]:
        """Of weights (s,)."""
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
    """The rows of a log, and what they were computed from.

    name: of the log, for readers. simulated: whether its users were.

    Raises:
        NothingToEvaluate: no slate has both a tap and all vectors.
        UnknownRow: there is no row of the baseline's name, or two would have one name.
        UnusableVectors: a vector has no direction.
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
    """The row that others are compared with.

    Raises:
        UnknownRow: there is none of the name asked for, or two would have one name.
    """
    rows = [*REFERENCES, *encoders]
    for row in rows:
        if rows.count(row) > 1:
            raise UnknownRow(f"two rows would be called {row!r}; give each encoder a name of its own")
    if asked is not None and asked not in rows:
        raise UnknownRow(f"no row {asked!r} to compare with; there are {', '.join(rows)}")
    return asked or encoders[0]


def usable_slates(log: TappedLog, encoders: Sequence[ItemVectors]) -> tuple[Slates, Counts]:
    """The slates that every row is about, and what became of the others.

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
    """Of shuffled slates and of swaps, as far as they have taps; the better first.

    Shuffled slates assume less, but of few taps their figures are so uncertain that swaps' are nearer.
    """
    shuffled = propensities(log.shuffled(), Source.SHUFFLED)
    swaps = propensities(log.swapped(), Source.SWAPS)
    found = [each for each in (shuffled, swaps) if each is not None]
    return sorted(found, key=lambda each: -min(each.taps, ENOUGH_TAPS))


def slate_weights(slates: Slates, weights: Numbers) -> Scores:
    """(s,) how many slates a slate stands for: the mean weight of its taps, of weights (s, n).

    With 1 / propensity a slate counts as often as it would have been tapped, had every position been looked
    at: Joachims et al. 2017 (arXiv 1608.04468, section 4), divided by the sum of weights (Swaminathan and
    Joachims 2015). That is exact where slates have one tap; of several, the mean came nearest to the truth
    of the ways that decision 165 compares.
    """
    return np.asarray((weights * slates.tapped).sum(axis=1) / slates.tapped.sum(axis=1))


def favour_of(ranked: Ranked, weights: Scores) -> Estimate | None:
    """The production order's score as logged less its weighted one; None if every slate was shuffled."""
    if ranked.slates.randomised.all():
        return None
    scores = ranked.scores[PRODUCTION][METRIC]
    plain = mean_of(scores, np.ones(len(weights)))
    return difference(plain, mean_of(scores, weights), ranked.slates.user)


def weighting_of(found: Propensities, weights: Scores, clip: float) -> Weighting:
    """What the weights (s,) of slates did."""
    return Weighting(
        source=found.source,
        clip=clip,
        clipped_slates=int((weights >= clip).sum()),
        worth_slates=float(weights.sum() ** 2 / (weights**2).sum()),
    )

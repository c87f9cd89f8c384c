"""Rows of a comparison: means with intervals, gains over a baseline, tests and slices."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.metrics.ranking import Scores, bootstrap_interval, mean, ratio_interval
from ml.metrics.relevance import Relevance
from ml.metrics.retrieval import DEPTH, Ranking, means, scores_of
from ml.metrics.significance import holm, randomisation_p

Groups = Mapping[str, NDArray[np.str_]]
"""The value (n,) str of each photo by grouping, such as colour; "" if unknown."""

NO_GAIN: Final = (None, None)
"""Gain and interval of a row without a gain."""
MIN_SLICE: Final = 20
"""Slices with fewer queries are left out: their intervals would span half the scale."""


@dataclass(frozen=True)
class Slice:
    """An encoder's score on the queries of one group."""

    by: str
    value: str
    queries: int
    mean: float
    """Mean of the first metric."""
    interval: tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One encoder in a comparison: means over queries with 95 % intervals, and its difference from the
    baseline in the first metric, nDCG at the first k."""

    encoder: str
    means: dict[str, float]
    """By metric; NaN if no query has a score: see scores_of."""
    intervals: dict[str, tuple[float, float]]
    gain: float | None
    """mean / baseline's mean − 1; None for the baseline itself, without one, or if its mean is near 0."""
    gain_interval: tuple[float, float] | None
    """95 %, paired: each resample draws the same queries for both encoders."""
    p: float | None
    """Two-sided p-value of a paired randomisation test."""
    p_holm: float | None
    """The p-value corrected by Holm's method for the number of encoders compared with the baseline."""
    slices: list[Slice]

    def text(self, metric: str) -> str:
        """The mean and its interval as text; a dash if no query has a score."""
        low, high = self.intervals[metric]
        return "–" if np.isnan(low) else f"{self.means[metric]:.3f} ({low:.3f}–{high:.3f})"


def compare(
    rankings: Mapping[str, Ranking],
    relevance: Relevance,
    baseline: str | None = None,
    *,
    ks: Sequence[int] = (DEPTH,),
    groups: Groups | None = None,
) -> list[Row]:
    """A row per encoder, in the order given.

    rankings: ranking (n, ranks) int64 of the n photos searched, by encoder. groups: see Groups.
    """
    scores = {name: scores_of(ranking, relevance, ks) for name, ranking in rankings.items()}
    first = f"ndcg@{ks[0]}"
    pairs = {
        name: (of[first], scores[baseline][first])
        for name, of in scores.items()
        if baseline is not None and name != baseline
    }
    gains = {name: gain_over(own, base) for name, (own, base) in pairs.items()}
    p_values = {name: randomisation_p(own - base) for name, (own, base) in pairs.items()}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    values_of_queries = {by: values[relevance.queries] for by, values in (groups or {}).items()}
    return [
        Row(
            encoder=name,
            means=means(of),
            intervals={metric: bootstrap_interval(values) for metric, values in of.items()},
            gain=gains.get(name, NO_GAIN)[0],
            gain_interval=gains.get(name, NO_GAIN)[1],
            p=p_values.get(name),
            p_holm=corrected.get(name),
            slices=slices_of(of[first], values_of_queries),
        )
        for name, of in scores.items()
    ]


def gain_over(scores: Scores, baseline: Scores) -> tuple[float, tuple[float, float]] | tuple[None, None]:
    """Gain of scores (q,) float64 over the baseline's (q,), as a share of their mean, and its 95 % interval.

    None if the baseline's mean is so near 0 that the ratio has no bounds.
    """
    low, high = ratio_interval(scores, baseline)
    return NO_GAIN if np.isnan(low) else (mean(scores) / mean(baseline) - 1, (low - 1, high - 1))


def slices_of(scores: Scores, groups: Groups) -> list[Slice]:
    """Means of scores (q,) float64 by value, if it has at least MIN_SLICE scored queries; largest first."""
    answerable = ~np.isnan(scores)
    slices = []
    for by, values in groups.items():
        counts = Counter(values[answerable].tolist())
        for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if not value or count < MIN_SLICE:
                continue
            part = scores[answerable & (values == value)]
            slices.append(Slice(by, value, len(part), float(part.mean()), bootstrap_interval(part)))
    return slices


def weakest(slices: Iterable[Slice], count: int) -> list[Slice]:
    """The slices with the lowest means."""
    return sorted(slices, key=lambda one: one.mean)[:count]

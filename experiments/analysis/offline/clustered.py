"""Rows of scores whose intervals and tests have users, not slates, as the unit of sampling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.rows import MIN_SLICE, NO_GAIN, Groups, Row, Slice
from ml.metrics.ranking import DRAWN_AT_ONCE, Scores, percentile_interval
from ml.metrics.significance import holm, randomisation_p

Users = NDArray[np.int64]
Fraction = tuple[Scores, Scores]
"""Numerators and denominators of slates, each (s,) float64; the estimate is the ratio of their sums."""
Estimate = tuple[float, tuple[float, float]]
"""An estimate and its 95 % interval."""
ScoresByMetric = Mapping[str, Scores]
Gain = tuple[float, tuple[float, float]] | tuple[None, None]
"""A relative gain and its 95 % interval, if there are any."""
Key = TypeVar("Key", bound=Hashable)

RESAMPLES: Final = 2000
MOST_SLICES: Final = 40
"""Most slices of one grouping; those with the most slates are shown."""


def compare(
    scores: Mapping[str, ScoresByMetric],
    users: Users,
    baseline: str,
    *,
    weights: Scores,
    groups: Groups | None = None,
) -> list[Row]:
    """A row per encoder, in the order given: weighted means over the slates that have a score.

    Intervals draw users with all of their slates; tests swap the signs of whole users' differences. Gains and
    tests are about the first metric, on the slates of which both the encoder and the baseline have a score;
    without such slates there is neither.

    scores: name to metric to (s,) float64, NaN for none. users: (s,) int64. weights: (s,) float64. groups:
    name of a grouping to the group of each slate, (s,) str.
    """
    first = next(iter(scores[baseline]))
    firsts = {name: of[first] for name, of in scores.items()}
    means = estimates(
        (
            ((name, metric), mean_of(values, weights))
            for name, of in scores.items()
            for metric, values in of.items()
        ),
        users,
    )
    gains, tests = gains_of(firsts, baseline, weights, users), tests_of(firsts, baseline, weights, users)
    slices = slices_of(firsts, weights, users, groups or {})
    return [
        Row(
            encoder=name,
            means={metric: means[name, metric][0] for metric in of},
            intervals={metric: means[name, metric][1] for metric in of},
            gain=gains[name][0],
            gain_interval=gains[name][1],
            p=tests.get(name, (None, None))[0],
            p_holm=tests.get(name, (None, None))[1],
            slices=slices[name],
        )
        for name, of in scores.items()
    ]


def gains_of(scores: ScoresByMetric, baseline: str, weights: Scores, users: Users) -> dict[str, Gain]:
    """Name to the relative gain over the baseline with its interval.

    scores: name to (s,) float64. weights: (s,) float64. users: (s,) int64.
    """
    base = scores[baseline]
    ratios = ((name, ratio_of(own, base, weights)) for name, own in scores.items() if name != baseline)
    found = estimates(ratios, users)
    return {name: gain_of(found.get(name)) for name in scores}


def tests_of(
    scores: ScoresByMetric, baseline: str, weights: Scores, users: Users
) -> dict[str, tuple[float, float]]:
    """Name to the p-value of the difference from the baseline, as it is and by Holm's method.

    Encoders that share no scored slate with the baseline are omitted. scores: name to (s,) float64. weights:
    (s,) float64. users: (s,) int64.
    """
    differences = {name: own - scores[baseline] for name, own in scores.items() if name != baseline}
    p_values = {
        name: p_of(each, weights, users) for name, each in differences.items() if np.isfinite(each).any()
    }
    corrected = holm(list(p_values.values()))
    return {name: (p, adjusted) for (name, p), adjusted in zip(p_values.items(), corrected, strict=True)}


def mean_of(scores: Scores, weights: Scores) -> Fraction:
    """The weighted mean of the slates that have a score. scores, weights: (s,) float64."""
    known = ~np.isnan(scores)
    return np.where(known, weights * scores, 0), np.where(known, weights, 0)


def ratio_of(scores: Scores, others: Scores, weights: Scores) -> Fraction:
    """One weighted mean over another, of the slates that have both scores. All are (s,) float64."""
    both = ~np.isnan(scores + others)
    return np.where(both, weights * scores, 0), np.where(both, weights * others, 0)


def estimates(fractions: Iterable[tuple[Key, Fraction]], users: Users) -> dict[Key, Estimate]:
    """Each fraction of sums, with the 95 % percentile interval of a bootstrap over users (s,) int64.

    Bounds are NaN where a resample of users has a denominator of 0.
    """
    keys, values, drawn = _drawn(fractions, users)
    intervals = (percentile_interval(each, 0.95) for each in drawn.T)
    return dict(zip(keys, zip(values.tolist(), intervals, strict=True), strict=True))


def difference(one: Fraction, other: Fraction, users: Users) -> Estimate:
    """One estimate minus the other; both use the same resamples of users (s,) int64."""
    _, values, drawn = _drawn(enumerate((one, other)), users)
    return float(values[0] - values[1]), percentile_interval(drawn[:, 0] - drawn[:, 1], 0.95)


def _drawn(
    fractions: Iterable[tuple[Key, Fraction]], users: Users, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[list[Key], Scores, Scores]:
    """The keys, their estimates (c,) float64, and those of resampled users (resamples, c) float64."""
    _, codes = np.unique(users, return_inverse=True)
    keys, sums = [], []
    for key, parts in fractions:  # one at a time: all at once would take a hundred times the memory
        keys.append(key)
        sums += [np.bincount(codes, part) for part in parts]
    by_user = np.stack(sums, axis=1, dtype=np.float64)
    drawn = np.concatenate(list(_resampled_sums(by_user, resamples, seed)))
    return keys, _divided(by_user.sum(axis=0)), _divided(drawn)


def _resampled_sums(sums: Scores, resamples: int, seed: int) -> Iterator[Scores]:
    """Yield sums over users drawn with replacement, (draws, c) float64. sums: (users, c) float64."""
    random, users = np.random.default_rng(seed), len(sums)
    at_once = max(1, DRAWN_AT_ONCE // users)
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        drawn = random.integers(0, users, (size, users)) + np.arange(size)[:, None] * users
        times = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users)
        yield times.astype(np.float64) @ sums


def _divided(sums: Scores) -> Scores:
    """Ratios (…, c) float64 of even columns to the odd ones after them, (…, 2c); NaN over 0."""
    above, below = sums[..., ::2], sums[..., 1::2]
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def p_of(differences: Scores, weights: Scores, users: Users) -> float:
    """Two-sided p-value of Fisher's paired randomisation, a user's slates taking one sign together.

    differences: (s,) float64, NaN where one of the two has no score. weights: (s,) float64. users: (s,)
    int64.
    """
    _, codes = np.unique(users, return_inverse=True)
    by_user = np.bincount(codes, np.nan_to_num(weights * differences))
    return randomisation_p(np.asarray(by_user, dtype=np.float64))


def gain_of(ratio: Estimate | None) -> Gain:
    """The ratio minus 1; None for the baseline, and for a ratio without bounds."""
    if ratio is None or np.isnan(ratio[1][0]):
        return NO_GAIN
    value, (low, high) = ratio
    return value - 1, (low - 1, high - 1)


def slices_of(
    scores: Mapping[str, Scores], weights: Scores, users: Users, groups: Groups
) -> dict[str, list[Slice]]:
    """Each encoder's weighted means on the same slices, those of MIN_SLICE slates or more, most slates first.

    NaN where an encoder has no score on a slice. scores: name to (s,) float64. weights: (s,) float64. users:
    (s,) int64. groups: name to (s,) str.
    """
    slices: dict[str, list[Slice]] = {name: [] for name in scores}
    for by, values in groups.items():
        counts = Counter(values.tolist())
        for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_SLICES]:
            if not value or count < MIN_SLICE:
                continue
            part = values == value
            found = estimates(
                ((name, mean_of(of[part], weights[part])) for name, of in scores.items()), users[part]
            )
            for name, (mean, interval) in found.items():
                slices[name].append(Slice(by, value, count, mean, interval))
    return slices

"""Duplicate thresholds, fitted on pairs of listings that were judged to have one photo or two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from calibration.documents import Live
from calibration.fit import Interval, clustered_interval, folds_of
from calibration.judged import known_among
from calibration.judgments import SamePhotos
from calibration.questions import Floats
from console.counts import count_of
from mappings.listing import ListingDocument
from query.search.duplicates import DuplicateThresholds, is_near_identical, parse_hashes, photo_overlaps

Flags = NDArray[np.bool_]

PRECISION: Final = 0.9
"""The least precision, as the lower end of its interval: a product hidden behind another is worse than a
photo shown twice."""

LEAST_GROUPS: Final = 35
"""Groups with pairs of one photo, and with pairs of two, that a fit needs in each training part: no error
among 35 pairs without a common listing is the least that shows PRECISION."""

OVERLAPS: Final = tuple(np.arange(50, 100, 2) / 100)
COSINES: Final = (*(np.arange(85, 98) / 100), 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999)
SAME_COSINES: Final = (0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0)
"""Thresholds to choose from, beside the current ones."""

_Z: Final = 1.96
"""Of a 95 % interval."""


@dataclass(frozen=True)
class PhotoPairs:
    """n judged pairs."""

    overlaps: Floats
    """(n,) of the hashes, as the photos are."""
    turned: Floats
    """(n,) of the hashes, with one of the photos mirrored."""
    cosines: Floats
    """(n,)"""
    same: Flags
    """(n,) whether the photos are one."""
    groups: NDArray[np.int64]
    """(n,) equal for pairs that share a listing, also through other pairs."""

    def __len__(self) -> int:
        return len(self.same)

    def __getitem__(self, rows: Flags) -> PhotoPairs:
        """Those of some rows, (n,)."""
        return PhotoPairs(*(getattr(self, each.name)[rows] for each in fields(self)))

    def found(self, thresholds: DuplicateThresholds) -> Flags:
        """(n,) whether the rule takes each for one photo."""
        return is_near_identical(self.overlaps, self.turned, self.cosines, thresholds)


@dataclass(frozen=True)
class Quality:
    """What thresholds find, with 95 % intervals."""

    recall: Interval
    """Share of the pairs of one photo that are found."""
    precision: Interval
    """Share of the pairs found that are of one photo. 0 to 1 where none is found."""


@dataclass(frozen=True)
class FittedThresholds:
    """Thresholds and what they find in pairs that they were not fitted on."""

    thresholds: DuplicateThresholds | None
    """None where they stay as they are."""
    why: str
    """Why they do; empty otherwise."""
    pairs: int
    """Judged pairs of the live index that have hashes and vectors."""
    same: int
    """Those of one photo."""
    now: Quality | None = None
    """None where there is too little data."""
    fitted: Quality | None = None


def fit_thresholds(pairs: PhotoPairs, now: DuplicateThresholds, *, seed: int, folds: int) -> FittedThresholds:
    """Fit the thresholds. They stay as they are unless held-out pairs show that others are better.

    Better is a larger recall, its interval above 0, or PRECISION where the current ones lack it.
    """
    same = int(pairs.same.sum())
    if why := too_few_groups(pairs, seed, folds):
        return FittedThresholds(None, why, len(pairs), same)
    before, after = pairs.found(now), held_out_found(pairs, now, seed, folds)
    old, new = quality(pairs, before), quality(pairs, after)
    gained = np.subtract(after[pairs.same], before[pairs.same], dtype=float)
    gain = clustered_interval(gained, np.ones(same), pairs.groups[pairs.same])
    if new.precision.low < PRECISION:
        why = f"the precision of others on held-out pairs is not shown to be {PRECISION:g}"
    elif gain.low <= 0 and old.precision.low >= PRECISION:
        why = "others are not shown to find more"
    else:
        return FittedThresholds(best_thresholds(pairs, now), "", len(pairs), same, old, new)
    return FittedThresholds(None, why, len(pairs), same, old, new)


def too_few_groups(pairs: PhotoPairs, seed: int, folds: int) -> str:
    """Return why thresholds cannot be fitted and tried on held-out groups, or nothing."""
    parts = [~held_out for held_out in folds_of(pairs.groups, seed, folds)]
    for kind, chosen in (("one photo", pairs.same), ("two photos", ~pairs.same)):
        least = min(len(np.unique(pairs.groups[chosen & part])) for part in parts)
        more_folds = ", or raise --folds" if len(np.unique(pairs.groups[chosen])) > LEAST_GROUPS else ""
        if least < LEAST_GROUPS:
            return (
                f"a training part has {count_of(least, 'group')} of pairs of {kind} (one for all pairs that "
                f"share listings), expected {LEAST_GROUPS} or more; judge pairs of more listings{more_folds}"
            )
    return ""


def held_out_found(pairs: PhotoPairs, now: DuplicateThresholds, seed: int, folds: int) -> Flags:
    """(n,) which pairs are found by thresholds fitted on the others, by groups."""
    found = np.zeros(len(pairs), dtype=bool)
    for held_out in folds_of(pairs.groups, seed, folds):
        found[held_out] = pairs[held_out].found(best_thresholds(pairs[~held_out], now))
    return found


def best_thresholds(pairs: PhotoPairs, now: DuplicateThresholds) -> DuplicateThresholds:
    """Return the thresholds with the best recall under PRECISION; the current ones if there are none.

    Of equal ones the fewest errors, then the nearest to the current ones: a threshold without effect stays.
    """
    best, most = now, (0, 0, 0.0)
    for thresholds in grid(now):
        found = pairs.found(thresholds)
        right = int(np.count_nonzero(found & pairs.same))
        wrong = int(np.count_nonzero(found)) - right
        value = (right, -wrong, -distance(thresholds, now))
        if value > most and share_of(pairs.same[found], pairs.groups[found]).low >= PRECISION:
            best, most = thresholds, value
    return best


def grid(now: DuplicateThresholds) -> Iterator[DuplicateThresholds]:
    """Yield the thresholds to choose from. That of mirrored photos, which few pairs have, stays."""
    overlaps, cosines = {*OVERLAPS, now.overlap}, {*COSINES, now.cosine}
    for values in product(overlaps, cosines, {*SAME_COSINES, now.same_cosine}):
        overlap, cosine, same_cosine = map(float, values)
        yield replace(now, overlap=overlap, cosine=cosine, same_cosine=same_cosine)


def distance(one: DuplicateThresholds, other: DuplicateThresholds) -> float:
    """Return the sum of the differences."""
    return float(np.abs(np.subtract(astuple(one), astuple(other))).sum())


def quality(pairs: PhotoPairs, found: Flags) -> Quality:
    """Return the quality of a rule that finds some of the pairs, (n,)."""
    return Quality(
        share_of(found[pairs.same], pairs.groups[pairs.same]),
        share_of(pairs.same[found], pairs.groups[found]),
    )


def share_of(chosen: Flags, groups: NDArray[np.int64]) -> Interval:
    """Return the share of the chosen ones among pairs (n,) with its 95 % interval, 0 to 1 of nothing.

    Wilson's interval (1927) with Kish's effective number of pairs (1965), (sum of sizes)² / sum of sizes², as
    if the pairs of a group all agreed: six relistings of one photo are 15 pairs, and count as one.
    """
    if not len(chosen):
        return Interval(np.nan, 0.0, 1.0)
    sizes = np.unique(groups, return_counts=True)[1]
    share, count = float(chosen.mean()), len(chosen) ** 2 / float(np.square(sizes).sum())
    z2 = _Z**2 / count
    middle, half = share + z2 / 2, _Z * np.sqrt(share * (1 - share) / count + z2 / count / 4)
    return Interval(share, float((middle - half) / (1 + z2)), float((middle + half) / (1 + z2)))


def photo_pairs(live: Live, judged: SamePhotos) -> PhotoPairs:
    """Read the hashes and vectors of judged pairs from the live index; pairs without them are left out.

    Raises:
        NoLiveIndex, SearchUnavailable
    """
    ids = {item_id for pair in judged for item_id in pair}
    known = {item_id: each for item_id, each in known_among(live, ids).usable.items() if has_hash(each)}
    pairs = [pair for pair in sorted(judged) if known.keys() >= set(pair)]
    compared = [compare(known[one], known[other]) for one, other in pairs]
    overlaps, turned, cosines = np.array(compared, dtype=np.float64).reshape(-1, 3).T
    same = np.array([judged[pair] for pair in pairs], dtype=bool)
    return PhotoPairs(overlaps, turned, cosines, same, groups_of(pairs))


def has_hash(document: ListingDocument) -> bool:
    """Whether a hash of the present kind is known, with any bits set."""
    return bool(parse_hashes([document.image_hash]).any())


def compare(one: ListingDocument, other: ListingDocument) -> tuple[float, float, float]:
    """Return both overlaps of the hashes and the cosine of two listings that have hashes and vectors."""
    overlaps, turned = photo_overlaps(parse_hashes([one.image_hash, other.image_hash]))
    return float(overlaps[0, 1]), float(turned[0, 1]), float(np.dot(one.vector or (), other.vector or ()))


def groups_of(pairs: Iterable[tuple[str, str]]) -> NDArray[np.int64]:
    """(n,) a number for each pair, equal for pairs that are connected by listings."""
    names, ends = np.unique(np.array(list(pairs), dtype=str).reshape(-1, 2), return_inverse=True)
    one, other = ends.reshape(-1, 2).T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(names), len(names)))
    return np.asarray(connected_components(graph, directed=False)[1][one], dtype=np.int64)

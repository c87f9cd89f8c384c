"""Duplicate thresholds fitted to pairs of one photo and of two."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.documents import Live
from calibration.duplicates import (
    LEAST_GROUPS,
    PRECISION,
    FittedThresholds,
    PhotoPairs,
    Quality,
    best_thresholds,
    fit_thresholds,
    groups_of,
    photo_pairs,
    quality,
    share_of,
)
from calibration.fit import Interval
from calibration.report import duplicate_lines, text
from ml.data.synthetic_photos import synthetic_photo
from ml.inference.gradient_hash import gradient_hash
from query.search.duplicates import DuplicateThresholds
from tests.factories import make_document, make_identity
from tests.unit.calibration.index import reader_of
from tests.unit.calibration.test_calibrate import NOW, judgments, shop

DEFAULT = DuplicateThresholds(0.7, 0.93, 0.9995, 0.9)
PHOTOS = [synthetic_photo(np.random.default_rng(seed), 96, 96) for seed in range(2)]


def pairs(overlap: float, cosine: float, count: int = 150) -> PhotoPairs:
    """As many pairs of one photo as of two; those of one have at least this overlap and cosine.

    Of those of two, half have a smaller overlap and half a smaller cosine.
    """
    rng = np.random.default_rng(5)
    same = np.arange(2 * count) < count
    overlaps, cosines = rng.uniform(overlap, 1, 2 * count), rng.uniform(cosine, 0.999, 2 * count)
    lower = np.arange(2 * count) % 2 == 0
    overlaps[~same & lower] = rng.uniform(overlap - 0.2, overlap - 0.02, count // 2)
    cosines[~same & ~lower] = rng.uniform(cosine - 0.1, cosine - 0.005, count // 2)
    return PhotoPairs(overlaps, np.zeros(2 * count), cosines, same, np.arange(2 * count))


def test_thresholds_that_find_more_are_fitted() -> None:
    """Crops of another marketplace have overlaps from 0.6 on, its encoder cosines from 0.96 on."""
    fitted = fit_thresholds(pairs(0.6, 0.96), DEFAULT, seed=0, folds=5)
    assert fitted.thresholds is not None
    assert 0.58 <= fitted.thresholds.overlap <= 0.62
    assert 0.955 <= fitted.thresholds.cosine <= 0.965
    assert fitted.thresholds.same_cosine == DEFAULT.same_cosine
    assert fitted.now is not None
    assert fitted.fitted is not None
    assert fitted.now.recall.mean < 0.85
    assert fitted.now.precision.low < 0.9
    assert fitted.fitted.recall.mean > 0.97
    assert fitted.fitted.precision.low > 0.9
    assert (fitted.pairs, fitted.same) == (300, 150)


def test_thresholds_that_find_no_more_stay() -> None:
    """The current ones separate the pairs."""
    fitted = fit_thresholds(pairs(0.7, 0.93), DEFAULT, seed=0, folds=5)
    assert fitted.thresholds is None
    assert fitted.why == "others are not shown to find more"
    assert duplicate_lines(fitted, DEFAULT)[0] == (
        "Duplicate thresholds: unchanged (overlap 0.7, cosine 0.93, same_cosine 0.9995, "
        "mirrored_cosine 0.9); others are not shown to find more"
    )


def test_pairs_that_nothing_separates_change_nothing() -> None:
    """A found pair is of two photos as often as of one, whatever the thresholds."""
    rng = np.random.default_rng(1)
    given = PhotoPairs(rng.random(400), np.zeros(400), rng.random(400), rng.random(400) < 0.5, np.arange(400))
    fitted = fit_thresholds(given, DEFAULT, seed=0, folds=5)
    assert fitted.thresholds is None
    assert fitted.why.startswith("the precision of others")
    assert best_thresholds(given, DEFAULT) == DEFAULT


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (pairs(0.6, 0.96, 42), r"3\d groups of pairs of one photo"),
        (pairs(0.6, 0.96)[np.arange(300) < 150], "0 groups of pairs of two photos"),
        (replace(pairs(0.6, 0.96), groups=np.zeros(300, int)), "0 groups of pairs of one photo"),
        (pairs(0.6, 0.96)[np.zeros(300, bool)], "0 groups of pairs of one photo"),
    ],
    ids=["few", "of one photo only", "one group", "none in the index"],
)
def test_too_few_groups_change_nothing(given: PhotoPairs, found: str) -> None:
    """And the report says of what there are too few."""
    fitted = fit_thresholds(given, DEFAULT, seed=0, folds=5)
    assert (fitted.thresholds, fitted.now, fitted.fitted) == (None, None, None)
    lines = duplicate_lines(fitted, DEFAULT)
    assert re.search(f"a training part has {found} .*expected 35 or more", lines[0])
    assert lines[1:] == [f"{len(given)} pairs judged by same_photo, {given.same.sum()} of one photo"]


def test_more_folds_are_advised_only_where_they_can_help() -> None:
    """Not where there are too few groups in all."""
    few = fit_thresholds(pairs(0.6, 0.96, LEAST_GROUPS - 1), DEFAULT, seed=0, folds=5)
    assert few.why.endswith("expected 35 or more; judge pairs of more listings")


def test_a_training_part_is_large_enough_to_show_the_precision() -> None:
    """Half of 60 groups cannot show it, four fifths can, and all of the pairs found are right."""
    halves, fifths = (fit_thresholds(pairs(0.6, 0.96, 60), DEFAULT, seed=0, folds=each) for each in (2, 5))
    assert halves.why.endswith("judge pairs of more listings, or raise --folds")
    assert fifths.thresholds is not None
    assert (
        LEAST_GROUPS / (LEAST_GROUPS + 1.96**2)
        > PRECISION
        > (LEAST_GROUPS - 1) / (LEAST_GROUPS - 1 + 1.96**2)
    )


def test_relistings_of_few_photos_do_not_show_a_precision() -> None:
    """The 150 pairs of one photo are of ten photos, each relisted six times."""
    given = pairs(0.6, 0.96)
    groups = np.where(given.same, 1000 + np.arange(300) % 10, given.groups)
    right = given.found(DEFAULT) & given.same
    assert quality(given, right).precision.low > 0.95
    assert quality(replace(given, groups=groups), right).precision.low < 0.75
    assert best_thresholds(replace(given, groups=groups), DEFAULT) == DEFAULT


def test_a_larger_same_cosine_is_fitted_where_the_pairs_tell() -> None:
    """An encoder that gives 0.9995 to different products."""
    given = pairs(0.7, 0.93)
    other = np.flatnonzero(~given.same)[:60]
    given.cosines[other], given.overlaps[other] = 0.9997, 0.1
    fitted = fit_thresholds(given, DEFAULT, seed=0, folds=5)
    assert fitted.thresholds == replace(DEFAULT, same_cosine=0.9999)


def test_shares_have_the_interval_of_wilson() -> None:
    """35 of 35 is the least that shows a precision of 0.9; nothing found shows none."""
    assert share_of(np.ones(35, bool), np.arange(35)).low == pytest.approx(0.901, abs=1e-3)
    assert share_of(np.ones(34, bool), np.arange(34)).low < 0.9
    eight = np.arange(10) < 8
    assert share_of(eight, np.arange(10)) == pytest.approx((0.8, 0.490, 0.943), abs=1e-3)
    found = quality(pairs(0.6, 0.96), np.zeros(300, bool))
    assert (found.recall.mean, found.precision[1:]) == (0, (0, 1))


def test_a_share_counts_groups() -> None:
    """Each pair three times is no more evidence, and a large group counts as little more than one pair."""
    eight = np.arange(10) < 8
    tripled = share_of(np.tile(eight, 3), np.tile(np.arange(10), 3))
    assert tripled == pytest.approx(share_of(eight, np.arange(10)))
    large = share_of(np.arange(1020) < 1000, np.maximum(0, np.arange(1020) - 999))
    assert large.mean == pytest.approx(0.98, abs=1e-3)
    assert large.low < 0.25


def test_pairs_are_grouped_by_common_listings() -> None:
    """So that no photo is held out and fitted on."""
    groups = groups_of([("a", "b"), ("c", "d"), ("b", "e"), ("e", "f")])
    assert groups.tolist() == [groups[0], groups[1], groups[0], groups[0]]
    assert groups[0] != groups[1]
    assert groups_of([]).tolist() == []


def test_pairs_are_read_from_the_live_index() -> None:
    """Mirrored, a photo overlaps with itself. Without a hash or vector a pair does not count."""
    hashes = [gradient_hash(PHOTOS[0]), gradient_hash(PHOTOS[0][:, ::-1]), gradient_hash(PHOTOS[1])]
    names = ("a", "b", "c", "old", "bare")
    documents = [
        make_document(item_id=name).model_copy(update={"image_hash": image_hash})
        for name, image_hash in zip(names, [*hashes, "0123456789abcdef", hashes[0]], strict=True)
    ]
    documents[4] = documents[4].model_copy(update={"vector": None})
    live = Live(reader_of(*documents), "x", make_identity())
    judged = {
        ("a", "b"): True,
        ("a", "c"): False,
        ("a", "old"): True,
        ("a", "bare"): True,
        ("a", "gone"): True,
    }
    found = photo_pairs(live, judged)
    assert found.same.tolist() == [True, False]
    assert found.turned[0] > 0.95
    assert max(found.overlaps[1], found.turned[1]) < 0.5
    assert found.cosines.tolist() == pytest.approx([1, 1])
    assert len(photo_pairs(live, {})) == 0


def test_fitted_thresholds_are_reported() -> None:
    """With the current ones and what both find."""
    found = Quality(Interval(0.5, 0.352, 0.648), Interval(1, 0.8389, 1))
    fitted = FittedThresholds(DuplicateThresholds(0.6, 0.9, 0.999, 0.8), "", 2400, 1200, found, found)
    assert duplicate_lines(fitted, DEFAULT) == [
        "Duplicate thresholds: overlap 0.6, cosine 0.9, same_cosine 0.999, mirrored_cosine 0.8 "
        "(now overlap 0.7, cosine 0.93, same_cosine 0.9995, mirrored_cosine 0.9)",
        "2,400 pairs judged by same_photo, 1,200 of one photo; found when not fitted on",
        "now     recall 0.5000 (0.3520 to 0.6480), precision 1.0000 (0.8389 to 1.0000)",
        "fitted  recall 0.5000 (0.3520 to 0.6480), precision 1.0000 (0.8389 to 1.0000)",
    ]


def test_judgments_without_same_photo_leave_the_thresholds() -> None:
    """The file has those of the ranking in use, and the report does not mention them."""
    done = calibrate(shop(60), judgments(60), NOW, fixed={}, folds=4, seed=0)
    assert done.duplicates is None
    assert "same_photo" not in text(done)
    assert "Duplicate" not in text(done)
    assert done.file("judged.csv").ranking("x").duplicates == NOW.duplicates

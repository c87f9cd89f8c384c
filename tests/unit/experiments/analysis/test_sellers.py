"""The seller side of logs in which every number is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.analysis.log.read import open_log
from experiments.analysis.sellers import SellerSide, concentration, gini, gini_difference, seller_side
from tests.unit.experiments.analysis.log.logs import (
    Event,
    at,
    make_event,
    make_experiment,
    make_items,
    make_slate,
    make_tap,
    write_log,
)


def side_of(folder: Path, impressions: list[Event], **others: list[Event]) -> SellerSide:
    with open_log(write_log(folder, impressions, **others), threads=1) as log:
        return seller_side(log.clean(make_experiment(), now=at(13)), resamples=50)


def test_exposure_and_sales_are_counted_by_seller_and_arm(tmp_path: Path) -> None:
    """Every arm over the sellers of all arms; an item of an unknown seller is of none of them."""
    shown = make_items("x") + make_items("y", seller_id="s2") + make_items("z", seller_id=None)
    slates = [make_slate("u", items=shown), make_slate("u"), make_slate("v", "treatment")]
    sold = [
        make_event("u", seller_id="s3", price=5.0),
        make_event("v", seller_id="s1", price=5.0),
        make_event("v", seller_id="s1", price=5.0, time=at(0.1)),
    ]
    side = side_of(tmp_path, [*slates, make_slate("w", None)], purchases=sold)
    control, treatment = side.arms["control"], side.arms["treatment"]
    assert side.sellers == 3
    assert (control.exposure.total, control.sales.total) == (5, 1)
    assert control.exposure.gini == pytest.approx((2 * (1 * 0 + 2 * 1 + 3 * 4) / 5 - 4) / 3)
    assert control.exposure.top_share == pytest.approx(4 / 5)
    assert (treatment.exposure.total, treatment.sales.total) == (3, 1)
    assert treatment.exposure.gini == pytest.approx(2 / 3)


def test_shares_by_price_and_by_age_of_the_listing(tmp_path: Path) -> None:
    """Of prices, between the quartiles of the items shown; of ages, when they were shown or sold."""
    ages = [at(-0.4), at(-5), at(-29), at(-31), None]
    items = [
        make_items("abcde"[n], price=100.0 * (n + 1), created_at=listed)[0] | {"position": n + 1}
        for n, listed in enumerate(ages)
    ]
    sold = [
        make_event("u", item_id=item, price=price, seller_id="s1")
        for item, price in (("a", 450.0), ("z", 1.0))
    ]
    control = side_of(tmp_path, [make_slate("u", items=items)], purchases=sold).arms["control"]
    assert control.exposure_by["age"] == dict.fromkeys(
        ("under 1 day", "1 to 7 days", "7 to 30 days", "over 30 days", "unknown"), 0.2
    )
    assert control.sales_by["age"] == {"1 to 7 days": 0.5, "unknown": 0.5}
    assert control.exposure_by["price"] == {
        "under 200": 0.2,
        "200 to 300": 0.2,
        "300 to 400": 0.2,
        "400 and more": 0.4,
    }
    assert control.sales_by["price"] == {"under 200": 0.5, "400 and more": 0.5}


def test_new_listings_wait_for_their_first_impression(tmp_path: Path) -> None:
    """In each arm from the listing on; those from before the start are not new."""
    new = {"created_at": at(1)}
    slates = [
        make_slate("u", items=make_items("ab", **new), time=at(1, hours=2)),
        make_slate("u", items=make_items("abc", **new), time=at(1, hours=6)),
        make_slate("u", items=make_items("z"), time=at(2)),
        make_slate("v", "treatment", items=make_items("d", **new), time=at(1, hours=10)),
    ]
    side = side_of(tmp_path, slates)
    waiting = side.arms["control"].waiting
    assert (waiting.shown, waiting.never_shown_share) == (3, pytest.approx(1 / 4))
    assert waiting.quartiles_hours == pytest.approx((2, 2, 4))
    assert side.arms["treatment"].waiting.quartiles_hours == pytest.approx((10, 10, 10))


def test_excluded_slates_are_no_exposure(tmp_path: Path) -> None:
    """Repeated slates, users in two arms and testers."""
    slate = make_slate("u")
    excluded = [
        slate,
        slate | {"event_id": "again"},
        make_slate("both"),
        make_slate("both", "treatment"),
        make_slate("tester", override=True),
    ]
    side = side_of(tmp_path, [slate, *excluded], taps=[make_tap(slate)])
    assert side.arms["control"].exposure.total == 3
    assert side.arms["treatment"].exposure.total == 0


def test_without_exposure_there_are_no_figures(tmp_path: Path) -> None:
    """No shares, no curve, no difference."""
    side = side_of(tmp_path, [make_slate("u", None)])
    control = side.arms["control"]
    assert (side.sellers, control.exposure.total, control.exposure.lorenz) == (0, 0, ())
    assert np.isnan(control.exposure.gini)
    assert control.exposure_by == control.sales_by == {"price": {}, "age": {}}
    assert control.waiting.shown == 0
    assert np.isnan(control.waiting.never_shown_share)
    assert np.isnan(side.against_control["treatment"].difference)


def test_the_lorenz_curve_ends_at_one() -> None:
    """Equal sellers lie on the diagonal; half of the sellers with nothing lie on the floor."""
    assert concentration(np.full(40, 3)).lorenz[10] == pytest.approx((0.5, 0.5))
    curve = concentration(np.array([0, 0, 5, 5])).lorenz
    assert (curve[0], curve[10], curve[-1]) == ((0, 0), pytest.approx((0.5, 0)), (1, 1))


def test_gini_equals_the_mean_difference_of_all_pairs() -> None:
    """Its definition: over twice the mean. Weights are repetitions."""
    values = np.sort(np.random.default_rng(0).integers(0, 100, 50))
    expected = np.abs(values[:, None] - values).mean() / (2 * values.mean())
    assert gini(values, np.ones(50)) == pytest.approx(expected)
    weights = np.arange(50) % 3
    assert gini(values, weights) == pytest.approx(gini(np.repeat(values, weights), np.ones(weights.sum())))


def test_an_arm_that_favours_a_few_sellers_differs_and_the_same_arm_does_not() -> None:
    """Of as many exposures."""
    random = np.random.default_rng(1)
    rates = random.lognormal(0, 1, 2000)
    control = random.poisson(2 * rates)
    same = gini_difference(random.poisson(2 * rates), control, random, 200)
    assert same.low < 0 < same.high
    favoured = gini_difference(random.poisson(2 * rates**1.3), control, random, 200)
    assert 0 < favoured.low < favoured.difference < favoured.high


def test_arms_of_unequal_size_are_compared_over_equally_many_users(tmp_path: Path) -> None:
    """Each user sees one seller: a tenth of the users knn fewer sellers, though both arms show alike."""
    random = np.random.default_rng(2)
    slates = [
        make_slate(f"{arm}{n}", arm, items=make_items("a", item_id=f"i{seller}", seller_id=f"s{seller}"))
        for arm, users in (("control", 2000), ("treatment", 200))
        for n, seller in enumerate(random.integers(0, 100, users))
    ]
    side = side_of(tmp_path, slates)
    whole = side.arms["treatment"].exposure.gini - side.arms["control"].exposure.gini
    matched = side.against_control["treatment"]
    assert whole > 0.2
    assert abs(matched.difference) < 0.08
    assert matched.low < 0 < matched.high

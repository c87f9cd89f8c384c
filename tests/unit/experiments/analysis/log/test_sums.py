"""Sums by arm of logs in which every number is known."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from experiments.analysis.log.read import open_log
from experiments.analysis.moments import COLUMNS, Moments
from experiments.analysis.verdict.breakdowns import BREAKDOWNS
from tests.unit.experiments.analysis.log.logs import (
    START,
    at,
    make_event,
    make_experiment,
    make_items,
    make_slate,
    make_tap,
    write_log,
)

NOW = at(13)


def totals(moments: Moments) -> dict[str, float]:
    """The columns that are not 0."""
    return {name: moments.total(name) for name in COLUMNS if moments.total(name)}


def test_totals_of_a_user_run_from_the_first_exposure(tmp_path: Path) -> None:
    """What the arm was shown counts, with what the user did since; what came before does not."""
    first = make_slate("u", time=at(1), took_ms=40.0)
    empty = make_slate("u", time=at(2), took_ms=20.0, items=[])
    elsewhere = make_slate("u", None, time=at(2.5))
    write_log(
        tmp_path,
        [first, empty, elsewhere],
        taps=[make_tap(first, "b"), make_tap(first, "c"), make_tap(elsewhere)],
        item_views=[make_event("u", time=at(0.5)), make_event("u", time=at(1.5)), make_event("u", first)],
        purchases=[
            make_event("u", first, item_id="b", price=700.0),
            make_event("u", first, item_id="a", price=300.0),
            make_event("u", time=at(3), price=50.0),
            make_event("u", time=at(0.9), price=8000.0),
        ],
        complaints=[make_event("u", elsewhere, reason="fake")],
    )
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(), now=NOW)
        assert totals(clean.moments()["control"]) == {
            "slates": 2,
            "taps": 2,
            "views": 2,
            "purchases": 3,
            "tap_purchases": 1,
            "spend": 1050,
            "empty_slates": 1,
            "took_ms": 60,
            "timed_slates": 2,
            "complaints": 1,
        }
        assert clean.exclusions == ()


def test_the_pre_period_ends_with_the_start_whenever_the_exposure_was(tmp_path: Path) -> None:
    """Between the start and a late exposure nothing counts on either side."""
    before = make_slate("u", None, time=at(-1))
    between = make_slate("u", None, time=at(1))
    write_log(
        tmp_path,
        [before, between, make_slate("u", time=at(5)), make_slate("stranger", None, time=at(-1))],
        taps=[make_tap(before), make_tap(between)],
        item_views=[make_event("u", time=at(-2)), make_event("u", time=at(2))],
        purchases=[make_event("u", time=at(-2), price=10.0), make_event("u", time=at(2), price=10.0)],
    )
    with open_log(tmp_path) as log:
        moments = log.clean(make_experiment(), now=NOW).moments()
    assert totals(moments["control"]) == {
        "slates": 1,
        "pre_slates": 1,
        "pre_taps": 1,
        "pre_views": 1,
        "pre_purchases": 1,
    }
    assert moments["treatment"].count == 0


def test_events_of_an_exposure_count_even_if_a_clock_dates_them_before_it(tmp_path: Path) -> None:
    """A purchase from the arm's slate is a consequence of it; it belongs to the day of the exposure."""
    slate = make_slate("u", time=at(1))
    early = at(1) - timedelta(minutes=1)
    write_log(
        tmp_path,
        [slate],
        taps=[make_tap(slate, time=early)],
        purchases=[make_event("u", slate, time=early, price=5.0)],
    )
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(), now=NOW)
        assert totals(clean.moments()["control"])["tap_purchases"] == 1
        assert totals(clean.moments_up_to_each_day()[date(2026, 11, 3)]["control"])["taps"] == 1


def test_an_experiment_without_a_user_has_empty_moments(tmp_path: Path) -> None:
    """Every arm is there, with no users; days and slices are empty."""
    write_log(tmp_path, [make_slate("u", None)])
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(), now=NOW)
        assert {arm: each.count for arm, each in clean.moments().items()} == {"control": 0, "treatment": 0}
        assert clean.users_per_arm() == {"control": 0, "treatment": 0}
        assert clean.assigned().users.size == 0
        assert clean.moments_up_to_each_day() == {}
        assert all(clean.moments_by(each) == {} for each in BREAKDOWNS)
        assert np.isnan(clean.latencies()["control"]["p50"])


def test_users_are_named_with_their_arm(tmp_path: Path) -> None:
    """So that the verdict can compare with what the assignment says."""
    write_log(
        tmp_path, [make_slate("v", "treatment"), make_slate("u"), make_slate("u"), make_slate("w", None)]
    )
    with open_log(tmp_path) as log:
        assigned = log.clean(make_experiment(), now=NOW).assigned()
    assert list(zip(assigned.users, assigned.arms, strict=True)) == [("u", "control"), ("v", "treatment")]


def test_latencies_are_quantiles_of_the_timed_slates(tmp_path: Path) -> None:
    """Of 1 to 101 ms the median is 51; another arm has none."""
    slates = [make_slate("u", took_ms=float(n)) for n in range(1, 102)]
    write_log(tmp_path, [*slates, make_slate("u"), make_slate("v", "treatment")])
    with open_log(tmp_path) as log:
        latencies = log.clean(make_experiment(), now=NOW).latencies()
    assert latencies["control"] == {"p50": 51, "p95": 96, "p99": 100}
    assert np.isnan(latencies["treatment"]["p95"])


def random_log(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Sixty users over twelve days, four before the start, in two arms; written and returned."""
    random = Random(5)
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for user in (f"u{n}" for n in range(60)):
        arm = random.choice(["control", "treatment"])
        for _ in range(random.randrange(1, 9)):
            day = random.uniform(-4, 8)
            slate = make_slate(
                user,
                arm if day >= 0 else None,
                time=at(day),
                took_ms=random.choice([None, 10.0, 30.0]),
                query_category=[random.choice(["Bags", "Shoes"])],
                query_price=random.choice([100.0, 200.0, 300.0, 400.0]),
                items=make_items(random.choice(["abc", ""])),
            )
            events["impressions"].append(slate)
            if slate["items"] and random.random() < 0.5:
                tap = make_tap(slate, random.choice("abc"))
                events["taps"].append(tap)
                events["item_views"].append(make_event(user, slate, item_id=tap["item_id"]))
                if random.random() < 0.5:
                    events["purchases"].append(
                        make_event(user, slate, item_id=random.choice("abc"), price=random.uniform(10, 900))
                    )
        events["item_views"].append(make_event(user, time=at(random.uniform(-4, 8))))
    write_log(
        folder, events["impressions"], **{name: events[name] for name in events if name != "impressions"}
    )
    return events


def count_by_hand(
    events: dict[str, list[dict[str, Any]]], until: date | None = None, category: str | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """Arm to user to totals, event by event in Python."""
    slates = {each["slate_id"]: each for each in events["impressions"]}
    arms = {each["user_id"]: each["arms"][0][4:] for each in events["impressions"] if each["arms"]}
    first = {
        user: min(each["time"] for each in events["impressions"] if each["arms"] and each["user_id"] == user)
        for user in arms
    }
    found: dict[str, dict[str, dict[str, float]]] = {"control": {}, "treatment": {}}
    tapped = {(each["slate_id"], each["item_id"]) for each in events["taps"]}

    def add(event: dict[str, Any], column: str, amount: float = 1.0) -> None:
        user, slate = event["user_id"], slates.get(event.get("slate_id") or "")
        if user not in arms or (category and (not slate or slate["query_category"] != [category])):
            return
        if until and (event["time"].date() > until or first[user].date() > until):
            return
        own = found[arms[user]].setdefault(user, defaultdict(float))
        if event["time"] >= first[user]:
            own[column] += amount
        elif event["time"] < START and f"pre_{column}" in COLUMNS:
            own[f"pre_{column}"] += amount

    for slate in events["impressions"]:
        add(slate, "slates")
        add(slate, "empty_slates", float(not slate["items"]))
        add(slate, "took_ms", slate["took_ms"] or 0.0)
        add(slate, "timed_slates", float(slate["took_ms"] is not None))
    for kind, column in (("taps", "taps"), ("item_views", "views"), ("purchases", "purchases")):
        for event in events[kind]:
            add(event, column)
    for event in events["purchases"]:
        add(event, "spend", event["price"])
        add(event, "tap_purchases", float((event["slate_id"], event["item_id"]) in tapped))
    return found


def assert_same(moments: dict[str, Moments], by_hand: dict[str, dict[str, dict[str, float]]]) -> None:
    """Counts, means and covariances equal NumPy's of the totals counted by hand, of users shown a slate."""
    for arm, users in by_hand.items():
        rows = [each for each in users.values() if each["slates"]]
        expected = Moments.of({name: np.array([each[name] for each in rows]) for name in COLUMNS})
        assert moments[arm].count == expected.count > 5
        np.testing.assert_allclose(moments[arm].mean, expected.mean, rtol=1e-12)
        np.testing.assert_allclose(moments[arm].covariance, expected.covariance, rtol=1e-9, atol=1e-9)


def test_moments_equal_numpy_on_the_same_users(tmp_path: Path) -> None:
    """Of totals counted in Python event by event."""
    events = random_log(tmp_path)
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(), now=NOW)
        assert clean.exclusions == ()
        assert_same(clean.moments(), count_by_hand(events))


def test_moments_up_to_a_day_equal_those_of_a_log_that_ends_with_it(tmp_path: Path) -> None:
    """For every day, both those counted in Python and those of `until`."""
    events = random_log(tmp_path)
    with open_log(tmp_path) as log:
        by_day = log.clean(make_experiment(), now=NOW).moments_up_to_each_day()
        assert list(by_day) == [START.date() + timedelta(days=n) for n in range(8)]
        for day in list(by_day)[1:]:
            assert_same(by_day[day], count_by_hand(events, until=day))
        early = log.clean(make_experiment(), until=date(2026, 11, 4)).moments()["control"]
    np.testing.assert_allclose(by_day[date(2026, 11, 4)]["control"].covariance, early.covariance, atol=1e-9)


def test_days_alone_add_up_to_the_whole(tmp_path: Path) -> None:
    """Events of every day are counted once."""
    random_log(tmp_path)
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(), now=NOW)
        days = clean.moments_by("day").values()
        for column in ("slates", "taps", "views", "spend"):
            whole = clean.moments()["treatment"].total(column)
            assert sum(day["treatment"].total(column) for day in days) == pytest.approx(whole)


def pair_of(moments: Moments, one: str, other: str) -> tuple[float, ...]:
    """Both means, both variances, and the covariance of two columns."""
    at = [COLUMNS.index(one), COLUMNS.index(other)]
    mean, covariance = moments.mean[at], moments.covariance[np.ix_(at, at)]
    return *mean.tolist(), *covariance.diagonal().tolist(), float(covariance[0, 1])


def test_a_day_alone_is_of_all_users_exposed_by_then(tmp_path: Path) -> None:
    """Zeros included: of two users, one buys for 6 on the third day, so the mean is 3 and the variance 18."""
    write_log(
        tmp_path,
        [make_slate("u", time=at(0)), make_slate("v", time=at(1)), make_slate("v", None, time=at(-1))],
        purchases=[make_event("u", time=at(2), price=6.0), make_event("u", time=at(-1), price=9.0)],
    )
    with open_log(tmp_path) as log:
        days = log.clean(make_experiment(), now=NOW).moments_by("day")
    assert [day["control"].count for day in days.values()] == [1, 2, 2]
    third = days["2026-11-04"]["control"]
    assert pair_of(third, "spend", "pre_purchases") == pytest.approx((3, 0.5, 18, 0.5, 3))
    assert pair_of(third, "slates", "pre_slates") == pytest.approx((0, 0.5, 0, 0.5, 0))


def test_more_visits_do_not_lower_purchases_per_user(tmp_path: Path) -> None:
    """Both arms buy the same; the treatment's users look at pages on every day too."""
    slates = [
        make_slate(f"{arm}{n}", arm, time=at(0.1)) for arm in ("control", "treatment") for n in range(4)
    ]
    write_log(
        tmp_path,
        slates,
        item_views=[make_event(f"treatment{n}", time=at(day)) for n in range(4) for day in (1, 2)],
        purchases=[make_event(f"{arm}0", time=at(2), price=5.0) for arm in ("control", "treatment")],
    )
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(), now=NOW)
        third = clean.moments_by("day")["2026-11-04"]
        later = clean.moments_by("day_since_first")["2"]
    for moments in (third, later):
        assert [pair_of(each, "purchases", "spend")[:2] for each in moments.values()] == [(0.25, 1.25)] * 2


def test_moments_by_category_are_of_what_came_from_its_slates(tmp_path: Path) -> None:
    """Before the start too; events without a slate have no category."""
    events = random_log(tmp_path)
    with open_log(tmp_path) as log:
        found = log.clean(make_experiment(), now=NOW).moments_by("category")
    assert list(found) == ["Bags", "Shoes"]
    for category, moments in found.items():
        assert_same(moments, count_by_hand(events, category=category))


def test_price_bands_are_quartiles_over_the_slates(tmp_path: Path) -> None:
    """A slate without a price is not of a band."""
    prices = [100.0, 200.0, 300.0, 400.0, 1000.0, 2000.0, 3000.0, 4000.0, None]
    write_log(tmp_path, [make_slate("u", query_price=price) for price in prices])
    with open_log(tmp_path) as log:
        bands = log.clean(make_experiment(), now=NOW).moments_by("price")
    assert {band: each["control"].total("slates") for band, each in bands.items()} == {
        "under 200": 1,
        "200 to 400": 2,
        "400 to 2,000": 2,
        "2,000 and more": 3,
        "unknown": 1,
    }


def test_new_users_are_those_without_an_event_before_the_start(tmp_path: Path) -> None:
    """A single purchase makes one returning."""
    write_log(
        tmp_path,
        [make_slate("new"), make_slate("old")],
        purchases=[make_event("old", time=at(-3), price=1.0), make_event("new", time=at(1), price=1.0)],
    )
    with open_log(tmp_path) as log:
        found = log.clean(make_experiment(), now=NOW).moments_by("new_user")
    assert {name: each["control"].total("purchases") for name, each in found.items()} == {
        "new": 1,
        "returning": 0,
    }


def test_days_since_the_exposure_are_counted_from_each_users_own(tmp_path: Path) -> None:
    """Of those exposed so long before the last day: one of twelve days, one of seven."""
    write_log(
        tmp_path, [make_slate("u", time=at(day)) for day in (1, 3, 11.5)] + [make_slate("v", time=at(6))]
    )
    with open_log(tmp_path) as log:
        found = log.clean(make_experiment(), now=NOW).moments_by("day_since_first")
    assert {days: each["control"].count for days, each in found.items()} == {
        str(days): 2 if days <= 5 else 1 for days in range(11)
    }
    assert {days for days, each in found.items() if each["control"].total("slates")} == {"0", "2", "10"}


def test_an_unknown_breakdown_is_refused(tmp_path: Path) -> None:
    """The message lists those that are known."""
    write_log(tmp_path, [make_slate("u")])
    with (
        open_log(tmp_path) as log,
        pytest.raises(ValueError, match="unknown breakdown 'moon'; known: day, day_since_first"),
    ):
        log.clean(make_experiment(), now=NOW).moments_by("moon")


def test_slates_without_a_price_are_in_no_band(tmp_path: Path) -> None:
    """As in a log whose items were not indexed when the events came."""
    write_log(tmp_path, [make_slate("u", query_price=None)])
    with open_log(tmp_path) as log:
        found = log.clean(make_experiment(), now=NOW).moments_by("price")
    assert {band: each["control"].count for band, each in found.items()} == {"unknown": 1}

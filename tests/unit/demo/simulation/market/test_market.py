"""The simulated marketplace: what its log must show of the ground truth it was drawn from."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from demo.simulation.columns import NOTHING
from demo.simulation.event_log.tables import DayTables
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.market import Market, Tick, simulate
from demo.simulation.market.stock import Stock
from demo.simulation.setup import Plan, build_market
from events.log_tables import TABLES
from experiments.assignment.assign import NO_ARM
from experiments.assignment.definition import Arm, Experiment

EXPERIMENT = Experiment(
    name="test",
    hypothesis="Simulated buyers tap more when there is less noise.",
    arms=(Arm(name="control", shuffle=0.3), Arm(name="treatment", shuffle=0.3)),
    start=date(2026, 3, 16),
    planned_weeks=1,
    minimum_detectable_effect=0.1,
)
TRUTH = GroundTruth(bot_share=0.02, bot_slates_per_day=50.0, tester_share=0.02, complaint=0.2)


def make_market(**changes: object) -> Market:
    """A small market, with `changes` of its plan."""
    plan = {
        "truth": TRUTH,
        "experiment": EXPERIMENT,
        "users": 400,
        "days": 2,
        "pre_days": 1,
        "count": 500,
    }
    return build_market(Plan(**(plan | changes)))


@cache
def simulated() -> tuple[Market, Stock, tuple[Tick, ...]]:
    """One simulation that most tests look at: a day before the start and two after."""
    market = make_market()
    days = list(simulate(market))
    return market, days[-1][0], tuple(day for _, day in days)


def mean_examination(truth: GroundTruth) -> NDArray[np.float64]:
    """The mean probability that positions of a first slate are examined, the position bias: (L,)."""
    position = np.arange(1, truth.slate_length + 1)
    stays = 1 - 1 / (truth.mean_depth - truth.least_depth)
    looks = stays ** np.maximum(position - truth.least_depth - 1, 0)
    return np.asarray(position**-truth.position_bias * looks)


def taps_by_position(market: Market, day: Tick, *, shuffled: bool) -> np.ndarray:
    """(L,) taps per slate that has the position, of people."""
    human = ~market.buyers.bot[day.slates.user] & (day.slates.shuffled == shuffled)
    taps = np.bincount(day.taps.position[human[day.taps.slate]], minlength=market.truth.slate_length + 1)[1:]
    return taps / np.maximum((day.slates.items[human] != NOTHING).sum(axis=0), 1)


def test_a_shuffled_log_shows_the_position_bias_as_stated():
    """Where chance orders the slates, taps fall with the position as people examine it."""
    shuffling = EXPERIMENT.model_copy(
        update={"arms": tuple(arm.model_copy(update={"shuffle": 1.0}) for arm in EXPERIMENT.arms)}
    )
    truth = GroundTruth(bot_share=0.0, attraction=-2.0, slates_per_day=8.0, single_unit=False)
    market = make_market(truth=truth, experiment=shuffling, users=1500, days=1, pre_days=0)
    ((_, day),) = simulate(market)
    measured = taps_by_position(market, day, shuffled=True)
    assert measured / measured[0] == pytest.approx(mean_examination(truth), abs=0.04)


def test_taps_fall_faster_in_ranked_slates_than_examination():
    """In a ranked slate similarity falls with the position, too: as position bias it would be too steep."""
    market, _, days = simulated()
    ranked = sum(taps_by_position(market, day, shuffled=False) for day in days[1:])
    shuffled = sum(taps_by_position(market, day, shuffled=True) for day in days[1:])
    assert ranked[0] > shuffled[0]


def test_tastes_matter():
    """What people tap is nearer to their own taste than to another's."""
    market, stock, days = simulated()
    vectors = market.catalogue.truth
    taps = days[1].taps
    human = ~market.buyers.bot[days[1].slates.user[taps.slate]]
    user = days[1].slates.user[taps.slate][human]
    tapped = vectors[stock.base[taps.row[human]]]
    own = np.einsum("td,td->t", market.buyers.taste[user], tapped).mean()
    others = np.einsum("td,td->t", market.buyers.taste[np.roll(user, 1)], tapped).mean()
    assert own > others + 0.05


def test_what_is_sold_is_never_shown_again_in_any_arm():
    """Every slate after a purchase, also within the same hours, lacks the listing."""
    _, stock, days = simulated()
    for day in days:
        shown = day.slates.items != NOTHING
        later = stock.gone_at[day.slates.items] <= day.slates.moment[:, None]
        assert not (shown & later).any()
    assert sum(len(day.purchases) for day in days) > 10


def test_a_listing_is_bought_once():
    """Two who want the same listing: the first gets it."""
    _, _, days = simulated()
    bought = np.concatenate([day.purchases.row for day in days])
    assert len(set(bought.tolist())) == len(bought)


def test_unlimited_stock_is_bought_again():
    """With interference off, a listing stays for everyone."""
    truth = replace(TRUTH, single_unit=False, buy_after_tap=1.0, buy_directly=0.5)
    days = [day for _, day in simulate(make_market(truth=truth, days=1, pre_days=0))]
    bought = Counter(days[0].purchases.row.tolist())
    assert max(bought.values()) > 1


def test_nothing_is_shown_before_it_is_listed_or_to_itself():
    """Items of a slate are on sale and others than the query item."""
    _, stock, days = simulated()
    for day in days:
        shown = day.slates.items != NOTHING
        assert (stock.listed_at[day.slates.items] <= day.slates.moment[:, None])[shown].all()
        assert not (day.slates.items == day.slates.query[:, None])[shown].any()


def test_a_slate_has_no_item_twice_and_ends_with_the_empty_places():
    """HashBuckets after the last item are empty, and nothing else is."""
    _, _, days = simulated()
    for items in days[1].slates.items[:500]:
        there = items[items != NOTHING]
        assert len(set(there.tolist())) == len(there)
        assert (items[: len(there)] != NOTHING).all()


def test_bots_are_recognisable():
    """They see far more slates, tap faster than a second, and buy nothing."""
    market, _, days = simulated()
    day, bot = days[1], market.buyers.bot
    slates = np.bincount(day.slates.user, minlength=len(bot))
    assert bot.sum() >= 3
    assert slates[bot].min() > slates[~bot].mean() * 5
    after = day.taps.moment - day.slates.moment[day.taps.slate]
    by_bot = bot[day.slates.user[day.taps.slate]]
    assert np.median(after[by_bot]) < 1 < np.median(after[~by_bot])
    assert not bot[day.slates.user[day.purchases.slate]].any()


def test_a_few_people_make_most_visits():
    """The busiest tenth opens over a third of the pages; most open few or none."""
    market, _, days = simulated()
    visits = sum(np.bincount(day.slates.user, minlength=len(market.buyers)) for day in days)
    people = np.sort(visits[~market.buyers.bot])[::-1]
    assert people[: len(people) // 10].sum() > people.sum() / 3
    assert np.median(people) < people.mean()


def test_the_experiment_starts_on_its_day_and_splits_its_users():
    """No user has an arm before; afterwards each user except testers has one."""
    _, _, days = simulated()
    assert (days[0].slates.arm == NO_ARM).all()
    assert not days[0].slates.override.any()
    slates = days[1].slates
    assert (slates.arm != NO_ARM).all()
    assert slates.override.any()
    pairs = {
        (user, arm)
        for user, arm in zip(slates.user[~slates.override], slates.arm[~slates.override], strict=True)
    }
    assert len({user for user, _ in pairs}) == len(pairs)
    assert 0.4 < np.mean([arm for _, arm in pairs]) < 0.6


def test_before_the_start_all_see_the_unshuffled_control():
    """The pre-period is the production of before."""
    _, _, days = simulated()
    assert (days[0].slates.ranker == 0).all()
    assert not days[0].slates.shuffled.any()
    assert days[1].slates.shuffled.mean() == pytest.approx(0.3, abs=0.05)


def test_the_same_seed_gives_the_same_events_and_another_does_not():
    """Every row of every table."""

    def logged(seed: int) -> dict[str, object]:
        market = make_market(users=60, days=1, pre_days=0, seed=seed)
        ((stock, day),) = simulate(market)
        return DayTables(market, 0, stock, day).tables()

    one, again, other = logged(7), logged(7), logged(8)
    assert all(one[name].equals(again[name]) for name in TABLES)
    assert not one["taps"].equals(other["taps"])


def test_sellers_relist_and_copy_with_the_old_photo():
    """A relisted listing has a new id and date, the photo and seller of before, and the old one is gone."""
    truth = replace(TRUTH, relistings=0.02, copies=0.02)
    market = make_market(truth=truth, users=50)
    stock = list(simulate(market))[-1][0]
    made = [row for row, item in enumerate(stock.item_ids) if item.startswith(("relisted", "copied"))]
    assert len(made) == 2 * 3 * 10
    for row in made:
        source = int(stock.base[row])
        relisted = stock.item_ids[row].startswith("relisted")
        if relisted and source < len(market.catalogue):
            assert stock.sellers[row] == stock.sellers[source]
            assert stock.listed_at[row] > stock.listed_at[source]


def test_new_listings_arrive_every_day():
    """They are spread over the days, in the order of the catalogue."""
    market, stock, _ = simulated()
    start = market.start.timestamp()
    arrived = stock.listed_at[: len(market.catalogue)]
    late = arrived[arrived > start]
    assert len(late) == round(500 * TRUTH.arrivals * 3)
    assert (np.diff(late) > 0).all()


def test_weekends_are_busier():
    """Sunday's rhythm against Tuesday's."""
    sunday = EXPERIMENT.model_copy(update={"start": date(2026, 3, 15)})
    tuesday = EXPERIMENT.model_copy(update={"start": date(2026, 3, 17)})
    truth = GroundTruth(bot_share=0.0)
    busy, quiet = (
        len(next(simulate(make_market(truth=truth, experiment=each, users=2000, pre_days=0)))[1].slates)
        for each in (sunday, tuesday)
    )
    assert busy / quiet == pytest.approx(1.3 / 0.9, rel=0.15)


def test_an_injected_lift_multiplies_the_taps_of_the_treatment_alone():
    """Both arms with one encoder: the control taps the very same, the treatment half as much again."""

    def taps(lift: float) -> tuple[int, int]:
        truth = GroundTruth(
            bot_share=0, tester_share=0, single_unit=False, tap_lift=lift, slates_per_day=10.0
        )
        same = {"control": "0.5", "treatment": "0.5"}
        ((_, day),) = simulate(make_market(truth=truth, encoders=same, users=1000, days=1, pre_days=0))
        arm = day.slates.arm[day.taps.slate]
        return int((arm == 0).sum()), int((arm == 1).sum())

    (control, treated), (same, lifted) = taps(1.0), taps(1.5)
    assert same == control
    assert lifted / treated == pytest.approx(1.5, rel=0.08)


def test_no_page_is_opened_once_all_is_sold():
    """A few listings, many buyers: visits end with the stock."""
    truth = GroundTruth(bot_share=0, arrivals=0, copies=0, relistings=0, buy_directly=0.9)
    days = [day for _, day in simulate(make_market(truth=truth, count=20))]
    assert sum(len(day.purchases) for day in days) == 20
    assert len(days[0].slates) > 20
    assert len(days[2].slates) == 0

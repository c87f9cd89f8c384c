"""The marketplace, tick by tick: visits, slates, what people do with them, and what is sold by that.

All slates of a tick are ranked together from what was on sale at its start, with more candidates than
positions. A listing bought within the tick is removed from later slates: the tick is computed again with the
same draws until nothing changes. This ends, because a purchase affects only later slates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from demo.simulation.columns import NOTHING, Columns, Flags, Floats, Rows, Seconds
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.behaviour import (
    Draws,
    at,
    attraction,
    examination,
    purchase_probability,
    shown,
    tap_probability,
)
from demo.simulation.market.buyers import Buyers, Visits, draw_visits, open_pages
from demo.simulation.market.catalogue import Catalogue
from demo.simulation.market.rankers import Ranker
from demo.simulation.market.ranking import rank
from demo.simulation.market.stock import DAY, Stock
from experiments.assignment.assign import NO_ARM, arm_array
from experiments.assignment.definition import Experiment

TICKS: Final = 12
"""In a day. A new listing is shown from the next tick on."""
RESERVE: Final = 12
"""Candidates beyond a slate's length, which replace listings sold within the tick."""


@dataclass(frozen=True)
class Slates(Columns):
    """S slates that were shown, in the order of time."""

    user: Rows
    moment: Seconds
    nth: Rows
    query: Rows
    """(S,) rows of the stock."""
    ranker: Rows
    """(S,) the number of the arm that answered; the control's outside the experiment."""
    arm: Rows
    """(S,) the number of the arm in the log, or NO_ARM."""
    shuffled: Flags
    override: Flags
    took_ms: Seconds
    items: Rows
    """(S, L) rows of the stock, in the order shown, then NOTHING."""


@dataclass(frozen=True)
class Acts(Columns):
    """What was done, in the order of the slates that it came from."""

    slate: Rows
    """Numbers among the day's slates."""
    position: Rows
    """From 1; 0 for the query item itself, whose page the slate is on."""
    row: Rows
    """Of the stock."""
    moment: Seconds


@dataclass(frozen=True)
class Tick:
    """All that happens in one tick or, joined, on one day."""

    slates: Slates
    taps: Acts
    views: Acts
    purchases: Acts
    complaints: Acts

    @classmethod
    def joined(cls, ticks: Sequence[Tick]) -> Tick:
        """Return the ticks of a day as one."""
        first = np.cumsum([0, *(len(tick.slates) for tick in ticks)])

        def acts(name: str) -> Acts:
            each = zip((getattr(tick, name) for tick in ticks), first, strict=False)
            return Acts.joined([replace(part, slate=part.slate + by) for part, by in each])

        slates = Slates.joined([tick.slates for tick in ticks])
        return cls(slates, *(acts(name) for name in ("taps", "views", "purchases", "complaints")))


@dataclass(frozen=True)
class Market:
    """Everything that a simulation is made of."""

    truth: GroundTruth
    experiment: Experiment
    rankers: Sequence[Ranker]
    """One for each arm of the experiment."""
    catalogue: Catalogue
    buyers: Buyers
    start: datetime
    """Midnight UTC of the first day, before the experiment's start by the pre-period."""
    days: int
    seed: int

    def rng(self, purpose: int, *numbers: int) -> np.random.Generator:
        """Return a random stream for one purpose, day and tick."""
        return np.random.default_rng([self.seed, 16 + purpose, *numbers])

    def rankers_by_arm(self) -> dict[str, Ranker]:
        """Return the ranker of each arm."""
        return {arm.name: ranker for arm, ranker in zip(self.experiment.arms, self.rankers, strict=True)}


def simulate(
    market: Market, watch: Callable[[Slates, Stock, Draws], None] | None = None
) -> Iterator[tuple[Stock, Tick]]:
    """Yield each day's events with the stock that their rows are of.

    watch: called with the slates of every tick and the stock before it changes.
    """
    stock = Stock.opening(market.catalogue, market.truth, market.start.timestamp(), market.days, market.seed)
    arms = arm_array(market.experiment, market.buyers.user)
    for number in range(market.days):
        start = market.start.timestamp() + number * DAY
        stock.simulate_sellers(start, market.truth, market.rng(0, number))
        visits = draw_visits(market.buyers, start, market.truth, market.rng(1, number))
        today = _arms_today(market, arms, start)
        ticks = [_tick(market, stock, visits, today, start, (number, tick), watch) for tick in range(TICKS)]
        yield stock, Tick.joined(ticks)


def _arms_today(market: Market, arms: NDArray[np.int8], start: float) -> Rows:
    """Return the arm of each user on this day, or NO_ARM: (U,) int64."""
    share = market.experiment.share_on(datetime.fromtimestamp(start, UTC).date())
    if share == 0:
        return np.full(len(arms), NO_ARM, dtype=np.int64)
    today = arms if share == 1 else arm_array(market.experiment, market.buyers.user, share)
    return today.astype(np.int64)


def _tick(
    market: Market,
    stock: Stock,
    visits: Visits,
    arms: Rows,
    start: float,
    number: tuple[int, int],
    watch: Callable[[Slates, Stock, Draws], None] | None,
) -> Tick:
    length = DAY / TICKS
    start = start + number[1] * length
    rng = market.rng(2, *number)
    slates = draw_slates(market, stock, visits.between(start, start + length), arms, start, rng)
    draws = Draws.draw(len(slates), slates.items.shape[1], market.truth, rng)
    if watch is not None:
        watch(slates, stock, draws)
    return settle(market, stock, slates, draws, rng.random(len(slates)))


def draw_slates(
    market: Market,
    stock: Stock,
    visits: Visits,
    arms: Rows,
    start: float,
    rng: np.random.Generator,
) -> Slates:
    """Return the slates of visits, each with all its candidates as items: (S, slate_length + RESERVE)."""
    shelf = stock.shelf(start)
    visits = visits if len(shelf.rows) else visits.take(slice(0))  # nothing on sale, no page to open
    tester = market.buyers.tester[visits.user] & (arms.max() != NO_ARM)
    chosen = rng.integers(len(market.rankers), size=len(visits.user))
    arm = np.where(tester, chosen, arms[visits.user])
    ranker = np.where(arm == NO_ARM, 0, arm)
    query = open_pages(visits, stock, shelf, market.truth, rng)
    shares = np.array([each.shuffle for each in market.experiment.arms])
    shuffled = (rng.random(len(query)) < shares[ranker]) & (arm != NO_ARM)
    took = market.truth.took_ms * rng.lognormal(0, market.truth.took_spread, len(query))
    size = market.truth.slate_length
    items = np.full((len(query), size + RESERVE), NOTHING, dtype=np.int64)
    for each, of in enumerate(market.rankers):
        theirs = np.flatnonzero(ranker == each)
        asked, place = np.unique(query[theirs], return_inverse=True)
        items[theirs] = rank(of, stock, shelf, asked, size=size, depth=size + RESERVE)[place]
    return Slates(
        user=visits.user,
        moment=visits.moment,
        nth=visits.nth,
        query=query,
        ranker=ranker,
        arm=arm,
        shuffled=shuffled,
        override=tester,
        took_ms=np.round(took, 2),
        items=items,
    )


def settle(market: Market, stock: Stock, slates: Slates, draws: Draws, direct: Seconds) -> Tick:
    """Return what people do with the slates, and remove what they buy from the stock.

    direct: (S,) uniform numbers that decide who buys the query item itself.
    """
    attracted = attraction(market.truth, stock, market.buyers, slates.user, slates.query, slates.items)
    gone = stock.gone_at
    while True:
        tick = _acts(market, stock, slates, draws, direct, attracted, gone)
        if not market.truth.single_unit:
            return tick
        sold = stock.gone_at.copy()
        np.minimum.at(sold, tick.purchases.row, tick.purchases.moment)
        if np.array_equal(sold, gone):
            stock.gone_at = sold
            bought = tick.purchases  # of two who want a listing, the first gets it
            return replace(tick, purchases=bought.take(bought.moment == sold[bought.row]))
        gone = sold


def _acts(
    market: Market,
    stock: Stock,
    slates: Slates,
    draws: Draws,
    direct: Seconds,
    attracted: Floats,
    gone: Seconds,
) -> Tick:
    """Return what would happen if each listing were gone at its time in `gone`."""
    truth, bot = market.truth, market.buyers.bot[slates.user]
    alive = gone[slates.items] > slates.moment[:, None]
    places = shown(slates.items, alive, slates.shuffled, draws, truth.slate_length)
    there = places != NOTHING
    pull = np.where(there, at(attracted, places), np.float32(0))
    final = replace(slates, items=np.where(there, at(slates.items, places), NOTHING))
    tapped, bought = _tapped_and_bought(truth, stock, final, bot, draws, places, pull)
    complained = tapped & ~bot[:, None] & (at(draws.complaint, places) < truth.complaint * (1 - pull))
    own = (direct < truth.buy_directly) & ~bot & np.isinf(stock.gone_at[slates.query])
    own &= gone[slates.query] > slates.moment
    pace = np.where(bot, 0.02, 2.0)[:, None]  # seconds a position; no human is as fast as a bot
    reading = pace * (np.arange(1, truth.slate_length + 1) + exponential(at(draws.reading, places)))
    tap_time = slates.moment[:, None] + reading
    deciding = truth.deciding_seconds * exponential(at(draws.deciding, places))
    taps = _acts_of(final, tapped, tap_time)
    seen = _own_page(final, np.ones(len(final), dtype=bool), -2.0)
    return Tick(
        slates=final,
        taps=taps,
        views=Acts.joined([replace(taps, moment=taps.moment + 1.0), seen]),
        purchases=Acts.joined(
            [_acts_of(final, bought, tap_time + 5 + deciding), _own_page(final, own, 30.0)]
        ),
        complaints=_acts_of(final, complained, tap_time + 60),
    )


def _tapped_and_bought(
    truth: GroundTruth, stock: Stock, slates: Slates, bot: Flags, draws: Draws, places: Rows, pull: Floats
) -> tuple[Flags, Flags]:
    """Return which items are tapped, and which of them are bought: (S, L) bool each."""
    treated = slates.arm > 0
    examined = examination(truth, draws.depth, slates.nth)
    tapping = tap_probability(truth, examined, pull, bot, _lift(treated, truth.tap_lift))
    tapped = at(draws.tap, places) < tapping
    buying = purchase_probability(truth, pull, bot, _lift(treated, truth.purchase_lift))
    # What was paid for before the tick cannot be bought, though it is shown until then.
    free = np.isinf(stock.gone_at[slates.items])
    return tapped, tapped & free & (at(draws.purchase, places) < buying)


def _lift(treated: Flags, lift: float) -> Floats:
    return np.where(treated, np.float32(lift), np.float32(1))


def _acts_of(slates: Slates, done: Flags, moments: Seconds) -> Acts:
    """Return the acts where done (S, L), with their moments (S, L)."""
    slate, column = np.nonzero(done)
    return Acts(slate, column + 1, slates.items[slate, column], np.round(moments[slate, column], 6))


def _own_page(slates: Slates, done: Flags, later: float) -> Acts:
    """Return acts on the query item where done (S,), `later` seconds after the slate."""
    slate = np.flatnonzero(done)
    return Acts(
        slate, np.zeros(len(slate), dtype=np.int64), slates.query[slate], slates.moment[slate] + later
    )


def exponential(uniform: NDArray[Any]) -> Seconds:
    """Return exponential numbers of mean 1 from uniform ones in [0, 1): the same shape, float64."""
    return -np.log1p(-uniform.astype(np.float64))

"""Simulated buyers in front of the running API: it answers, they look, and their events go back to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import numpy as np

from demo.marketplace.listings import ListingEvent
from demo.marketplace.random_source import check_seed
from demo.simulation.api import Api
from demo.simulation.behaviour import Chances
from demo.simulation.buyers import Visits, choose_pages, draw_buyers, draw_visits, user_id
from demo.simulation.catalogue import Rows, catalogue_of, read_events
from demo.simulation.folder import SENTENCE
from demo.simulation.ground_truth import GroundTruth, ImpossibleTruth
from demo.simulation.market import Acts, Market, Slates, Tick, settle
from demo.simulation.ranking import NOTHING
from demo.simulation.setup import DEFAULT_EXPERIMENT
from demo.simulation.stock import DAY, Stock
from events.schema import OLDEST
from experiments.assignment.assign import NOBODYS
from mappings.listing import isoformat

TOGETHER: Final = 64
"""Visits asked for at once. What is bought in one batch is off the shelf for the next."""
MARGIN: Final = timedelta(hours=1)
"""Kept from the oldest time that the API takes, for a simulation takes a while."""

Sell = Callable[[list[dict[str, Any]]], None]


@dataclass(frozen=True, kw_only=True)
class LivePlan:
    """What to simulate through an API."""

    listings: Path
    """Those that the API's index holds."""
    truth: GroundTruth = field(default_factory=GroundTruth)
    users: int = 200
    days: int = 3
    """That have passed; the API takes events of the last seven."""
    count: int | None = None
    """Of the listings; all by default."""
    seed: int = 7


@dataclass
class LiveAccount:
    """What came of it."""

    visits: int = 0
    slates: Counter[str] = field(default_factory=Counter)
    """Shown, by arm as the answers told it; "" for none."""
    sent: Counter[str] = field(default_factory=Counter)
    """Events by type."""
    settled: Counter[str] = field(default_factory=Counter)
    """Events accepted, and rejected by reason."""
    unanswered: Counter[int] = field(default_factory=Counter)
    """Visits without a slate, by HTTP status."""
    sold: int = 0
    seconds: float = 0.0


def simulate_live(
    plan: LivePlan,
    api: Api,
    sell: Sell,
    *,
    now: datetime,
    progress: Callable[[int], object] = lambda _: None,
) -> LiveAccount:
    """Visits of the past days in the order of time, each asked of the API, with the events that follow.

    sell: sends listing events of what was sold to the indexer.
    progress: is told how many visits are done.

    Raises:
        ApiUnusable, NothingOnSale, UnreadableFile
        ImpossibleTruth: lifts are to be injected, but the API's arms differ by themselves.
    """
    check_seed(plan.seed)
    if (plan.truth.tap_lift, plan.truth.purchase_lift) != (1.0, 1.0):
        raise ImpossibleTruth("tap_lift and purchase_lift are injected into a log alone, not through the API")
    begun = perf_counter()
    events = read_events(plan.listings, plan.count)
    market, visits = prepare(plan, events, now)
    still = replace(plan.truth, arrivals=0.0)  # what arrives, the API's index has to learn from sellers
    stock = Stock.opening(market.catalogue, still, market.start.timestamp(), 0, plan.seed)
    account = LiveAccount()
    for number, first in enumerate(range(0, len(visits.user), TOGETHER)):
        part = visits.part(slice(first, first + TOGETHER))
        tick, answers = _batch(market, stock, part, number, api)
        told = list(as_events(stock, tick, answers, now))
        account.settled += api.send(told)
        account.sent.update(event["type"] for event in told)
        account.slates.update(",".join(answer["arms"]) for answer in answers)
        sold = [events[row] for row in tick.purchases.row.tolist()] if plan.truth.single_unit else []
        account.sold += len(sold)
        if sold:
            sell([sold_event(event) for event in sold])
        account.visits += len(part.user)
        progress(len(part.user))
    account.unanswered = api.unanswered
    account.seconds = perf_counter() - begun
    return account


def live_statement(plan: LivePlan) -> dict[str, Any]:
    """What SIMULATED.json says of a log into which the events are exported."""
    return {
        "sentence": SENTENCE,
        "seed": plan.seed,
        "users": plan.users,
        "days": plan.days,
        "listings": str(plan.listings),
        "ground_truth": plan.truth.to_json(),
    }


def prepare(plan: LivePlan, events: Sequence[ListingEvent], now: datetime) -> tuple[Market, Visits]:
    """The buyers, and their visits within the time that the API takes, in the order of time."""
    truth = replace(plan.truth, tester_share=0.0)  # whoever overrides an arm has to know its name
    catalogue = catalogue_of(events, truth, plan.seed, np.arange(len(events)))
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    market = Market(
        truth=truth,
        experiment=DEFAULT_EXPERIMENT,
        rankers=(),
        catalogue=catalogue,
        buyers=draw_buyers(plan.users, catalogue, truth, plan.seed),
        start=today - timedelta(days=plan.days - 1),
        days=plan.days,
        seed=plan.seed,
    )
    days = [
        draw_visits(market.buyers, market.start.timestamp() + day * DAY, truth, market.chance(1, day))
        for day in range(plan.days)
    ]
    visits = Visits.joined(days)
    return market, visits.between((now - OLDEST + MARGIN).timestamp(), now.timestamp())


def _batch(
    market: Market, stock: Stock, visits: Visits, number: int, api: Api
) -> tuple[Tick, list[dict[str, Any]]]:
    """What a few visits lead to, and the API's answers to those that got one."""
    chance = market.chance(2, number)
    shelf = stock.shelf(float(visits.moment[0]))
    visits = visits.welcomed(shelf)
    query = choose_pages(visits, stock, shelf, market.truth, chance)
    asked = [
        (stock.item_ids[row], user_id(int(user) + 1)) for row, user in zip(query, visits.user, strict=True)
    ]
    found = api.similar(asked, market.truth.slate_length)
    there = np.array([answer is not None for answer in found], dtype=bool)
    answers = [answer for answer in found if answer is not None]
    slates = _slates(market, visits.part(there), query[there], answers)
    chances = Chances.draw(len(slates), market.truth.slate_length, market.truth, chance)
    return settle(market, stock, slates, chances, chance.random(len(slates))), answers


def _slates(market: Market, visits: Visits, query: Rows, answers: Sequence[Mapping[str, Any]]) -> Slates:
    """The answers as slates. Listings that the file does not have are left out: nothing is known of them."""
    rows = {item_id: row for row, item_id in enumerate(market.catalogue.item_ids)}
    items = np.full((len(answers), market.truth.slate_length), NOTHING, dtype=np.int64)
    for slate, answer in enumerate(answers):
        known = [rows[item["item_id"]] for item in answer["items"] if item["item_id"] in rows]
        items[slate, : len(known)] = known
    none = np.zeros(len(answers), dtype=bool)
    return Slates(
        user=visits.user,
        moment=visits.moment,
        nth=visits.nth,
        query=query,
        ranker=np.zeros(len(answers), dtype=np.int64),
        arm=np.full(len(answers), NOBODYS, dtype=np.int64),
        shuffled=none,  # the API has done that: the order is as it came
        override=none,
        took_ms=np.array([answer["took_ms"] for answer in answers], dtype=np.float64),
        items=items,
    )


def as_events(
    stock: Stock, tick: Tick, answers: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[dict[str, Any]]:
    """The events of a batch as the API takes them, slates first. None is later than now."""
    slates = tick.slates
    for number, answer in enumerate(answers):
        shown = slates.items[number][slates.items[number] != NOTHING]
        yield {
            "type": "impression",
            **_common(slates, number, float(slates.moment[number]), now),
            "slate_id": answer["slate_id"],
            "query_item_id": answer["item"]["item_id"],
            "items": [
                {"item_id": stock.item_ids[row], "position": position}
                for position, row in enumerate(shown, 1)
            ],
            "arms": answer["arms"],
            "encoder_id": answer["encoder_id"],
            "took_ms": answer["took_ms"],
            "randomised": answer["randomised"],
            "override": answer["override"],
            "simulated": True,
        }
    kinds = (
        ("tap", tick.taps),
        ("item_view", tick.views),
        ("purchase", tick.purchases),
        ("complaint", tick.complaints),
    )
    for kind, acts in kinds:
        for act in range(len(acts)):
            yield _act(kind, acts, act, stock, slates, answers, now)


def _act(
    kind: str,
    acts: Acts,
    act: int,
    stock: Stock,
    slates: Slates,
    answers: Sequence[Mapping[str, Any]],
    now: datetime,
) -> dict[str, Any]:
    number, position, row = int(acts.slate[act]), int(acts.position[act]), int(acts.row[act])
    event = {
        "type": kind,
        **_common(slates, number, float(acts.moment[act]), now),
        "item_id": stock.item_ids[row],
    }
    if position:  # 0 is the query item itself, to whose page no slate led
        event["slate_id"] = answers[number]["slate_id"]
    if kind == "tap":
        event |= {"query_item_id": answers[number]["item"]["item_id"], "position": position}
    if kind == "purchase":
        event["price"] = float(stock.price[row])
    return event


def _common(slates: Slates, number: int, moment: float, now: datetime) -> dict[str, Any]:
    return {
        "event_id": uuid4().hex,
        "time": isoformat(min(datetime.fromtimestamp(moment, UTC), now)),
        "user_id": user_id(int(slates.user[number]) + 1),
    }


def sold_event(event: ListingEvent) -> dict[str, Any]:
    """The listing as its seller's application tells it once it is bought: sold out, from this moment on."""
    return {**event, "status": "sold_out", "updated_at": isoformat(datetime.now(UTC))}

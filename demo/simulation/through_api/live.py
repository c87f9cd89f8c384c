"""Simulated buyers of the running API: it answers, they look, and their events go back to it."""

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
from demo.simulation.columns import NOTHING, Rows
from demo.simulation.errors import ImpossibleTruth
from demo.simulation.event_log.folder import SENTENCE
from demo.simulation.market.behaviour import Draws
from demo.simulation.market.buyers import Visits, draw_buyers, draw_visits, open_pages, user_id
from demo.simulation.market.catalogue import catalogue_from_events, read_events
from demo.simulation.market.market import Market, Slates, Tick, settle
from demo.simulation.market.stock import DAY, Stock
from demo.simulation.setup import Plan
from demo.simulation.through_api.client import Api
from events.schema import OLDEST
from experiments.assignment.assign import NO_ARM
from mappings.listing import isoformat

BATCH: Final = 64
"""Visits requested at once. What is bought in one batch is not on sale in the next."""
MARGIN: Final = timedelta(hours=1)
"""Distance from the oldest time that the API takes, because a simulation takes a while."""

FROM_ANSWER: Final = ("slate_id", "arms", "encoder_id", "took_ms", "randomised", "override")
"""Fields of an answer that its impression repeats."""

Sell = Callable[[list[dict[str, Any]]], None]


@dataclass
class LiveSummary:
    """What was simulated."""

    visits: int = 0
    slates: Counter[str] = field(default_factory=Counter)
    """Slates shown, by the arms of their answers; "" for none."""
    sent: Counter[str] = field(default_factory=Counter)
    """Events by type."""
    received: Counter[str] = field(default_factory=Counter)
    """Events accepted, and rejected by reason."""
    unanswered: Counter[int] = field(default_factory=Counter)
    """Visits without a slate, by HTTP status."""
    sold: int = 0
    seconds: float = 0.0


def simulate_live(
    plan: Plan,
    listings: Path,
    api: Api,
    sell: Sell,
    *,
    now: datetime,
    progress: Callable[[int, int], object] = lambda visits, of: None,  # noqa: ARG005  named for the reader
) -> LiveSummary:
    """Request the visits of the past days from the API in the order of time, and send the events that follow.

    listings: those of the index; the first `plan.count` are used. Of the plan, `days` are the last ones.
    sell: sends listing events of what was sold to the indexer.
    progress: called after each batch with the number of visits so far and of all.

    Raises:
        ApiUnusable, NothingOnSale, UnreadableFile
        ImpossibleTruth: a lift is set; lifts are injected into a log only.
    """
    if (plan.truth.tap_lift, plan.truth.purchase_lift) != (1.0, 1.0):
        raise ImpossibleTruth("tap_lift and purchase_lift are injected into a log only, not through the API")
    started = perf_counter()
    events = read_events(listings, plan.count)
    market, visits = draw_past_visits(plan, events, now)
    still = replace(plan.truth, arrivals=0.0)  # new listings would have to be indexed first
    stock = Stock.opening(market.catalogue, still, market.start.timestamp(), 0, plan.seed)
    summary = LiveSummary()
    for number, first in enumerate(range(0, len(visits), BATCH)):
        part = visits.take(slice(first, first + BATCH))
        tick, answers = _batch(market, stock, part, number, api)
        sent = list(as_events(stock, tick, answers, now))
        summary.received += api.send(sent)
        summary.sent.update(event["type"] for event in sent)
        summary.slates.update(",".join(answer["arms"]) for answer in answers)
        sold = [events[row] for row in tick.purchases.row.tolist()] if plan.truth.single_unit else []
        summary.sold += len(sold)
        if sold:
            sell([sold_event(event) for event in sold])
        summary.visits += len(part)
        progress(summary.visits, len(visits))
    summary.unanswered = api.unanswered
    summary.seconds = perf_counter() - started
    return summary


def live_statement(plan: Plan, listings: Path) -> dict[str, Any]:
    """Return what SIMULATED.json says of a log into which the events are exported."""
    return {
        "sentence": SENTENCE,
        "seed": plan.seed,
        "users": plan.users,
        "days": plan.days,
        "listings": str(listings),
        "ground_truth": plan.truth.to_json(),
    }


def draw_past_visits(plan: Plan, events: Sequence[ListingEvent], now: datetime) -> tuple[Market, Visits]:
    """Return the buyers, and their visits within the time that the API takes, in the order of time."""
    truth = replace(plan.truth, tester_share=0.0)  # overriding an arm takes its name
    catalogue = catalogue_from_events(events, truth, plan.seed, np.arange(len(events)))
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    market = Market(
        truth=truth,
        experiment=plan.experiment,
        rankers=(),
        catalogue=catalogue,
        buyers=draw_buyers(plan.users, catalogue, truth, plan.seed),
        start=today - timedelta(days=plan.days - 1),
        days=plan.days,
        seed=plan.seed,
    )
    days = [
        draw_visits(market.buyers, market.start.timestamp() + day * DAY, truth, market.rng(1, day))
        for day in range(plan.days)
    ]
    visits = Visits.joined(days)
    return market, visits.between((now - OLDEST + MARGIN).timestamp(), now.timestamp())


def _batch(
    market: Market, stock: Stock, visits: Visits, number: int, api: Api
) -> tuple[Tick, list[dict[str, Any]]]:
    """Return what a few visits lead to, and the API's answers to those that got one."""
    rng = market.rng(2, number)
    shelf = stock.shelf(float(visits.moment[0]))
    visits = visits if len(shelf.rows) else visits.take(slice(0))  # nothing on sale, no page to open
    query = open_pages(visits, stock, shelf, market.truth, rng)
    asked = [
        (stock.item_ids[row], user_id(int(user) + 1)) for row, user in zip(query, visits.user, strict=True)
    ]
    found = api.similar(asked, market.truth.slate_length)
    there = np.array([answer is not None for answer in found], dtype=bool)
    answers = [answer for answer in found if answer is not None]
    slates = _slates(market, visits.take(there), query[there], answers)
    draws = Draws.draw(len(slates), market.truth.slate_length, market.truth, rng)
    return settle(market, stock, slates, draws, rng.random(len(slates))), answers


def _slates(market: Market, visits: Visits, query: Rows, answers: Sequence[Mapping[str, Any]]) -> Slates:
    """Return the answers as slates, without listings that are not in the file: nothing is known of them."""
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
        arm=np.full(len(answers), NO_ARM, dtype=np.int64),
        shuffled=none,  # the API has done that: the order is as it came
        override=none,
        took_ms=np.array([answer["took_ms"] for answer in answers], dtype=np.float64),
        items=items,
    )


def as_events(
    stock: Stock, tick: Tick, answers: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[dict[str, Any]]:
    """Yield the events of a batch as the API takes them, slates first. None is later than now."""
    slates = tick.slates
    for number, answer in enumerate(answers):
        shown = enumerate(slates.items[number][slates.items[number] != NOTHING], 1)
        yield {
            **_event("impression", slates, number, slates.moment[number], now),
            **{name: answer[name] for name in FROM_ANSWER},
            "query_item_id": answer["item"]["item_id"],
            "items": [{"item_id": stock.item_ids[row], "position": position} for position, row in shown],
            "simulated": True,
        }
    kinds = {
        "tap": tick.taps,
        "item_view": tick.views,
        "purchase": tick.purchases,
        "complaint": tick.complaints,
    }
    for kind, acts in kinds.items():
        for number, position, row, moment in zip(*vars(acts).values(), strict=True):
            event = _event(kind, slates, number, moment, now) | {"item_id": stock.item_ids[row]}
            if position:  # 0 is the query item itself, to whose page no slate led
                event["slate_id"] = answers[number]["slate_id"]
            if kind == "tap":
                query = answers[number]["item"]["item_id"]
                event |= {"query_item_id": query, "position": int(position)}
            if kind == "purchase":
                event["price"] = float(stock.price[row])
            yield event


def _event(kind: str, slates: Slates, number: int, moment: float, now: datetime) -> dict[str, Any]:
    return {
        "type": kind,
        "event_id": uuid4().hex,
        "time": isoformat(min(datetime.fromtimestamp(moment, UTC), now)),
        "user_id": user_id(int(slates.user[number]) + 1),
    }


def sold_event(event: ListingEvent) -> dict[str, Any]:
    """Return the listing event of a purchase: sold out, from now on."""
    return {**event, "status": "sold_out", "updated_at": isoformat(datetime.now(UTC))}

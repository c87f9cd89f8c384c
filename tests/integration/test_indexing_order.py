"""The index is the same for any order and repetition of events and any number of workers."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from indexer.intake.submission import chunked
from indexer.worker.pipeline.status_update import parse_status_update
from mappings.listing import event_version, parse_listing
from tests.conftest import WorkerFactory
from tests.factories import make_event
from tests.indexing import BLUE, GREEN, RED, Shop, at, submission, without_time

ITEMS = 3
WORKERS = 4

Event = dict[str, Any]


@pytest.fixture
def shops(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> tuple[Shop, Shop]:
    """Two empty indices: for events in order and out of order."""
    ordered = Shop.open(es, f"{index_prefix}-in", tmp_path / "in")
    return ordered, Shop.open(es, f"{index_prefix}-out", tmp_path / "out", roots=ordered.settings.roots)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], list[list[Event]]]:
    """Events of some items, with ties in their times, and the same in disorder for each of four workers.

    Some lack a title, so that their status and price count alone.
    """
    changes = st.fixed_dictionaries(
        {
            "item_id": st.integers(0, ITEMS - 1).map(lambda number: f"m{number}"),
            "updated_at": st.integers(0, 4).map(at),
            "price": st.sampled_from([100, 200]),
            "status": st.sampled_from(["on_sale", "reserved", "sold_out", "removed"]),
            "images": st.lists(st.sampled_from(["red", "green", "blue", "missing"]), max_size=2),
            "title": st.sampled_from(["Skirt", "Skirt", None]),
        }
    )
    removals = draw(st.booleans())
    drawn = draw(st.lists(changes, min_size=1, max_size=12))
    events = [event if event["title"] else refused(event, removals=removals) for event in drawn]
    again = draw(st.lists(st.sampled_from(events), max_size=6))
    disorder = draw(st.permutations(events + again))
    lanes = draw(st.lists(st.integers(0, WORKERS - 1), min_size=len(disorder), max_size=len(disorder)))
    split: list[list[Event]] = [[] for _ in range(WORKERS)]
    for event, lane in zip(disorder, lanes, strict=True):
        split[lane].append(event)
    return events, split


def refused(event: Event, *, removals: bool) -> Event:
    """The event as one of those that have an order among themselves: one price for each time, and none that
    puts back on sale what another such event removed with all its content."""
    kept = "sold_out" if event["status"] == "removed" else event["status"]
    price = 300 + int(event["updated_at"][14:16])
    return event | {"images": [], "price": price, "status": "removed" if removals else kept}


def check_order_independence(shops: tuple[Shop, Shop], examples: int) -> None:
    """Check the property on the two indices; each example has its own items."""
    ordered, disordered = shops
    photos = {"missing": str(ordered.photos / "missing.png")}
    photos |= {name: ordered.photo(c) for name, c in (("red", RED), ("green", GREEN), ("blue", BLUE))}
    numbers = itertools.count()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(histories())
    def holds(history: tuple[list[Event], list[list[Event]]]) -> None:
        run = next(numbers)
        events, lanes = history
        assume(has_an_order([real(event, run, photos) for event in events]))
        for event in sorted(events, key=lambda event: event["updated_at"]):
            ordered.index(real(event, run, photos))
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda lane: index_lane(disordered, lane, run, photos), lanes))

        ids = [f"run{run}-m{number}" for number in range(ITEMS)]
        found = stored_items(disordered, ids)
        assert found == stored_items(ordered, ids)
        expected = newest_statuses([real(event, run, photos) for event in events])
        assert {item_id: document["status"] for item_id, document in found.items()} == expected

    holds()


def newest_statuses(events: list[Event]) -> dict[str, str]:
    """The status of the newest event of each item that has a complete one; a removed one stays removed
    until the next complete event."""
    statuses: dict[str, str] = {}
    for event in sorted(events, key=version_of):
        item_id, status = event["item_id"], event["status"]
        if event["title"] or statuses.get(item_id) != "removed":
            statuses[item_id] = status
    return {item_id: status for item_id, status in statuses.items() if item_id in complete(events)}


def complete(events: list[Event]) -> set[str]:
    """The items that have a complete event."""
    return {event["item_id"] for event in events if event["title"]}


def has_an_order(events: list[Event]) -> bool:
    """Whether no two different events have the same version, as one of 512 ties has (docs/decisions/003)."""
    return len(one_per_version(events)) == len({json.dumps(event) for event in events})


def one_per_version(events: list[Event]) -> list[Event]:
    """The events; of those with the same version, the last one."""
    return list({(e["item_id"], version_of(e), e["title"]): e for e in events}.values())


def version_of(event: Event) -> int:
    """The version of a listing or, without a title, of its status."""
    update = parse_status_update(event)
    return event_version(parse_listing(event)) if event["title"] or not update else update.version


def real(event: Event, run: int, photos: dict[str, str]) -> Event:
    """The event for an item of this run, with photo paths."""
    images = [photos[name] for name in event["images"]]
    return make_event(**event | {"item_id": f"run{run}-{event['item_id']}", "images": images})


def index_lane(shop: Shop, lane: Sequence[Event], run: int, photos: dict[str, str]) -> None:
    """Index a worker's events in chunks of two."""
    for chunk in chunked(lane, 2):
        shop.index(*(real(event, run, photos) for event in chunk))


def stored_items(shop: Shop, ids: list[str]) -> dict[str, Any]:
    """The stored documents of the items with versions, vectors rounded to seven digits."""
    stored = shop.indexer.store.read(shop.index_name, ids)
    return {
        item_id: without_time(document.source)
        | {"version": document.version, "vector": [round(x, 6) for x in document.vector or ()]}
        for item_id, document in stored.items()
    }


def test_order_repetition_and_four_workers_do_not_change_the_index(shops: tuple[Shop, Shop]) -> None:
    """Including events at the same instant."""
    check_order_independence(shops, 25)


@pytest.mark.soak
def test_order_does_not_change_the_index_over_many_histories(shops: tuple[Shop, Shop]) -> None:
    """The same with more examples."""
    check_order_independence(shops, 300)


def test_four_worker_processes_make_the_same_index(
    shops: tuple[Shop, Shop], worker: WorkerFactory, redis_url: str, elasticsearch_url: str
) -> None:
    """Through Celery and Redis: 400 events of 60 items, a quarter of them twice, in chunks of eight."""
    ordered, disordered = shops
    chance = random.Random(5)
    photos = [ordered.photo(colour) for colour in (RED, GREEN, BLUE)]
    history = [
        make_event(
            item_id=f"m{chance.randrange(60)}",
            updated_at=at(chance.randrange(20)),
            price=chance.randrange(1, 50),
            status=chance.choice(["on_sale", "on_sale", "sold_out", "removed"]),
            images=[chance.choice(photos)],
        )
        for _ in range(400)
    ]
    events = one_per_version(history)
    for chunk in chunked(sorted(events, key=lambda event: event["updated_at"]), 100):
        ordered.index(*chunk)
    sent = events + chance.sample(events, 100)
    chance.shuffle(sent)

    environ = disordered.environ(elasticsearch_url, redis_url)
    worker(processes=WORKERS, **environ)
    queue = submission(environ)
    for chunk in chunked(sent, 8):
        queue.send(chunk)
    summary = queue.finish()

    assert summary.total == len(events) + 100
    assert summary.rejected == {}
    assert summary.indexed >= 60
    ids = [f"m{number}" for number in range(60)]
    assert stored_items(disordered, ids) == stored_items(ordered, ids)

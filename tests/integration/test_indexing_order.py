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
from mappings.changes import Change, parse_event, status_change
from mappings.listing import event_version
from tests.conftest import WorkerFactory
from tests.factories import make_event
from tests.indexing import BLUE, GREEN, RED, Shop, at, stored_items, submission
from tests.soak import scaled

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

    Some are changes or removals. Some lack a title, so that their status and price count alone.
    """
    changes = st.fixed_dictionaries(
        {
            "item_id": st.integers(0, ITEMS - 1).map(lambda number: f"m{number}"),
            "op": st.sampled_from(["put", "put", "update", "remove"]),
            "updated_at": st.integers(0, 4).map(at),
            "price": st.sampled_from([100, 200]),
            "status": st.sampled_from(["on_sale", "reserved", "sold_out", "removed"]),
            "images": st.lists(st.sampled_from(["red", "green", "blue", "missing"]), max_size=2),
            "title": st.sampled_from(["Skirt", "Skirt", None]),
        }
    )
    fields = st.sets(st.sampled_from(["price", "status", "images"]), min_size=1)
    drawn = draw(st.lists(st.tuples(changes, fields), min_size=1, max_size=12))
    events = [with_fields(event, names) for event, names in drawn]
    again = draw(st.lists(st.sampled_from(events), max_size=6))
    disorder = draw(st.permutations(events + again))
    lanes = draw(st.lists(st.integers(0, WORKERS - 1), min_size=len(disorder), max_size=len(disorder)))
    split: list[list[Event]] = [[] for _ in range(WORKERS)]
    for event, lane in zip(disorder, lanes, strict=True):
        split[lane].append(event)
    return events, split


def with_fields(event: Event, names: set[str]) -> Event:
    """The event with the fields that its operation has."""
    if event["op"] == "put":
        return event
    kept = {"item_id", "op", "updated_at"} | (names if event["op"] == "update" else set())
    return {name: value for name, value in event.items() if name in kept}


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
    """The status of each item: that of its newest event with one, unless it was removed since its newest
    complete event, or has none."""
    statuses = {}
    for item_id in {event["item_id"] for event in events}:
        own = [event for event in events if event["item_id"] == item_id]
        complete = max((version_of(event) for event in own if is_complete(event)), default=0)
        removal = max((version_of(event) for event in own if removes(event)), default=0)
        newest = max(own, key=lambda event: version_of(event) if "status" in event else 0)
        statuses[item_id] = "removed" if removal >= complete else newest["status"]
    return statuses


def is_complete(event: Event) -> bool:
    """Whether it is a valid listing."""
    return event.get("op", "put") == "put" and bool(event["title"])


def removes(event: Event) -> bool:
    """Whether the item is removed by it."""
    return event.get("op") == "remove" or event.get("status") == "removed"


def has_an_order(events: list[Event]) -> bool:
    """Whether no two different complete events have the same version, as one of 512 ties has
    (docs/decisions/003)."""
    return len(one_per_version(events)) == len({json.dumps(event) for event in events if is_complete(event)})


def one_per_version(events: list[Event]) -> list[Event]:
    """The complete events; of those with the same version, the last one."""
    return list({(e["item_id"], version_of(e)): e for e in events if is_complete(e)}.values())


def version_of(event: Event) -> int:
    """The version of what counts in the event."""
    if event.get("op", "put") == "put" and not is_complete(event):
        change = status_change(event)
        assert change is not None
        return change.version
    parsed = parse_event(event)
    return parsed.version if isinstance(parsed, Change) else event_version(parsed)


def real(event: Event, run: int, photos: dict[str, str]) -> Event:
    """The event for an item of this run, with photo paths."""
    own = event | {"item_id": f"run{run}-{event['item_id']}"}
    if "images" in event:
        own["images"] = [photos[name] for name in event["images"]]
    return make_event(**own) if event["op"] == "put" else own


def index_lane(shop: Shop, lane: Sequence[Event], run: int, photos: dict[str, str]) -> None:
    """Index a worker's events in chunks of two."""
    for chunk in chunked(lane, 2):
        shop.index(*(real(event, run, photos) for event in chunk))


def test_order_repetition_and_four_workers_do_not_change_the_index(shops: tuple[Shop, Shop]) -> None:
    """Including events at the same instant."""
    check_order_independence(shops, 25)


@pytest.mark.soak
def test_order_does_not_change_the_index_over_many_histories(shops: tuple[Shop, Shop]) -> None:
    """The same with more examples."""
    check_order_independence(shops, scaled(300))


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

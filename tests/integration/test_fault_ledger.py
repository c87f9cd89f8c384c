"""Whatever fails while events arrive, the index in the end equals what they say, document by document.

The events are indexed a second time, in order and without faults, into another index: the ledger that the
first index is compared with.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from indexer.intake.submission import Submission, chunked
from queues.lanes import count_queued
from tests.conftest import RunningService, WorkerFactory
from tests.factories import make_event
from tests.indexing import BLUE, GREEN, RED, Shop, at, stored_items, submission
from tests.soak import scaled
from tests.waiting import wait_until

Event = dict[str, Any]

CHUNK = 8
KEPT_UNTIL_KNOWN = {"item_unknown", "item_removed"}
# Short, so that what a killed worker held comes back soon.
PATIENT = {
    "NITAMONO_VISIBILITY_TIMEOUT_S": "8",
    "NITAMONO_INDEXING_MAX_RETRIES": "90",
    "ELASTICSEARCH_MAX_RETRIES": "0",
    "NITAMONO_BATCH_SIZE": "16",
}


@dataclass
class Run:
    """Workers that index events while things fail, and the ledger of these events."""

    shop: Shop
    ledger: Shop
    worker: WorkerFactory
    environ: Mapping[str, str]
    queue: Submission
    photos: list[str]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    sent: list[Event] = field(default_factory=list)
    running: RunningService | None = None

    @classmethod
    def open(
        cls, es: Elasticsearch, prefix: str, folder: Path, worker: WorkerFactory, urls: tuple[str, str]
    ) -> Run:
        """Two empty indices, and no worker yet. urls: of Elasticsearch and Redis."""
        shop = Shop.open(es, f"{prefix}-shop", folder / "shop")
        ledger = Shop.open(es, f"{prefix}-ledger", folder / "ledger", roots=shop.settings.roots)
        environ = shop.environ(*urls, **PATIENT)
        photos = [shop.photo(colour) for colour in (RED, GREEN, BLUE)]
        return cls(shop, ledger, worker, environ, submission(environ), photos)

    def start(self, processes: int = 2) -> None:
        """Start a worker; one that runs is killed first, with all of its processes."""
        if self.running:
            self.running.kill()
        self.running = self.worker(processes=processes, **self.environ)

    def kill_a_process(self) -> None:
        """End one of the worker's processes by SIGKILL, whatever it is doing."""
        assert self.running
        if children := psutil.Process(self.running.pid).children():
            self.chance.choice(children).kill()

    def events(self, count: int, items: int) -> list[Event]:
        """Events of so many items in disorder, some of them twice: half are complete, the others changes and
        removals. Each has an instant of its own, later than that of all before."""
        made = [self._event(len(self.sent) + number, items) for number in range(count)]
        made += self.chance.choices(made, k=count // 5)
        self.chance.shuffle(made)
        return made

    def _event(self, number: int, items: int) -> Event:
        of = {"item_id": f"m{self.chance.randrange(items)}", "updated_at": at(number)}
        price, status = self.chance.randrange(100, 200), self.chance.choice(["on_sale", "sold_out"])
        kind = self.chance.choice(["put", "put", "put", "price", "status", "photo", "remove"])
        changes: dict[str, Event] = {
            "price": {"op": "update", "price": price},
            "status": {"op": "update", "status": status},
            "photo": {"op": "update", "images": [self.chance.choice(self.photos)]},
            "remove": {"op": "remove"},
        }
        if kind in changes:
            return of | changes[kind]
        return make_event(**of, price=price, status=status, images=[self.chance.choice(self.photos)])

    def send(self, events: list[Event], size: int = CHUNK) -> None:
        """Put the events into the queue."""
        self.sent += events
        for chunk in chunked(events, size):
            self.queue.send(chunk)

    def check(self) -> None:
        """Every event has one outcome, no message is left, and every document is that of the ledger."""
        summary = self.queue.finish()
        assert summary.total == len(self.sent)
        assert set(summary.rejected) <= KEPT_UNTIL_KNOWN
        unacked = self.queue.settings.unacked_key
        wait_until(lambda: not self.queue.client.hlen(unacked), "every message is acknowledged")
        assert count_queued(self.queue.client, self.queue.settings.queue) == 0

        for chunk in chunked(sorted(self.sent, key=lambda event: event["updated_at"]), 250):
            self.ledger.index(*chunk)
        ids = sorted({event["item_id"] for event in self.sent})
        for part in chunked(ids, 500):
            assert stored_items(self.shop, part) == stored_items(self.ledger, part)


@pytest.fixture
def run(
    es: Elasticsearch,
    index_prefix: str,
    tmp_path: Path,
    worker: WorkerFactory,
    elasticsearch_url: str,
    own_redis: RunningService,
) -> Run:
    """A run with a Redis of its own."""
    return Run.open(es, index_prefix, tmp_path, worker, (elasticsearch_url, own_redis.url))


@contextmanager
def blocked(shop: Shop, block: str) -> Iterator[None]:
    """Elasticsearch takes no writes meanwhile, as when a disk is full or an administrator forbids them."""
    index = shop.index_name
    shop.es.indices.put_settings(index=index, settings={f"index.blocks.{block}": True})
    try:
        yield
    finally:
        shop.es.indices.put_settings(index=index, settings={f"index.blocks.{block}": None})


def kill_processes(run: Run, times: int, items: int) -> None:
    """End processes while events are sent, each after some were indexed since the last one."""
    run.start()
    for _ in range(times):
        run.send(run.events(40, items))
        time.sleep(run.chance.uniform(0.0, 1.0))
        run.kill_a_process()
    run.check()


def test_processes_are_killed_at_random_points(run: Run) -> None:
    """Eight times."""
    kill_processes(run, times=8, items=60)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_processes_are_killed_fifty_times(run: Run) -> None:
    """The same for longer."""
    kill_processes(run, times=scaled(50), items=200)


def test_the_same_event_a_hundred_times(run: Run) -> None:
    """Once for each message, to four processes: one document of one version."""
    run.start(processes=4)
    run.send([make_event(item_id="m1", updated_at=at(1), images=run.photos[:1])] * 100, size=1)
    run.check()
    run.shop.es.indices.refresh(index=run.shop.index_name)
    assert run.shop.es.get(index=run.shop.index_name, id="m1")["_version"] == 1


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_thousand_events_in_disorder(run: Run) -> None:
    """Of 1,500 items, changes and removals among them, a fifth of them twice, to four processes."""
    run.start(processes=4)
    run.send(run.events(scaled(10_000), items=1_500), size=64)
    run.check()


def test_producers_whose_clocks_differ(run: Run) -> None:
    """The order is that of their clocks, whoever sends first; an event further ahead than clocks are is
    rejected with its reason, and blocks nothing."""
    run.start()
    now = time.time()
    ahead, behind = (
        make_event(item_id="m1", price=price, updated_at=instant(now + seconds), images=run.photos[:1])
        for price, seconds in ((1, 240.0), (2, -240.0))
    )
    run.send([ahead])
    run.send([behind])
    assert run.queue.finish().rejected == {}
    run.check()
    assert run.shop.documents()["m1"]["price"] == 1

    run.queue.send([make_event(item_id="m1", price=3, updated_at=instant(now + 86_400))])
    assert run.queue.finish().rejected == {"updated_at_in_future": 1}
    assert run.shop.documents()["m1"]["price"] == 1


def instant(seconds: float) -> str:
    """The instant of a Unix time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_disk_is_full(
    own_elasticsearch: RunningService, tmp_path: Path, worker: WorkerFactory, redis_url: str
) -> None:
    """Elasticsearch blocks the index at the flood stage, answers 429, and lifts the block by itself."""
    disk = "cluster.routing.allocation.disk"
    free = {"low": "102tb", "high": "101tb", "flood_stage": "100tb"}
    full = {f"{disk}.watermark.{stage}": room for stage, room in free.items()}
    watched = {f"{disk}.threshold_enabled": "true", "cluster.info.update.interval": "10s"}
    with Elasticsearch(own_elasticsearch.url) as es:
        run = Run.open(es, "full", tmp_path, worker, (own_elasticsearch.url, redis_url))
        run.start()
        run.send(run.events(40, items=20))
        es.cluster.put_settings(transient=full | watched)
        wait_until(lambda: is_blocked(es, run.shop.index_name), "the index is blocked", 60)
        run.send(run.events(40, items=20))
        time.sleep(5)
        assert count_left(run.queue) > 0
        es.cluster.put_settings(transient=dict.fromkeys(full))
        run.check()


def is_blocked(es: Elasticsearch, index: str) -> bool:
    """Whether the index takes no documents until a disk has room."""
    settings_of = es.indices.get_settings(index=index, flat_settings=True)[index]["settings"]
    return settings_of.get("index.blocks.read_only_allow_delete") == "true"


def count_left(queue: Submission) -> int:
    """Messages that are queued or held by workers."""
    held = int(queue.client.hlen(queue.settings.unacked_key))
    return count_queued(queue.client, queue.settings.queue) + held


class Faults(RuleBasedStateMachine):
    """Events and faults in an order that hypothesis chooses."""

    run: Run
    redis: RunningService

    @rule(count=st.integers(1, 40), size=st.sampled_from([1, CHUNK, 64]))
    def events(self, count: int, size: int) -> None:
        """Some events arrive, in messages of a size."""
        self.run.send(self.run.events(count, items=40), size)

    @rule(seconds=st.floats(0.0, 0.5))
    def kill_a_process(self, seconds: float) -> None:
        """One process ends."""
        time.sleep(seconds)
        self.run.kill_a_process()

    @rule()
    def replace_the_worker(self) -> None:
        """All processes end, and another worker starts."""
        self.run.start()

    @rule(end=st.sampled_from(["stop", "kill"]))
    def restart_redis(self, end: str) -> None:
        """It comes back with its data."""
        getattr(self.redis, end)()
        self.redis.start()

    @rule()
    def lose_redis(self) -> None:
        """It comes back without its data: who waits for results sends the messages again."""
        self.run.queue.client.flushdb()

    @rule(block=st.sampled_from(["read_only_allow_delete", "write", "read_only"]), seconds=st.floats(0, 3))
    def block_writes(self, block: str, seconds: float) -> None:
        """Elasticsearch refuses documents for some seconds, after which there are more."""
        with blocked(self.run.shop, block):
            self.run.send(self.run.events(10, items=40))
            time.sleep(seconds)

    def teardown(self) -> None:
        """The index is that of the ledger."""
        self.run.check()


def survive(run: Run, redis: RunningService, *, sequences: int, steps: int) -> None:
    """Run some sequences of faults; the first is always the simplest that there is."""
    run.start()
    machine: Callable[[], Faults] = type("Machine", (Faults,), {"run": run, "redis": redis})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_faults_in_any_order(run: Run, own_redis: RunningService) -> None:
    """A dozen steps."""
    survive(run, own_redis, sequences=2, steps=12)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_many_faults_in_any_order(run: Run, own_redis: RunningService) -> None:
    """Many more."""
    survive(run, own_redis, sequences=scaled(15), steps=20)

"""Any message on a queue: the worker's process survives, and nothing is lost."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from events.indices import REJECTED_BODY
from events.names import STORE_EVENTS, event_indices, rejected_events_index
from events.schema import parse_message as parse_event
from events.worker.arguments import TASKS as EVENT_TASKS
from events.worker.rejected import RejectedEvents
from events.worker.settings import EventSettings
from indexer.intake.submission import ResultMissing, read_results
from indexer.worker.arguments import TASKS as INDEX_TASKS
from mappings.client import ElasticsearchSettings
from mappings.creation import ensure_index
from mappings.errors import InvalidEvent
from mappings.failures import DOCUMENT_REJECTED
from mappings.scan import pages
from queues.lanes import count_queued, unacked_key
from queues.listings.names import INDEX_TASK, REMOVE_TASK
from queues.messages import MessageRefused, TaskMessage, Tasks, parse_message
from queues.refused_messages import RefusedMessages
from tests.conftest import WorkerFactory
from tests.events import message as make_message
from tests.factories import make_event
from tests.indexing import Shop, submission
from tests.messages import NO_MESSAGES, call, make_envelope, mutated
from tests.waiting import wait_until

COUNT = int(os.environ.get("NITAMONO_FUZZ_MESSAGES", "500"))
"""Messages for each queue. Decision 144 has the figures of 10,000."""


@dataclasses.dataclass(frozen=True)
class Queue:
    """A queue in Redis, with its refused messages."""

    client: redis.Redis
    name: str

    @property
    def refused(self) -> dict[bytes, str]:
        """The refused messages, each with its reason."""
        return {message.raw: message.reason for message in self.search()}

    def search(self) -> list[Any]:
        """The refused messages."""
        return list(RefusedMessages(self.client, self.name).search())

    def push(self, *messages: bytes) -> None:
        """Put the messages at the end of the queue."""
        self.client.lpush(self.name, *messages)

    def count(self) -> int:
        """Messages that wait or that workers hold."""
        return count_queued(self.client, self.name) + int(self.client.hlen(unacked_key(self.name)))

    def wait_until_done(self, seconds: float = 60.0) -> None:
        """Return once no message is left, seen twice: one on its way to a worker is in neither place."""
        end, empty = time.monotonic() + seconds, 0
        while empty < 2:
            empty = 0 if self.count() else empty + 1
            assert time.monotonic() < end, f"{self.count()} messages left after {seconds} s"
            time.sleep(0.2)


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index."""
    return Shop.open(es, index_prefix, tmp_path)


@pytest.fixture
def listings(redis_url: str, index_prefix: str) -> Queue:
    """The queue of listings."""
    return Queue(redis.Redis.from_url(redis_url), f"nitamono-{index_prefix}")


@pytest.fixture
def events(redis_url: str, index_prefix: str) -> Queue:
    """The queue of events."""
    settings = EventSettings(ElasticsearchSettings(prefix=index_prefix))
    return Queue(redis.Redis.from_url(redis_url), settings.queue)


def command(environ: dict[str, str], *words: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(main, words, env=environ)
    assert result.exit_code == 0, result.output
    return result.output


def dumped(envelope: Any) -> bytes:
    """The envelope as bytes."""
    return json.dumps(envelope).encode()


def sorted_out(raws: Sequence[bytes], tasks: Tasks) -> tuple[list[TaskMessage], list[bytes]]:
    """Return the messages that a worker accepts, and those that it refuses."""
    taken, refused = [], []
    for raw in raws:
        try:
            taken.append(parse_message(raw, tasks, longest_wait=timedelta(minutes=2)))
        except MessageRefused:
            refused.append(raw)
    return taken, refused


@pytest.mark.soak
def test_any_message_on_the_queue_of_listings(
    shop: Shop, worker: WorkerFactory, listings: Queue, elasticsearch_url: str, redis_url: str
) -> None:
    """Each taken one has a summary of all its events, each other one is kept as it was pushed."""
    running = worker(**shop.environ(elasticsearch_url, redis_url))
    pid = running.pid
    raws = list(
        mutated(random.Random(1), INDEX_TASK, lambda n: make_event(item_id=f"f{n}", images=[]), COUNT)
    )
    taken, refused = sorted_out(raws, INDEX_TASKS)
    listings.push(*raws)
    listings.wait_until_done(60 + COUNT / 10)

    assert running.pid == pid
    assert psutil.pid_exists(pid)
    assert Counter(message.raw for message in listings.search()) == Counter(refused)
    results = read_results(listings.client, [message.id for message in taken])
    for message in taken:
        entries = message.args[0] if message.args else message.kwargs["events"]
        assert results[message.id]["status"] == "SUCCESS", (message, results[message.id])
        assert results[message.id]["result"]["total"] == len(entries)
    assert len(taken) > COUNT / 6


@pytest.mark.soak
def test_any_message_on_the_queue_of_events(
    es: Elasticsearch,
    index_prefix: str,
    events_worker: WorkerFactory,
    events: Queue,
) -> None:
    """Events of an accepted one are stored or rejected, a refused one is stored as it was pushed."""
    running = events_worker()
    pid = running.pid
    made = [make_message("tap", item_id=f"m{number}") for number in range(COUNT)]
    raws = list(mutated(random.Random(2), STORE_EVENTS, lambda n: made[n], COUNT))
    taken, refused = sorted_out(raws, EVENT_TASKS)
    events.push(*raws)
    events.wait_until_done(60 + COUNT / 10)

    assert running.pid == pid
    assert psutil.pid_exists(pid)
    assert Counter(message.raw for message in events.search()) == Counter(refused)
    ensure_index(es, rejected_events_index(index_prefix), REJECTED_BODY)
    es.indices.refresh(index=f"{index_prefix}-events-*")
    rejected = [hit["_source"] for hit in RejectedEvents(es, index_prefix).index.search()]
    everywhere = pages(es, event_indices(index_prefix), {"match_all": {}})
    stored = {hit["_id"] for hits in everywhere for hit in hits}
    unfit = {source["event_id"] for source in rejected if source["reason"] == DOCUMENT_REJECTED}
    ids, others = outcomes(taken)
    assert stored | unfit == ids
    assert len(rejected) - len(unfit) == len(others)
    assert len(taken) > COUNT / 6


def outcomes(taken: Sequence[TaskMessage]) -> tuple[set[str], set[str]]:
    """The ids of the events in the messages, and the entries that are no events, as text."""
    ids, others = set(), set()
    for message in taken:
        for entry in message.args[0] if message.args else message.kwargs["messages"]:
            try:
                ids.add(parse_event(entry).event_id)
            except InvalidEvent:
                others.add(json.dumps(entry, sort_keys=True))
    return ids, others


def test_refused_messages_are_listed_replayed_and_dropped(
    shop: Shop, worker: WorkerFactory, listings: Queue, elasticsearch_url: str, redis_url: str
) -> None:
    """With their bytes; valid ones are indexed, however late, the rest stays until dropped."""
    environ = shop.environ(elasticsearch_url, redis_url)
    expired = make_envelope(INDEX_TASK, call([shop.event("late")]))
    expired["headers"]["expires"] = "2020-01-01T00:00:00Z"
    bare = dumped(make_envelope(INDEX_TASK, shop.event("bare")))
    listings.push(dumped(expired), bare, b"\xff\x00")
    pid = (running := worker(**environ)).pid
    listings.wait_until_done()

    assert listings.refused == {
        dumped(expired): "message_expired",
        bare: "message_malformed",
        b"\xff\x00": "message_malformed",
    }
    listed = [
        json.loads(line)
        for line in command(environ, "indexer", "dead-letters", "list", "--json").splitlines()
    ]
    assert {entry.get("raw", entry.get("raw_base64")) for entry in listed} == {
        dumped(expired).decode(),
        bare.decode(),
        "/wA=",
    }

    replayed = command(environ, "indexer", "dead-letters", "replay", "--all")
    assert "put back on the queue: 1." in replayed
    assert "refused again: 2." in replayed
    listings.wait_until_done()
    assert set(shop.documents()) == {"late"}
    assert "Deleted 2 dead letters." in command(environ, "indexer", "dead-letters", "drop", "--all", "--yes")
    assert listings.refused == {}
    assert running.pid == pid


def test_refused_messages_of_events_are_listed_replayed_and_dropped(
    es: Elasticsearch,
    index_prefix: str,
    events_worker: WorkerFactory,
    events: Queue,
    elasticsearch_url: str,
    redis_url: str,
) -> None:
    """By the commands of rejected events."""
    environ = {
        "ELASTICSEARCH_URL": elasticsearch_url,
        "NITAMONO_REDIS_URL": redis_url,
        "NITAMONO_INDEX_PREFIX": index_prefix,
    }
    expired = make_envelope(STORE_EVENTS, call([make_message()]))
    expired["headers"]["expires"] = "2020-01-01T00:00:00Z"
    string = dumped(make_envelope(STORE_EVENTS, call("tap")))
    events.push(dumped(expired), string, *NO_MESSAGES)
    events_worker()
    events.wait_until_done()

    assert events.refused[string] == "arguments_invalid"
    assert "1 arguments_invalid, 1 message_expired" in command(environ, "events", "rejected", "list")
    assert "put back on the queue: 1." in command(environ, "events", "rejected", "replay", "--all")
    events.wait_until_done()
    es.indices.refresh(index=event_indices(index_prefix))
    assert es.count(index=event_indices(index_prefix))["count"] == 1
    dropped = command(environ, "events", "rejected", "drop", "--all", "--yes")
    assert dropped == f"Deleted {len(NO_MESSAGES) + 1} rejected events.\n"


def test_a_string_for_the_list_of_removals_removes_nothing(
    shop: Shop, worker: WorkerFactory, listings: Queue, elasticsearch_url: str, redis_url: str
) -> None:
    """A dict keeps its values."""
    shop.index(*(shop.event(item_id) for item_id in ("f", "p", "2", "fp2")))
    calls = [call("fp2", "2026-11-01T00:00:00Z"), call({"fp2": {"reason": "sold"}}, "2026-11-01T00:00:00Z")]
    raws = [dumped(make_envelope(REMOVE_TASK, body)) for body in calls]
    listings.push(*raws)
    worker(**shop.environ(elasticsearch_url, redis_url))
    listings.wait_until_done()

    assert listings.refused == dict.fromkeys(raws, "arguments_invalid")
    assert {document["status"] for document in shop.documents().values()} == {"on_sale"}


def test_a_listing_that_looks_like_kombu_s_own_json_is_indexed(
    shop: Shop, worker: WorkerFactory, listings: Queue, elasticsearch_url: str, redis_url: str
) -> None:
    """Unchanged, with its neighbours: neither Celery's decoder nor a check takes it for a date."""
    environ = shop.environ(elasticsearch_url, redis_url)
    marked = [{"__type__": kind, "__value__": "2026-01-01"} for kind in ("x", "datetime")]
    worker(**environ)
    queue = submission(environ)
    queue.send([shop.event("m0"), *(shop.event(f"m{n}", attributes=odd) for n, odd in enumerate(marked, 1))])

    assert (queue.finish().indexed, listings.refused) == (3, {})
    documents = shop.documents()
    assert [documents[item_id]["attributes"] for item_id in ("m1", "m2")] == marked


def test_a_command_that_waits_reports_a_refused_message(
    shop: Shop, worker: WorkerFactory, listings: Queue, elasticsearch_url: str, redis_url: str
) -> None:
    """At once and with its reason; the message is stored once."""
    environ = shop.environ(elasticsearch_url, redis_url)
    worker(**environ)
    queue = submission(environ)
    queue.task = "indexer.of_tomorrow"
    queue.send([shop.event("a"), shop.event("b")])
    queue.task = REMOVE_TASK
    queue.send([shop.event("c")])

    assert queue.finish().rejected == {"task_unknown": 2, "arguments_invalid": 1}
    assert sorted(listings.refused.values()) == ["arguments_invalid", "task_unknown"]


def test_a_chunk_that_vanishes_each_time_is_reported(
    shop: Shop,
    listings: Queue,
    elasticsearch_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After four attempts. The submission watches another queue here than it sends to."""
    monkeypatch.setattr("indexer.intake.submission.LOST_AFTER_S", 0.05)
    queue = submission(shop.environ(elasticsearch_url, redis_url))
    elsewhere = dataclasses.replace(queue.settings.elasticsearch, prefix=f"{shop.settings.prefix}-elsewhere")
    queue.settings = dataclasses.replace(queue.settings, elasticsearch=elsewhere)
    queue.send([shop.event("a"), shop.event("b")])

    with pytest.raises(ResultMissing, match="No result for 2 listings after 4 attempts"):
        queue.finish()
    assert listings.count() == 4


def test_invalid_unacknowledged_entries_do_not_block_the_start(
    shop: Shop, worker: WorkerFactory, listings: Queue, elasticsearch_url: str, redis_url: str
) -> None:
    """A poison message of an earlier version, and entries that are no messages."""
    poison = make_envelope(INDEX_TASK, [[]])
    sound = make_envelope(INDEX_TASK, call([shop.event("m1")]))
    held = {
        "poison": dumped([poison, "nitamono", "nitamono"]),
        "sound": dumped([sound, "", "elsewhere"]),
        "number": b"5",
        "bytes": b"\xff",
        "list": b"[[], {}, {}]",
    }
    listings.client.hset(f"{listings.name}-unacked", mapping=held)
    listings.client.zadd(f"{listings.name}-unacked-index", dict.fromkeys([*held, "nowhere"], 1.0))
    worker(**shop.environ(elasticsearch_url, redis_url))
    listings.wait_until_done()

    assert set(listings.refused) == {dumped(poison), b"5", b"\xff", b"[]"}
    assert set(shop.documents()) == {"m1"}


def test_control_messages_of_any_shape_are_ignored(
    shop: Shop, worker: WorkerFactory, listings: Queue, elasticsearch_url: str, redis_url: str
) -> None:
    """Broadcasts such as those of `celery inspect`; the worker still answers valid ones."""
    running = worker(**shop.environ(elasticsearch_url, redis_url))
    pid = running.pid
    database = listings.client.connection_pool.connection_kwargs["db"]
    rng = random.Random(3)
    raws = [
        # First: after an error in what a message asks for, Celery subscribes anew, and misses some.
        *(b"[" * depth for depth in (900, 1_000, 10_000)),
        *mutated(rng, "ping", lambda _: {"method": "ping", "arguments": {}}, 100),
        *(
            dumped(make_envelope("x", body))
            for body in ([], 5, {"method": 5}, {"method": "x", "arguments": 5})
        ),
    ]
    while not listings.client.pubsub_numpat():  # it subscribes a moment after it takes tasks
        time.sleep(0.05)
    for raw in raws:
        listings.client.publish(f"/{database}.celery.pidbox", raw)
    queue = submission(shop.environ(elasticsearch_url, redis_url))
    queue.send([shop.event("m1")])

    assert queue.finish().indexed == 1
    # It subscribes anew after an error in what a message asks for, so some pings are lost.
    wait_until(lambda: queue.producer.control.ping(timeout=1.0), "the worker answers")
    assert running.pid == pid

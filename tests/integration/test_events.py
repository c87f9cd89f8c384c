"""Events from the API to documents, with a real queue and worker."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import redis
from celery import Celery
from celery.exceptions import Reject
from click.testing import CliRunner
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

import cli
from events.names import STORE_EVENTS, event_indices, event_queue, rejected_events_index
from events.user_ids import user_hash
from events.worker import tasks
from events.worker.app import configuration, work_queue
from events.worker.settings import EventSettings
from events.worker.store import EventStore, StoreSummary
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import create_index
from query.api.app import create_app
from query.api.settings import QuerySettings
from queues.refused_messages import RefusedMessages
from tests.conftest import RunningService, WorkerFactory
from tests.events import SALT, make_shopping_event, message
from tests.factories import make_identity, make_listing
from tests.waiting import wait_until

Command = Callable[..., str]


def now_event(kind: str = "tap", **changes: Any) -> dict[str, Any]:
    """An event of now."""
    return make_shopping_event(kind, **({"time": datetime.now(UTC).isoformat()} | changes))


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str) -> str:
    """The prefix of an index with three listings, m1 to m3."""
    index = create_index(es, index_prefix, make_identity())
    swap_aliases(es, index_prefix, index)
    for number in (1, 2, 3):
        listing = make_listing(item_id=f"m{number}", price=1000 * number, seller_id=f"s{number}")
        document = listing.to_event() | {
            "category_paths": ["Apparel"],
            "encoder_id": "colour-00000001",
            "indexed_at": "2026-01-03T00:00:00Z",
        }
        es.index(index=index, id=listing.item_id, document=document, refresh=True)
    return index_prefix


@pytest.fixture
def api(es: Elasticsearch, elasticsearch_url: str, redis_url: str, index_prefix: str) -> FlaskClient:
    """The API, with a salt."""
    settings = QuerySettings(
        ElasticsearchSettings((elasticsearch_url,), prefix=index_prefix),
        redis_url=redis_url,
        user_salt=SALT,
    )
    return create_app(settings, es).test_client()


@pytest.fixture
def command(elasticsearch_url: str, redis_url: str, index_prefix: str) -> Command:
    """Return the output of a command of `nitamono events`."""
    environ = {
        "ELASTICSEARCH_URL": elasticsearch_url,
        "NITAMONO_REDIS_URL": redis_url,
        "NITAMONO_INDEX_PREFIX": index_prefix,
        "NITAMONO_USER_SALT": SALT,
    }

    def run(*words: str) -> str:
        result = CliRunner().invoke(cli.main, ["events", *words], env=environ)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def stored(es: Elasticsearch, prefix: str) -> dict[str, dict[str, Any]]:
    """Every stored event by id."""
    # An index that was made just now, or between two of these requests, answers 503 until it has started.
    es.cluster.health(index=event_indices(prefix), wait_for_status="yellow", timeout="10s")
    es.indices.refresh(index=event_indices(prefix), allow_no_indices=True)
    answer = es.options(ignore_status=503).search(index=event_indices(prefix), size=10_000)
    hits = answer["hits"]["hits"] if "hits" in answer else []
    assert len({hit["_id"] for hit in hits}) == len(hits)
    return {hit["_id"]: hit["_source"] for hit in hits}


def test_posted_events_are_stored_with_listing_fields(
    api: FlaskClient, events_worker: WorkerFactory, es: Elasticsearch, shop: str
) -> None:
    """Of every type; the user id is a hash, and an item that is not indexed has no seller and price."""
    events_worker()
    kinds = ("impression", "tap", "item_view", "purchase", "complaint")
    shown = [{"item_id": "m2", "position": 1}, {"item_id": "gone", "position": 2}]
    sent = [now_event(kind, **({"items": shown} if kind == "impression" else {})) for kind in kinds]
    answer = api.post("/v1/events", json={"events": [*sent, {"type": "click"}]})
    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["accepted"] == 5
    assert [entry["index"] for entry in answer.json["rejected"]] == [5]

    wait_until(lambda: len(stored(es, shop)) == 5)
    found = stored(es, shop)
    impression, purchase = (found[sent[place]["event_id"]] for place in (0, 3))
    assert (impression["query_category"], impression["query_price"]) == (
        ["Apparel", "Bottomwear", "Skirts"],
        1000.0,
    )
    known, unknown = impression["items"]
    assert known == {
        "item_id": "m2",
        "position": 1,
        "seller_id": "s2",
        "price": 2000.0,
        "created_at": "2026-01-01T09:00:00.000000Z",
    }
    assert unknown == {"item_id": "gone", "position": 2}
    assert purchase["seller_id"] == "s2"
    assert {event["user_id"] for event in found.values()} == {user_hash(SALT, "u1@example.org")}
    assert "u1@example.org" not in repr(found)


def test_the_log_equals_the_posted_events(
    api: FlaskClient, events_worker: WorkerFactory, command: Command, shop: str, tmp_path: Path
) -> None:
    """Sent twice and out of order, and read from the rows of parquet files."""
    rng = random.Random(7)
    sent = [
        now_event(rng.choice(["tap", "item_view", "purchase"]), user_id=f"u{rng.randrange(9)}")
        for _ in range(90)
    ]
    for batch in (sent[60:], sent[:60], sent[30:]):
        assert api.post("/v1/events", json={"events": batch}).status_code == 202
    events_worker()
    assert "90 events" in command("export", str(tmp_path), "--wait", "60")

    rows = {
        row["event_id"]: row
        for path in tmp_path.rglob("*.parquet")
        for row in pq.read_table(path, partitioning=None).to_pylist()
    }
    assert len(rows) == 90
    for event in sent:
        expected = event | {
            "user_id": user_hash(SALT, event["user_id"]),
            "time": datetime.fromisoformat(event["time"]),
            "seller_id": "s2",
        }
        row = rows[event["event_id"]]
        assert row == {name: expected[name] for name in row}


def test_repeated_and_shuffled_deliveries_store_each_event_once(es: Elasticsearch, shop: str) -> None:
    """The counts add up."""
    messages = [message("item_view", item_id=f"m{number}") for number in range(40)]
    deliveries = messages * 3
    random.Random(5).shuffle(deliveries)
    store, total = EventStore(es, shop), StoreSummary()
    for start in range(0, len(deliveries), 15):
        summary = store.store(deliveries[start : start + 15])
        total = StoreSummary(total.stored + summary.stored, total.repeated + summary.repeated)
    assert (total.stored, total.repeated) == (40, 80)
    assert stored(es, shop).keys() == {each["event_id"] for each in messages}


def test_events_go_to_the_index_of_their_day(es: Elasticsearch, shop: str) -> None:
    """Not of the day they arrived on."""
    times = ("2026-10-31T23:59:59.999999Z", "2026-11-01T00:00:00Z")
    EventStore(es, shop).store([message() | {"time": moment} for moment in times])
    assert sorted(es.indices.get(index=event_indices(shop))) == [
        f"{shop}-events-2026.10.31",
        f"{shop}-events-2026.11.01",
    ]


def test_events_that_can_never_be_stored_are_rejected_with_a_reason(es: Elasticsearch, shop: str) -> None:
    """No event, a raw user id, a document that the index rejects; the others are stored."""
    raw = message() | {"user_id": "u1@x.org"}
    refused = message() | {"time": "2300-01-01T00:00:00Z"}  # beyond date_nanos
    summary = EventStore(es, shop).store(["noise", raw, refused, message()])
    assert summary.stored == 1
    assert summary.rejected == {"event_wrong_type": 1, "user_id_malformed": 1, "document_rejected": 1}

    es.indices.refresh(index=rejected_events_index(shop))
    kept = es.search(index=rejected_events_index(shop))["hits"]["hits"]
    assert {hit["_source"]["reason"] for hit in kept} == summary.rejected.keys()
    assert "u1@x.org" not in repr(kept)
    assert any("failed to parse field [time]" in hit["_source"]["detail"] for hit in kept)


def test_a_user_is_erased_from_the_queue_too(
    api: FlaskClient, events_worker: WorkerFactory, es: Elasticsearch, command: Command, shop: str
) -> None:
    """Events that were accepted before the command are erased, stored or not."""
    for user in ("alice", "bob"):
        assert api.post("/v1/events", json={"events": [now_event(user_id=user)]}).status_code == 202
    assert stored(es, shop) == {}
    events_worker()
    assert command("erase", "alice", "--wait", "60") == "Erased 1 stored event.\n"
    assert {event["user_id"] for event in stored(es, shop).values()} == {user_hash(SALT, "bob")}


def test_a_killed_worker_loses_nothing(
    events_worker: WorkerFactory, es: Elasticsearch, redis_url: str, shop: str
) -> None:
    """Its messages are delivered to the next one after the visibility timeout."""
    patient = {"NITAMONO_VISIBILITY_TIMEOUT_S": "6"}
    first = events_worker(**patient, ELASTICSEARCH_URL="http://127.0.0.1:9")
    settings = EventSettings(ElasticsearchSettings(prefix=shop), redis_url, 6.0)
    producer = Celery(set_as_current=False)
    producer.conf.update(configuration(settings) | {"imports": ()})
    messages = [[message() for _ in range(20)] for _ in range(10)]
    for events in messages:
        producer.send_task(STORE_EVENTS, args=[events])
    queue = redis.Redis.from_url(redis_url)
    wait_until(lambda: queue.hlen(f"{event_queue(shop)}-unacked") > 0)
    first.kill()
    assert queue.hlen(f"{event_queue(shop)}-unacked") > 0, "it was killed while it held a message"
    events_worker(**patient)
    wait_until(lambda: len(stored(es, shop)) == 200)
    wait_until(lambda: queue.hlen(f"{event_queue(shop)}-unacked") == 0)


@pytest.fixture
def in_process(es: Elasticsearch, redis_url: str, shop: str, monkeypatch: pytest.MonkeyPatch) -> EventStore:
    """The task of this process works for the shop."""
    store = EventStore(es, shop)
    settings = EventSettings(ElasticsearchSettings(prefix=shop), redis_url, 3.0)
    for name, value in (("store", store), ("settings", settings), ("queue", work_queue(settings))):
        monkeypatch.setattr(tasks, name, lambda value=value: value)
    return store


def rejected_reasons(store: EventStore) -> list[str]:
    """Why events of the shop are rejected."""
    return [hit["_source"]["reason"] for hits in store.rejected.index.pages() for hit in hits]


def test_a_message_that_ends_its_workers_is_rejected(in_process: EventStore, es: Elasticsearch) -> None:
    """After five of them. The count restarts after a delivery that comes to an end."""
    for _ in range(6):
        tasks.store_events.apply(args=[[message()]], task_id="m1").get()
    assert rejected_reasons(in_process) == []
    for _ in range(5):
        tasks.queue().deliveries.begin("m1:0")
    tasks.store_events.apply(args=[[message()]], task_id="m1").get()
    assert rejected_reasons(in_process) == ["worker_lost"]
    assert len(stored(es, in_process.prefix)) == 6


def test_a_broken_task_keeps_its_events(in_process: EventStore) -> None:
    """Celery would drop them."""
    tasks.store_events.on_failure(ValueError("a fault of ours"), "t1", [[message(), message()]], {})
    assert rejected_reasons(in_process) == ["task_failed", "task_failed"]


def test_an_event_that_needs_too_much_memory_is_rejected_and_the_others_stored(
    in_process: EventStore, es: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is processed in halves."""
    messages = [message() for _ in range(5)]
    store_all = EventStore.store

    def store(self: EventStore, part: Sequence[Any]) -> StoreSummary:
        if messages[3] in part:
            raise MemoryError
        return store_all(self, part)

    monkeypatch.setattr(EventStore, "store", store)
    tasks.store_events.apply(args=[messages]).get()
    assert rejected_reasons(in_process) == ["out_of_memory"]
    assert len(stored(es, in_process.prefix)) == 4


def test_a_broken_task_keeps_its_message_while_elasticsearch_is_away(
    in_process: EventStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Redis; in the queue it would fail again and again."""
    away = ElasticsearchSettings(("http://127.0.0.1:9",), max_retries=0)
    monkeypatch.setattr(tasks, "store", lambda: EventStore(connect(away), in_process.prefix))
    tasks.store_events.on_failure(ValueError("a fault of ours"), "t1", [[message()]], {})
    queue = tasks.settings().queue
    (kept,) = RefusedMessages(redis.Redis.from_url(redis_url), queue).search()
    assert kept.reason == "task_failed"
    assert redis.Redis.from_url(redis_url).llen(queue) == 0


def test_while_elasticsearch_is_away_the_message_goes_back(
    in_process: EventStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the queue, and its count of deliveries restarts."""
    away = ElasticsearchSettings(("http://127.0.0.1:9",), max_retries=0)
    monkeypatch.setattr(tasks, "store", lambda: EventStore(connect(away), in_process.prefix))
    with pytest.raises(Reject) as caught:
        tasks.store_events.run([message()])
    assert caught.value.requeue
    assert redis.Redis.from_url(redis_url).keys("*deliveries*") == []


def test_without_a_live_index_events_are_stored(es: Elasticsearch, index_prefix: str) -> None:
    """Without fields of listings."""
    sent = message("impression")
    assert EventStore(es, index_prefix).store([sent]).stored == 1
    assert stored(es, index_prefix) == {sent["event_id"]: sent}


def test_events_of_last_week_are_accepted(api: FlaskClient, es: Elasticsearch) -> None:
    """And older ones reported."""
    week = [now_event(time=(datetime.now(UTC) - timedelta(days=days)).isoformat()) for days in (6, 8)]
    answer = api.post("/v1/events", json={"events": week})
    assert answer.json is not None
    (rejected,) = answer.json["rejected"]
    assert (answer.json["accepted"], rejected["problems"][0]["reason"]) == (1, "time_too_old")


def test_a_restart_of_redis_goes_unnoticed(
    own_redis: RunningService, es: Elasticsearch, elasticsearch_url: str, index_prefix: str
) -> None:
    """A beacon is not repeated, so an old connection must not cost an event; while Redis is away, 503."""
    settings = QuerySettings(
        ElasticsearchSettings((elasticsearch_url,), prefix=index_prefix),
        redis_url=own_redis.url,
        user_salt=SALT,
    )
    api = create_app(settings, es).test_client()

    def post() -> int:
        return api.post("/v1/events", json={"events": [now_event()]}).status_code

    assert post() == 202
    own_redis.stop()
    assert post() == 503
    own_redis.start()
    assert post() == 202
    own_redis.stop()
    own_redis.start()
    assert post() == 202
    assert redis.Redis.from_url(own_redis.url).llen(event_queue(index_prefix)) == 3

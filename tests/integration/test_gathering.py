"""Messages of single events: gathered into one chunk, each with its own outcome, none lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from elasticsearch import Elasticsearch

from indexer.worker import tasks
from indexer.worker.bootstrap import work_queue
from indexer.worker.delivery import Delivery
from indexer.worker.gathering import MOST_BYTES
from mappings.failures import TransientFailure
from queues.listings.names import INDEX_TASK, REMOVE_TASK
from queues.messages import TaskMessage, parse_message
from queues.refused_messages import RESULT_KEY
from queues.work_queue import WorkQueue
from tests.indexing import GREEN, Shop, at, run_tasks_here


@pytest.fixture
def shop(
    es: Elasticsearch, index_prefix: str, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Shop:
    """A shop whose tasks run in this process."""
    shop = Shop.open(es, index_prefix, tmp_path)
    run_tasks_here(shop, redis_url, monkeypatch)
    return shop


@pytest.fixture
def queue(shop: Shop, redis_url: str) -> WorkQueue:
    """The shop's queue."""
    return work_queue(replace(shop.settings, redis_url=redis_url))


def message(*events: Any, task_id: str, **fields: Any) -> TaskMessage:
    return TaskMessage(INDEX_TASK, [list(events)], {}, task_id, **fields)


def send(queue: WorkQueue, messages: Sequence[TaskMessage | bytes]) -> None:
    for each in messages:
        queue.client.lpush(queue.name, each if isinstance(each, bytes) else each.to_bytes(queue.name))


def waiting(queue: WorkQueue) -> list[bytes]:
    """The messages in the queue, those that wait longest first."""
    return list(reversed(queue.client.lrange(queue.name, 0, -1)))


def parsed(queue: WorkQueue) -> list[TaskMessage]:
    longest = timedelta(seconds=queue.visibility_timeout_s)
    return [parse_message(raw, queue.tasks, longest_wait=longest) for raw in waiting(queue)]


def result_of(queue: WorkQueue, task_id: str) -> Any:
    stored = queue.client.get(f"{RESULT_KEY}{task_id}")
    return json.loads(stored)["result"] if stored else None


def no_list_is_left(queue: WorkQueue) -> bool:
    return not list(queue.client.scan_iter(f"{queue.name}:gathered:*"))


def test_what_waits_is_one_chunk_and_has_its_own_results(
    shop: Shop, queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rejected events too; of two events of one item the later counts."""
    chunks: list[int] = []
    index = shop.indexer.index

    def counted(events: Sequence[object], **options: Any) -> Any:
        chunks.append(len(events))
        return index(events, **options)

    monkeypatch.setattr(tasks, "indexer", lambda: SimpleNamespace(index=counted))
    send(queue, [message(shop.event("a"), task_id="one"), message({"item_id": "bad"}, task_id="two")])
    send(queue, [message(shop.event("b", updated_at=at(0)), shop.event("c"), task_id="three")])
    own = tasks.index_listings.apply(args=[[shop.event("b", updated_at=at(5))]]).get()

    assert chunks == [5]
    assert own["indexed"] == 1
    assert set(shop.documents()) == {"a", "b", "c"}
    assert result_of(queue, "one")["indexed"] == 1
    assert result_of(queue, "two")["rejected"]
    assert result_of(queue, "two")["total"] == 1
    assert (result_of(queue, "three")["outdated"], result_of(queue, "three")["indexed"]) == (1, 1)
    assert waiting(queue) == []
    assert no_list_is_left(queue)


def test_no_more_is_gathered_than_there_is_room(shop: Shop, queue: WorkQueue) -> None:
    """A chunk of the full size takes nothing."""
    size = shop.settings.batch_size
    send(queue, [message(shop.event(f"w{number}"), task_id=f"w{number}") for number in range(3)])
    tasks.index_listings.apply(args=[[shop.event(f"m{number}") for number in range(size)]]).get()
    assert len(waiting(queue)) == 3
    tasks.index_listings.apply(args=[[shop.event(f"m{number}") for number in range(size - 2)]]).get()
    assert [each.id for each in parsed(queue)] == ["w2"]
    tasks.index_listings.apply(args=[[shop.event("m1")]], retries=1).get()
    assert [each.id for each in parsed(queue)] == ["w2"]


def test_what_cannot_be_gathered_stays_where_it_is(shop: Shop, queue: WorkQueue) -> None:
    """Other tasks, later attempts, messages that wait for their time, and what the worker will refuse."""
    soon = datetime.now(UTC) + timedelta(seconds=30)
    kept: list[TaskMessage | bytes] = [
        b"no message",
        TaskMessage(REMOVE_TASK, [["r"], at(1)], {}, "removal"),
        message(shop.event("b"), task_id="again", retries=1),
        message(shop.event("c"), task_id="later", eta=soon),
    ]
    send(queue, [*kept, message(shop.event("d"), task_id="first")])
    before = waiting(queue)
    tasks.index_listings.apply(args=[[shop.event("a")]]).get()
    assert waiting(queue) == before[:4]
    assert set(shop.documents()) == {"a", "d"}

    queue.client.delete(queue.name)
    long = shop.event("e", title="x" * 900, attributes={f"a{n}": "v" * 256 for n in range(50)})
    send(queue, [message(*[long] * 8, task_id="long"), message(shop.event("f"), task_id="after")])
    assert len(waiting(queue)[0]) > MOST_BYTES
    tasks.index_listings.apply(args=[[shop.event("a")]]).get()
    assert [each.id for each in parsed(queue)] == ["long", "after"]
    assert no_list_is_left(queue)


def test_a_photo_that_waits_delays_its_own_message_alone(
    shop: Shop, queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next attempt is the second one, some seconds later; the others are done."""

    load = shop.indexer.photos.loader.load

    def slow_is_unavailable(references: Sequence[str], *rest: Any) -> Any:
        failure = TransientFailure("photo_unavailable", "503")
        return load(references, *rest) | dict.fromkeys(set(references) & {slow}, failure)

    slow = shop.photo(GREEN)
    loader: Any = SimpleNamespace(load=slow_is_unavailable)
    photos = replace(shop.indexer.photos, loader=loader)
    monkeypatch.setattr(tasks, "indexer", lambda: replace(shop.indexer, photos=photos))
    send(queue, [message(shop.event("slow", images=[slow]), task_id="slow")])
    tasks.index_listings.apply(args=[[shop.event("quick")]]).get()
    (again,) = parsed(queue)
    assert (again.id, again.retries) == ("slow", 1)
    assert again.eta is not None
    assert [event["item_id"] for event in again.args[0]] == ["slow"]
    assert result_of(queue, "slow") is None
    assert set(shop.documents()) == {"quick"}
    assert no_list_is_left(queue)


def test_what_a_process_had_gathered_when_it_died_is_processed_one_by_one(
    shop: Shop, queue: WorkQueue
) -> None:
    """Its own message is delivered again, and finds the list; one of the messages may have ended it."""
    gathered = [message(shop.event("a"), task_id="one"), message(shop.event("b"), task_id="two")]
    for each in gathered:
        queue.client.lpush(f"{queue.name}:gathered:own", each.to_bytes(queue.name))
    queue.client.lpush(f"{queue.name}:gathered:own", b"no message")
    tasks.index_listings.apply(args=[[shop.event("c")]], task_id="own").get()
    assert set(shop.documents()) == {"c"}
    assert waiting(queue)[-1] == b"no message"
    queue.client.lpop(queue.name)
    assert [(each.id, each.retries) for each in parsed(queue)] == [("one", 1), ("two", 1)]
    assert no_list_is_left(queue)


def test_a_task_whose_process_died_is_not_gathered(shop: Shop, queue: WorkQueue) -> None:
    """It has to run itself, to return what it had gathered."""
    queue.client.lpush(f"{queue.name}:gathered:one", message(shop.event("b"), task_id="two").to_bytes("q"))
    send(queue, [message(shop.event("a"), task_id="one")])
    tasks.index_listings.apply(args=[[shop.event("c")]]).get()
    assert [(each.id, each.retries) for each in parsed(queue)] == [("one", 0)]
    assert set(shop.documents()) == {"c"}


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, redis.ConnectionError])
def test_an_error_returns_what_was_gathered(
    shop: Shop, queue: WorkQueue, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """As second attempts, whatever becomes of the task itself."""

    def fail(*_: object) -> list[Delivery]:
        raise error

    monkeypatch.setattr(tasks, "deliver", fail)
    send(queue, [message(shop.event("a"), task_id="one"), message(shop.event("b"), task_id="two")])
    tasks.index_listings.apply(args=[[shop.event("c")]])
    assert [(each.id, each.retries) for each in parsed(queue)] == [("one", 1), ("two", 1)]
    assert no_list_is_left(queue)

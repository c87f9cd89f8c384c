"""Listings over HTTP: written, waited for, and what became of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from indexer.worker import tasks
from mappings.client import ElasticsearchSettings
from query.api.app import create_app
from query.api.settings import QuerySettings
from queues.lanes import unacked_key
from queues.messages import TaskMessage, parse_message
from queues.parking import GivenUp, ParkingLot
from queues.work_queue import WorkQueue
from tests.indexing import Shop, run_tasks_here
from tests.keys import make_key_ring
from tests.messages import events_in, live_messages

NOW = "2026-06-01T00:00:00Z"


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index."""
    return Shop.open(es, index_prefix, tmp_path)


@pytest.fixture
def queue(shop: Shop, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> WorkQueue:
    """The queue of listings, whose tasks run in this process."""
    return run_tasks_here(shop, redis_url, monkeypatch)


@pytest.fixture
def api_settings(shop: Shop, queue: WorkQueue, elasticsearch_url: str) -> QuerySettings:
    """The settings of the API of the shop."""
    cluster = ElasticsearchSettings(urls=(elasticsearch_url,), prefix=shop.settings.prefix)
    return QuerySettings(cluster, redis_url=queue.redis_url)


@pytest.fixture
def api(api_settings: QuerySettings, es: Elasticsearch) -> FlaskClient:
    """The API of the shop."""
    return create_app(api_settings, es, make_key_ring()).test_client()


def work(queue: WorkQueue) -> None:
    """Process what waits, as a worker does."""
    while raw := queue.client.rpop(queue.name):
        message = parse_message(raw, queue.tasks, longest_wait=timedelta(minutes=1))
        tasks.index_listings.apply(args=message.args, kwargs=message.kwargs, task_id=message.id).get()


@pytest.fixture
def worker_thread(queue: WorkQueue) -> Iterator[None]:
    """Something that processes what waits, for as long as the test runs."""
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            work(queue)
            time.sleep(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    done.set()
    thread.join()


def listing(shop: Shop, **changes: Any) -> dict[str, Any]:
    """A listing without its id and time."""
    event = shop.event("m1", **changes)
    return {name: value for name, value in event.items() if name not in {"item_id", "updated_at"}}


def state(api: FlaskClient, item_id: str) -> dict[str, Any]:
    """What is said of the indexing of an item."""
    answer = api.get(f"/v1/listings/{item_id}/indexing")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_a_listing_is_put_changed_and_removed(shop: Shop, queue: WorkQueue, api: FlaskClient) -> None:
    """Each write is queued, ordered by the time of its arrival, and visible as queued, then as indexed."""
    assert state(api, "m1")["state"] == "unknown"
    answer = api.put("/v1/listings/m1", json=listing(shop, price=1290))
    assert (answer.status_code, answer.json["state"]) == (202, "queued")
    assert answer.headers["Location"] == "/v1/listings/m1/indexing"
    assert state(api, "m1")["state"] == "queued"
    work(queue)
    found = state(api, "m1")
    assert found["state"] == "indexed"
    assert found["document"]["updated_at"] == answer.json["updated_at"]
    assert found["document"]["encoder_id"] == shop.encoder_id
    assert found["document"]["has_vector"]
    assert found["problem"] is None

    assert api.patch("/v1/listings/m1", json={"price": 990}).status_code == 202
    work(queue)
    document = shop.documents()["m1"]
    assert (document["price"], document["title"]) == (990, listing(shop)["title"])

    assert api.delete("/v1/listings/m1").status_code == 202
    work(queue)
    assert shop.documents()["m1"]["status"] == "removed"
    assert state(api, "m1")["document"]["status"] == "removed"


def test_an_event_keeps_the_time_that_it_is_sent_with(shop: Shop, queue: WorkQueue, api: FlaskClient) -> None:
    """So producers with an order of their own keep it; the item of the body must be that of the path."""
    api.put("/v1/listings/a%2F1", json={**listing(shop), "item_id": "a/1", "updated_at": NOW})
    api.patch("/v1/listings/7", json={"item_id": 7, "updated_at": NOW, "status": "sold_out"})
    api.delete("/v1/listings/m1", query_string={"updated_at": NOW})
    found = [(each["item_id"], each["op"], each["updated_at"]) for each in events_in(queue)]
    assert found == [("a/1", "put", NOW), ("7", "update", NOW), ("m1", "remove", NOW)]


def test_a_batch_is_a_job_with_an_outcome_for_each_item(
    shop: Shop, queue: WorkQueue, api: FlaskClient
) -> None:
    """Listings, changes and removals; the invalid ones are named at once, and again in the job."""
    batch = [
        shop.event("a"),
        {"item_id": "b"},
        shop.event("c", images=["missing.png"]),
        "no listing",
        shop.event("d", status="sold_out"),
    ]
    answer = api.post("/v1/listings:batch", json={"listings": batch})
    assert answer.status_code == 202, answer.text
    assert answer.json["accepted"] == 3
    assert [(each["index"], each["item_id"]) for each in answer.json["rejected"]] == [(1, "b"), (3, None)]
    path = answer.headers["Location"]
    assert path == f"/v1/jobs/{answer.json['job_id']}"
    job = api.get(path).json
    assert (job["state"], job["counts"]) == ("queued", {"queued": 3, "rejected": 2})
    work(queue)
    job = api.get(path).json
    assert job["state"] == "done"
    assert [(each["item_id"], each["outcome"]) for each in job["items"]] == [
        ("a", "indexed"),
        ("b", "rejected"),
        ("c", "indexed_without_vector"),
        (None, "rejected"),
        ("d", "indexed"),
    ]
    assert job["items"][2]["reason"].startswith("photo_")
    assert job["items"][2]["detail"]
    assert job["items"][2]["remedy"].startswith("Send a URL, or ")
    assert {each["remedy"] for each in answer.json["rejected"][0]["problems"]} == {"Add it."}
    assert api.get("/v1/jobs/none").status_code == 404


def test_a_batch_may_be_lines(shop: Shop, queue: WorkQueue, api: FlaskClient) -> None:
    """NDJSON; a line that is no JSON is rejected alone, and a message has 64 listings."""
    lines = [json.dumps(shop.event(f"m{n}", images=[])) for n in range(100)]
    lines[50:50] = ["", "{"]
    answer = api.post("/v1/listings:batch", data="\n".join(lines), content_type="application/x-ndjson")
    assert (answer.status_code, answer.json["accepted"]) == (202, 100)
    (rejected,) = answer.json["rejected"]
    assert (rejected["index"], rejected["problems"][0]["reason"]) == (50, "invalid_json")
    assert [len(message.args[0]) for message in live_messages(queue)] == [64, 36]


def test_items_of_a_batch_without_a_time_keep_their_order(
    shop: Shop, queue: WorkQueue, api: FlaskClient
) -> None:
    """The later of two changes of one item wins."""
    api.put("/v1/listings/m1", json=listing(shop))
    changes = [{"op": "update", "item_id": "m1", "price": price} for price in (1, 2, 3)]
    api.post("/v1/listings:batch", json={"listings": changes})
    work(queue)
    assert shop.documents()["m1"]["price"] == 3


@pytest.mark.usefixtures("worker_thread")
def test_a_small_request_may_wait_for_its_outcome(shop: Shop, api: FlaskClient) -> None:
    """Status 200 with the outcome of each item, found or rejected by the worker."""
    answer = api.put("/v1/listings/m1?wait=true", json=listing(shop))
    assert answer.status_code == 200
    assert answer.json["counts"] == {"indexed": 1}
    many = {"listings": [shop.event(f"m{n}", images=[]) for n in range(65)]}
    refused = api.post("/v1/listings:batch?wait=true", json=many)
    assert refused.status_code == 400
    assert refused.get_json(force=True)["problems"][0]["reason"] == "wait_too_many"


def test_waiting_ends(
    shop: Shop, queue: WorkQueue, api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a worker, with the job to ask later."""
    monkeypatch.setattr("query.api.ingest.requests.LONGEST_WAIT_S", 0.1)
    answer = api.delete("/v1/listings/m1?wait=true")
    assert (answer.status_code, answer.json["state"]) == (202, "queued")
    work(queue)
    assert api.get(answer.headers["Location"]).json["state"] == "done"


@pytest.mark.parametrize("path", ["/v1/listings/m1", "/v1/listings:batch"])
def test_a_repeated_request_is_queued_once(shop: Shop, queue: WorkQueue, api: FlaskClient, path: str) -> None:
    """With the same key and body it has the same answer; with another body it is refused."""

    def send(price: int, key: str) -> Any:
        headers = {"Idempotency-Key": key}
        if path.endswith("batch"):
            event = {**shop.event("m1", price=price), "updated_at": NOW}
            return api.post(path, json={"listings": [event]}, headers=headers)
        return api.put(path, json=listing(shop, price=price), headers=headers)

    first, again = send(1, "k1"), send(1, "k1")
    assert (first.status_code, first.json) == (202, again.json)
    assert len(events_in(queue)) == 1
    other = send(2, "k1")
    assert other.status_code == 422
    assert other.get_json(force=True)["type"] == "urn:nitamono:problem:idempotency-key-reused"
    assert send(2, "k2").status_code == 202
    assert len(events_in(queue)) == 2


def test_concurrent_repeats_are_queued_once(
    shop: Shop, queue: WorkQueue, api_settings: QuerySettings, es: Elasticsearch
) -> None:
    """Whichever comes first."""
    app = create_app(api_settings, es, make_key_ring())
    body, answers = listing(shop), []

    def send() -> None:
        answer = app.test_client().put("/v1/listings/m1", json=body, headers={"Idempotency-Key": "k"})
        answers.append((answer.status_code, answer.json["updated_at"]))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert len(events_in(queue)) == 1


def test_a_full_queue_is_said_with_a_time_to_come_back(
    shop: Shop, queue: WorkQueue, api_settings: QuerySettings, es: Elasticsearch
) -> None:
    """429 with Retry-After; a repeated request whose event is queued has its answer all the same."""
    api = create_app(replace(api_settings, queue_limit=3), es, make_key_ring()).test_client()
    key = {"Idempotency-Key": "k"}
    first = api.delete("/v1/listings/m0", headers=key)
    answers = [api.delete(f"/v1/listings/m{n}") for n in (1, 2, 3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].get_json(force=True)["type"] == "urn:nitamono:problem:queue-full"
    assert len(events_in(queue)) == 3
    assert api.delete("/v1/listings/m0", headers=key).json == first.json
    work(queue)
    assert api.delete("/v1/listings/m3").status_code == 202


def test_without_redis_it_is_503(api_settings: QuerySettings, es: Elasticsearch, shop: Shop) -> None:
    """With a time to come back, and nothing is said to be queued."""
    away = replace(api_settings, redis_url="redis://127.0.0.1:1/0")
    api = create_app(away, es, make_key_ring()).test_client()
    for answer in (
        api.put("/v1/listings/m1", json=listing(shop)),
        api.get("/v1/jobs/" + "0" * 32),
        api.get("/v1/listings/m1/indexing"),
    ):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.get_json(force=True)["type"] == "urn:nitamono:problem:queue-unavailable"


@pytest.fixture
def sent(queue: WorkQueue) -> Callable[..., None]:
    """A function that pushes a message of these events."""

    def push(*found: Any) -> None:
        queue.client.lpush(queue.name, TaskMessage("indexer.index_listings", [list(found)], {}).to_bytes("q"))

    return push


def test_an_item_is_queued_wherever_its_event_waits(
    shop: Shop, queue: WorkQueue, api: FlaskClient, sent: Callable[..., None]
) -> None:
    """In a list of any priority, at a worker, gathered, or parked, which counts as rejected."""
    sent(*(shop.event(f"x{n}", images=[]) for n in range(70)), shop.event("in-list", images=[]))
    held = TaskMessage("indexer.index_listings", [[shop.event("held", images=[])]], {}, "held")
    queue.client.hset(unacked_key(queue.name), "tag", b"taken:q\n" + held.to_bytes("q"))
    gathered = TaskMessage("indexer.index_listings", [[shop.event("gathered", images=[])]], {}, "other")
    queue.client.lpush(f"{queue.name}:gathered:held", gathered.to_bytes("q"))
    behind = TaskMessage("indexer.index_listings", [[shop.event("日本/1", images=[])]], {}, priority=9)
    queue.client.lpush(behind.list_in(queue.name), behind.to_bytes("q"))
    for item_id in ("in-list", "held", "gathered", quote("日本/1", safe=""), "x5"):
        assert state(api, item_id)["state"] == "queued", item_id
    assert state(api, "x")["state"] == "unknown"

    lot = ParkingLot(queue.client, shop.settings.prefix)
    lot.park([GivenUp(shop.event("parked"), "elasticsearch_unavailable", "away")])
    found = state(api, "parked")
    assert (found["state"], found["problem"]["reason"]) == ("rejected", "elasticsearch_unavailable")


def test_a_rejected_event_is_explained(shop: Shop, api: FlaskClient) -> None:
    """With what is indexed of it; a photo that cannot be used leaves the item indexed."""
    shop.index(shop.event("m1"), shop.event("blind", images=["missing.png"]))
    later = {**shop.event("m1"), "updated_at": NOW, "price": "cheap"}
    shop.index(later, {"item_id": "never", "title": "T"})
    shop.es.indices.refresh(index=f"{shop.settings.prefix}-dead-letters")
    found = state(api, "m1")
    assert (found["state"], found["problem"]["reason"]) == ("rejected", "price_wrong_type")
    assert "--" not in found["problem"]["remedy"]
    assert found["document"]["status"] == "on_sale"
    blind = state(api, "blind")
    assert (blind["state"], blind["document"]["has_vector"]) == ("indexed", False)
    assert blind["problem"]["reason"].startswith("photo_")
    removal = {"op": "remove", "item_id": "blind", "updated_at": NOW}
    shop.index(removal)
    assert state(api, "blind")["problem"] is None
    never = state(api, "never")
    assert (never["state"], never["document"]) == ("rejected", None)


def test_jobs_expire(api: FlaskClient, queue: WorkQueue, shop: Shop) -> None:
    """After an hour they are unknown, and Redis keeps nothing of them."""
    answer = api.post("/v1/listings:batch", json={"listings": [shop.event("a", images=[])]})
    work(queue)
    client: redis.Redis = queue.client
    key = f"{queue.name}:job:{answer.json['job_id']}"
    assert 0 < client.ttl(key) <= 3600
    client.delete(key)
    assert api.get(answer.headers["Location"]).status_code == 404

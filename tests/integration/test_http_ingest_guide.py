"""The code in docs/http-ingest.md, as integrators would run it."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import redis
from elasticsearch import Elasticsearch
from werkzeug.serving import make_server

from indexer.worker import tasks
from mappings.client import ElasticsearchSettings
from query.api.app import create_app
from query.api.settings import QuerySettings
from queues.work_queue import WorkQueue
from tests.indexing import Shop, run_tasks_here
from tests.keys import make_key_ring
from tests.messages import events_in

GUIDE = Path(__file__).parents[2] / "docs" / "http-ingest.md"


def code_with(name: str) -> dict[str, Any]:
    """The functions of the guide's Python block that defines one of this name."""
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (block,) = (each for each in blocks if f"def {name}(" in each)
    namespace: dict[str, Any] = {}
    exec(compile(block, str(GUIDE), "exec"), namespace)  # noqa: S102 - our own code
    return namespace


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An index with one listing."""
    shop = Shop.open(es, index_prefix, tmp_path)
    shop.index(shop.event("m1", price=1000))
    return shop


@pytest.fixture
def queue(shop: Shop, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> WorkQueue:
    """The queue of listings, with a stream of outcomes."""
    return run_tasks_here(shop, redis_url, monkeypatch, outcome_stream_length=1000)


@pytest.fixture
def api(shop: Shop, queue: WorkQueue, es: Elasticsearch, elasticsearch_url: str) -> Iterator[str]:
    """The address of the shop's API."""
    cluster = ElasticsearchSettings(urls=(elasticsearch_url,), prefix=shop.settings.prefix)
    app = create_app(QuerySettings(cluster, redis_url=queue.redis_url), es, make_key_ring())
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_an_outbox_sends_what_was_committed_and_nothing_else(
    shop: Shop, queue: WorkQueue, api: str, tmp_path: Path
) -> None:
    """A price that was rolled back is never sent; what a full queue refuses is sent later."""
    outbox = code_with("relay")
    db = sqlite3.connect(tmp_path / "shop.db")
    db.execute(outbox["OUTBOX"])
    db.execute("CREATE TABLE listings (item_id TEXT PRIMARY KEY, price INTEGER, updated_at TEXT)")
    db.execute("INSERT INTO listings (item_id, price) VALUES ('m1', 1000)")
    db.commit()
    refused: list[Any] = []

    def relay(address: str = api) -> int:
        sent: int = outbox["relay"](db, address, "", refused.append)
        return sent

    outbox["change_price"](db, "m1", 900)
    db.execute("CREATE TRIGGER no BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        outbox["change_price"](db, "m1", 1)
    db.execute("DROP TRIGGER no")
    assert db.execute("SELECT price FROM listings").fetchall() == [(900,)]
    with pytest.raises(URLError):
        relay("http://127.0.0.1:1")
    assert (relay(), relay()) == (1, 0)
    (event,) = events_in(queue)
    assert (event["op"], event["price"]) == ("update", 900)
    tasks.index_listings.apply(args=[[event]]).get()
    assert shop.documents()["m1"]["price"] == 900

    db.execute("INSERT INTO outbox (event) VALUES ('{}')")
    db.commit()
    assert relay() == 1
    assert len(refused) == 1


def test_a_consumer_group_reads_each_outcome_until_it_is_acknowledged(shop: Shop, queue: WorkQueue) -> None:
    """One that failed to handle an entry sees it again."""
    read = code_with("read_outcomes")["read_outcomes"]
    client = redis.Redis.from_url(queue.redis_url, decode_responses=True)
    tasks.index_listings.apply(args=[[shop.event("a"), {"item_id": "b"}]]).get()
    seen: list[str] = []

    def handle(outcome: dict[str, str]) -> None:
        if outcome["item_id"] == "b" and not seen.count("b"):
            seen.append("b")
            raise RuntimeError("the producer's own fault")
        seen.append(f"{outcome['item_id']} {outcome['outcome']}")

    stream = f"{queue.name}:outcomes"
    with pytest.raises(RuntimeError):
        read(client, stream, "shop", "one", handle)
    read(client, stream, "shop", "one", handle)
    assert seen == ["a indexed", "b", "b rejected"]
    assert client.xpending(stream, "shop")["pending"] == 0

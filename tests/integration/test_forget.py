"""`nitamono indexer forget` on real services."""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch

from cache.answers import AnswerCache
from cache.changes import Changes
from cli import main
from indexer.photos.cache import PhotoCache, Validators
from indexer.settings import IndexerSettings
from indexer.worker.bootstrap import build_parking, work_queue
from mappings.creation import create_index
from mappings.names import written_through
from queues.lanes import BACKFILL, list_of
from queues.listings.names import INDEX_TASK, REMOVE_TASK
from queues.messages import MessageRefused, TaskMessage, parse_message
from queues.parking import GivenUp
from tests.conftest import Workbench
from tests.indexing import Shop, ShopFactory, at, stored_documents

SALT = "0123456789abcdef"
TITLE = "Kaminari lighthouse"


@pytest.fixture
def shop(shop_of_commands: ShopFactory, tmp_path: Path) -> Shop:
    """A shop with items of two sellers, whose environment the commands of this process find."""
    shop = shop_of_commands(
        NITAMONO_USER_SALT=SALT,
        NITAMONO_STATE_DIR=tmp_path / "state",
        NITAMONO_PHOTO_CACHE_DIR=tmp_path / "kept",
    )
    shop.index(
        shop.event("m1", title=TITLE, seller_id="bad", updated_at=at(1)),
        shop.event("m2", seller_id="bad", updated_at=at(1)),
        shop.event("m3", seller_id="good", updated_at=at(1)),
    )
    return shop


def forget(*arguments: str, purging: bool = False) -> tuple[int, dict[str, Any]]:
    """The exit status of the command and its audit line."""
    result = run(*arguments, "--yes", "--json", *(() if purging else ("--no-purge",)))
    assert result.exit_code in {0, 3}, result.output
    return result.exit_code, json.loads(result.stdout)


def run(*arguments: str) -> Result:
    """The command."""
    return CliRunner().invoke(main, ["indexer", "forget", *arguments])


def copied(shop: Shop, name_of: str) -> None:
    """Put the documents of the shop into another index."""
    for item, document in shop.documents().items():
        shop.es.index(index=written_through(name_of), id=item, document=document | {"indexed_at": at(1)})
    shop.es.indices.refresh(index=name_of)


def kept_everywhere(shop: Shop, tmp_path: Path) -> None:
    """Leave something of m1, and of m3, in each place."""
    settings = IndexerSettings.from_environ(os.environ)
    client = redis.Redis.from_url(settings.redis_url)
    shop.index(
        shop.event("m1", title="", seller_id="bad", updated_at=at(2)),
        shop.event("m3", title="", updated_at=at(2)),
    )
    events = [shop.event(item, title=TITLE, updated_at=at(3)) for item in ("m1", "m3")]
    build_parking(settings).park([GivenUp(event, "task_failed", "") for event in events])
    queue = work_queue(settings)
    unknown = TaskMessage("unknown", [[events[0]]], {}).to_bytes(queue.name)
    queue.refused.keep(unknown, MessageRefused("task_unknown", "found unknown"))
    client.lpush(list_of(queue.name, BACKFILL), TaskMessage(INDEX_TASK, [events], {}).to_bytes(queue.name))
    client.lpush(
        queue.name,
        TaskMessage(INDEX_TASK, [events, None, {"id": "0" * 32, "positions": [4, 7]}], {}).to_bytes(
            queue.name
        ),
        TaskMessage(INDEX_TASK, [events[:1]], {}).to_bytes(queue.name),
        TaskMessage(REMOVE_TASK, [["m1", "m3"], at(3)], {}).to_bytes(queue.name),
    )
    Changes(client, settings.prefix, longest_write_s=0.01, visible_after_s=0).announce()
    answers = AnswerCache(client, ttl_s=100, most=10)
    for digest, items in (("a", ["m3", "m1"]), ("b", ["m3"])):
        started = answers.look_up(settings.prefix, digest).started_ms
        assert started is not None
        answers.store(settings.prefix, digest, started, items, TITLE.encode())
    images = shop.documents()["m1"]["images"]
    PhotoCache(settings.fetch.cache_dir, 10**6).put(images[0], "https://x", Validators(etag="1"), b"photo")
    table = pa.table({"item_id": ["m1", "m3"], "seller_id": ["bad", "good"], "vector": [[1.0], [2.0]]})
    (tmp_path / "shards").mkdir()
    pq.write_table(table, tmp_path / "shards" / "part-0.parquet")


def test_an_item_is_forgotten_in_every_place(shop: Shop, tmp_path: Path) -> None:
    """What is stored of others stays; a closed index is named, and verified once it is open."""
    es = shop.es
    old, closed = (create_index(es, f"{shop.settings.prefix}", shop.identity, now=now) for now in times())
    copied(shop, old)
    copied(shop, closed)
    es.indices.close(index=closed)
    kept_everywhere(shop, tmp_path)
    shards = ("--shards", str(tmp_path / "shards"))
    status, line = forget("m1", *shards)
    assert line["deleted"] == {
        "documents": 2,
        "cached_answers": 1,
        "queued_events": 4,
        "held_by_workers": 0,
        "parked_events": 1,
        "refused_messages": 1,
        "dead_letters": 1,
        "parquet_rows": 1,
        "kept_photos": 1,
    }
    assert (status, line["left"], line["unreachable"]) == (3, {}, [closed])
    assert not {"m1", "bad", TITLE} & set(json.dumps(line).replace('"', " ").split())
    assert (tmp_path / "state" / "forgotten.jsonl").read_text() == f"{json.dumps(line)}\n"
    for index in (old, shop.index_name):
        document = stored_documents(es, index)["m1"]
        assert TITLE not in str(document)
        assert (document["status"], document["seller_id"], document["images"]) == ("removed", "unknown", [])
        assert stored_documents(es, index)["m3"]["title"]
    check_that_others_stayed(tmp_path)

    es.indices.open(index=closed)
    es.cluster.health(index=closed, wait_for_status="yellow")
    status, line = forget("m1", "--verify", *shards)
    assert (status, line["left"], line["unreachable"]) == (3, {"documents": 1}, [])
    assert forget("m1", *shards)[0] == 0
    assert forget("m1", "--verify", *shards)[0] == 0


def times() -> list[datetime]:
    """Two moments at which indices were created."""
    return [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]


def check_that_others_stayed(tmp_path: Path) -> None:
    """Everything that was left of m3 is there."""
    settings = IndexerSettings.from_environ(os.environ)
    queue = work_queue(settings)
    left = [
        parse_message(raw, queue.tasks, longest_wait=timedelta(0)).args
        for key in (queue.name, list_of(queue.name, BACKFILL))
        for raw in queue.client.lrange(key, 0, -1)
    ]
    assert [ids_in(args[0]) for args in left] == [["m3"], ["m3"], ["m3"]]
    assert {"id": "0" * 32, "positions": [7]} in [args[-1] for args in left]
    assert pq.read_table(tmp_path / "shards" / "part-0.parquet")["item_id"].to_pylist() == ["m3"]
    assert [entry.event["item_id"] for entry in build_parking(settings).search()] == ["m3"]
    answers = AnswerCache(queue.client, ttl_s=100, most=10)
    assert answers.look_up(settings.prefix, "b").content == TITLE.encode()
    listed = CliRunner().invoke(main, ["indexer", "dead-letters", "list", "--json"]).stdout
    assert [json.loads(line)["item_id"] for line in listed.splitlines()] == ["m3", "m3"]


def ids_in(entries: list[Any]) -> list[str]:
    """The items of events, or ids as they are."""
    return [entry if isinstance(entry, str) else entry["item_id"] for entry in entries]


def test_no_late_event_brings_a_forgotten_item_back(shop: Shop) -> None:
    """Neither one of before, nor one that is dated some minutes ahead, nor of an item never indexed."""
    assert forget("m1", "m9")[0] == 0
    before = stored_documents(shop.es, shop.index_name)
    ahead = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    late = [
        shop.event(item, title=TITLE, updated_at=when) for item in ("m1", "m9") for when in (at(5), ahead)
    ]
    shop.index(*late, {"op": "update", "item_id": "m1", "updated_at": ahead, "price": 5})
    after = stored_documents(shop.es, shop.index_name)
    assert after == before
    assert TITLE not in str(after)


def test_all_listings_of_a_seller_are_forgotten(shop: Shop) -> None:
    """Those that were removed before as well, whose tombstones name the seller."""
    shop.index({"op": "remove", "item_id": "m2", "updated_at": at(2)})
    status, line = forget("--seller", "bad")
    assert (status, line["items_found"], line["deleted"]["documents"]) == (0, 2, 2)
    assert '"bad"' not in json.dumps(list(stored_documents(shop.es, shop.index_name).values()))
    status, line = forget("--seller", "bad", "--verify")
    assert (status, line["items_found"], line["left"]) == (0, 0, {})


def test_it_asks_and_needs_a_salt(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is deleted without a yes, an item, or the key of the audit line."""
    assert "Permanently delete everything stored of 1 item?" in run("m1").output
    assert run().exit_code == 2
    monkeypatch.delenv("NITAMONO_USER_SALT")
    refused = run("m1", "--yes")
    assert (refused.exit_code, "NITAMONO_USER_SALT" in refused.output) == (1, True)
    assert shop.documents()["m1"]["title"] == TITLE


@pytest.mark.soak
def test_the_bytes_of_a_title_and_a_vector_leave_the_files_of_elasticsearch(
    shop: Shop, workbench: Workbench, es: Elasticsearch
) -> None:
    """Within the time of the retention leases, in an index that keeps being written."""
    if os.environ.get("NITAMONO_TEST_ELASTICSEARCH_URL"):
        pytest.skip("the files of that server are elsewhere")
    title = f"Kz{secrets.token_urlsafe(16)}"
    shop.index(*(shop.event(f"n{number}", updated_at=at(1)) for number in range(300)))
    shop.index(shop.event("x1", title=title, updated_at=at(1), images=[shop.photo((13, 77, 201))]))
    es.indices.flush(index=shop.index_name)
    data = str(workbench.state.elasticsearch.resolve() / "data")
    status, line = forget("x1", "--data", data, purging=True)
    assert line["files_before"] >= 1
    assert (status, line["files_after"], line["unmerged"]) == (0, 0, {})

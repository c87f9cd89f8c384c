"""`nitamono remove` and `nitamono indexer status`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from cli import main
from queues.lanes import BACKFILL, LIVE, list_of
from tests.conftest import WorkerFactory
from tests.indexing import Shop, ShopFactory


@pytest.fixture
def shop(shop_of_commands: ShopFactory) -> Shop:
    """A shop whose environment the commands of this process find."""
    return shop_of_commands()


def nitamono(*arguments: str) -> Result:
    """The output and the exit status of the command."""
    return CliRunner().invoke(main, arguments)


def test_an_item_is_shown_from_queued_to_removed(
    shop: Shop, worker: WorkerFactory, elasticsearch_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Whoever sent it; a removal is sent as a live event."""
    client = redis.Redis.from_url(redis_url)
    queue = shop.settings.queue
    unknown = nitamono("indexer", "status", "m1")
    assert (unknown.exit_code, unknown.output) == (1, "m1: unknown\n")
    file = tmp_path / "listings.jsonl"
    file.write_text(json.dumps(shop.event("m1")) + "\n")
    nitamono("index", str(file))
    assert client.llen(list_of(queue, BACKFILL)) == 1
    waiting = nitamono("indexer", "status", "m1")
    assert (waiting.exit_code, waiting.output) == (0, "m1: queued\n")

    shop.index(shop.event("m2", images=["missing.png"]))
    assert nitamono("remove", "m1", "m3").output == "Sent 2 removals to the queue.\n"
    assert client.llen(list_of(queue, LIVE)) == 1
    worker(**shop.environ(elasticsearch_url, redis_url))
    removed = nitamono("remove", "m1", "--wait")
    assert removed.exit_code == 0, removed.output
    assert removed.output == "1 removal done.\n"
    shown = nitamono("indexer", "status", "m1", "m2")
    assert shown.exit_code == 0, shown.output
    assert "m1: indexed\n  Indexed at " in shown.output
    assert ": removed, as of " in shown.output
    assert "  Problem at " in shown.output
    as_json = [json.loads(line) for line in nitamono("indexer", "status", "m2", "--json").output.splitlines()]
    (status,) = as_json
    assert (status["state"], status["document"]["encoder_id"]) == (
        "indexed",
        shop.encoder_id,
    )
    assert status["problem"]["remedy"]


def test_what_cannot_be_removed_is_said_before_anything_is_sent(shop: Shop, redis_url: str) -> None:
    """Ids and times."""
    result = nitamono("remove", "m1", "..", "--at", "yesterday")
    assert result.exit_code == 2
    assert "item_id: found '..'" in result.output
    assert "updated_at: found 'yesterday'" in result.output
    assert not redis.Redis.from_url(redis_url).keys()

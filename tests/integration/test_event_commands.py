"""The commands of `nitamono events` on stored events."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import redis
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch

import cli
from events.indices import event_days
from events.log_tables import TABLES
from events.names import STORE_EVENTS, event_queue
from events.schema import parse_event
from events.user_ids import user_hash
from events.worker.store import EventStore
from mappings.listing import isoformat
from queues.messages import MessageRefused, TaskMessage
from queues.refused_messages import RefusedMessages
from tests.events import SALT, make_shopping_event

Run = Callable[..., Result]

TODAY = datetime.now(UTC).date()


def event_of(age: int, kind: str = "tap", **changes: Any) -> dict[str, Any]:
    """The message of an event that happened so many days ago, at noon."""
    moment = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC) - timedelta(days=age)
    sent = make_shopping_event(kind, **({"time": moment.isoformat()} | changes))
    return parse_event(sent, salt=SALT, now=moment).to_message()


@pytest.fixture
def run(elasticsearch_url: str, redis_url: str, index_prefix: str) -> Run:
    """A command of `nitamono events`, which must exit with 0 unless a test says otherwise."""
    environ = {
        "ELASTICSEARCH_URL": elasticsearch_url,
        "ELASTICSEARCH_TIMEOUT_S": "30",
        "NITAMONO_REDIS_URL": redis_url,
        "NITAMONO_INDEX_PREFIX": index_prefix,
        "NITAMONO_USER_SALT": SALT,
    }

    def invoke(*words: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(cli.main, ["events", *words], env=environ)
        assert result.exit_code == exit_code, result.output
        return result

    return invoke


@pytest.fixture
def store(es: Elasticsearch, index_prefix: str) -> EventStore:
    """The store that the commands work on."""
    return EventStore(es, index_prefix)


def rows(log: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table of the log, in the order of its days."""
    files = sorted((log / table).rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]


def files_of(log: Path) -> dict[str, bytes]:
    """Every file with its content."""
    return {str(path.relative_to(log)): path.read_bytes() for path in log.rglob("*") if path.is_file()}


def test_the_log_has_every_stored_event(
    store: EventStore, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once in the file of its day and type, with all fields; over many pages."""
    monkeypatch.setattr("mappings.scan.PAGE", 7)
    taps = [
        event_of(number % 3, position=number + 1) | {"event_id": f"tap-{number:03}"} for number in range(60)
    ]
    impression = event_of(1, "impression", took_ms=8.25, randomised=True)
    store.store([*taps, impression, event_of(0, "purchase", price=12.5)])

    assert "62 events of 3 days" in run("export", str(tmp_path)).output
    exported = rows(tmp_path, "taps")
    assert {(row["event_id"], row["position"]) for row in exported} == {
        (tap["event_id"], tap["position"]) for tap in taps
    }
    assert len(exported) == 60
    (shown,) = rows(tmp_path, "impressions")
    assert shown["time"] == datetime.fromisoformat(impression["time"])
    assert (shown["user_id"], shown["slate_id"], shown["query_item_id"]) == (
        user_hash(SALT, "u1@example.org"),
        "slate1",
        "m1",
    )
    assert (shown["took_ms"], shown["randomised"], shown["override"]) == (8.25, True, False)
    assert shown["arms"] == ["similarity:control"]
    assert [(item["item_id"], item["position"]) for item in shown["items"]] == [("m2", 1), ("m3", 2)]
    yesterday = tmp_path / "impressions" / f"date={TODAY - timedelta(days=1)}" / "part-0000.parquet"
    assert yesterday.is_file()
    for table in ("taps", "impressions", "purchases"):
        assert ds.dataset(tmp_path / table).schema.equals(TABLES[table])


def test_exporting_again_adds_only_late_events(store: EventStore, run: Run, tmp_path: Path) -> None:
    """A day's files are replaced; a foreign file beside them does not count twice."""
    store.store([event_of(1), event_of(2)])
    run("export", str(tmp_path))
    before = files_of(tmp_path)
    run("export", str(tmp_path))
    assert files_of(tmp_path) == before

    store.store([event_of(2)])
    day = TODAY - timedelta(days=2)
    (tmp_path / "taps" / f"date={day}" / "part-0001.parquet").write_bytes(next(iter(before.values())))
    run("export", str(tmp_path), "--from", str(day), "--to", str(day))
    after = files_of(tmp_path)
    assert after.keys() == before.keys()
    assert len(rows(tmp_path, "taps")) == 3
    unchanged = [name for name in before if before[name] == after[name]]
    assert unchanged == [f"taps/date={TODAY - timedelta(days=1)}/part-0000.parquet"]


def test_days_are_counted_by_type(store: EventStore, run: Run) -> None:
    """In words and as JSON."""
    store.store([event_of(1), event_of(1), event_of(1, "purchase"), event_of(0)])
    assert [line.split() for line in run("count").output.splitlines()] == [
        ["DAY", "PURCHASE", "TAP"],
        [str(TODAY - timedelta(days=1)), "1", "2"],
        [str(TODAY), "0", "1"],
        ["all", "1", "3"],
    ]
    first = json.loads(run("count", "--json").output.splitlines()[0])
    assert first == {"day": str(TODAY - timedelta(days=1)), "tap": 2, "purchase": 1}


def test_old_days_are_deleted_and_young_ones_stay(
    es: Elasticsearch, store: EventStore, run: Run, tmp_path: Path
) -> None:
    """In the indices, and in the log if it is named."""
    store.store([event_of(age) for age in (0, 30, 31, 200)])
    run("export", str(tmp_path))
    output = run("retain", "--days", "30", "--log", str(tmp_path)).output
    kept = [TODAY - timedelta(days=30), TODAY]
    assert event_days(es, store.prefix) == kept
    assert sorted(path.name for path in (tmp_path / "taps").iterdir()) == [f"date={day}" for day in kept]
    assert output.count("2 days") == 2
    assert "nothing" in run("retain", "--days", "30").output


def test_a_user_is_erased_everywhere(es: Elasticsearch, store: EventStore, run: Run, tmp_path: Path) -> None:
    """From every index, rejected events included, and from every file; other users lose nothing."""
    for user in ("alice", "bob"):
        store.store([event_of(age, kind, user_id=user) for age in (0, 1) for kind in ("tap", "item_view")])
        store.reject([event_of(0, user_id=user)], "worker_lost", "as an example")
    run("export", str(tmp_path))
    assert "Erased 5 stored events and 4 in the log." in run("erase", "alice", "--log", str(tmp_path)).output

    es.indices.refresh(index=f"{store.prefix}-events-*")
    alice, bob = user_hash(SALT, "alice"), user_hash(SALT, "bob")
    hits = es.search(index=f"{store.prefix}-events-*", size=99)["hits"]["hits"]
    assert {hit["_source"]["user_id"] for hit in hits} == {bob}
    assert {row["user_id"] for table in ("taps", "item_views") for row in rows(tmp_path, table)} == {bob}
    assert all(alice.encode() not in content for content in files_of(tmp_path).values())
    assert "Erased 0 stored events" in run("erase", "alice").output


@pytest.fixture
def refused(redis_url: str, index_prefix: str) -> RefusedMessages:
    """The refused messages of the queue of events."""
    return RefusedMessages(redis.Redis.from_url(redis_url), event_queue(index_prefix))


def test_refused_messages_that_name_a_user_are_erased(run: Run, refused: RefusedMessages) -> None:
    """By hash or raw id, in any form of message; those of others stay."""
    alice = [event_of(0, user_id="alice"), {"user_id": "alice"}]
    others = [event_of(0, user_id="bob"), {"user_id": "alice2"}, {"item_id": "alice"}]
    reason = MessageRefused("message_expired", "as an example")
    for entry in [*alice, *others]:
        refused.keep_call(TaskMessage(STORE_EVENTS, [[entry]], {}), reason)
        refused.keep(json.dumps(entry).encode(), reason)
    refused.keep(b'\xff {"body": "====="}', reason)

    assert "Erased 4 refused messages" in run("erase", "alice").output
    assert len(list(refused.search())) == 2 * len(others) + 1
    assert "refused messages" not in run("erase", "alice").output


def test_old_refused_messages_are_deleted_with_old_days(run: Run, refused: RefusedMessages) -> None:
    """Their age counts from the refusal."""
    old = datetime.now(UTC) - timedelta(days=40)
    facts = {"reason": "message_malformed", "detail": "d", "failed_at": isoformat(old)}
    refused.client.hset(refused.key, "message:old", json.dumps(facts).encode() + b"\nold")
    refused.keep(b"young", MessageRefused("message_malformed", "d"))

    assert "Deleted refused messages: 1" in run("retain", "--days", "30").output
    assert [message.raw for message in refused.search()] == [b"young"]


def test_details_of_rejected_events_repeat_no_value(run: Run, store: EventStore) -> None:
    """A message that bypasses the API may contain a raw user id anywhere."""
    mail = "alice@example.com"
    store.store([event_of(0) | changes for changes in ({"user_id": mail}, {"item_id": mail * 20})])

    details = [json.loads(line)["detail"] for line in run("rejected", "list", "--json").output.splitlines()]
    assert len(details) == 2
    assert not [detail for detail in details if mail in detail]


def test_without_the_salt_erase_fails(run: Run, tmp_path: Path) -> None:
    """Instead of finding no events."""
    environ = {"NITAMONO_STATE_DIR": str(tmp_path), "NITAMONO_USER_SALT": ""}
    result = CliRunner().invoke(cli.main, ["events", "erase", "alice"], env=environ)
    assert result.exit_code == 1
    assert "NITAMONO_USER_SALT" in result.output


def test_rejected_events_are_listed_replayed_and_dropped(
    es: Elasticsearch, store: EventStore, run: Run, redis_url: str
) -> None:
    """A replayed event is in the queue as it was, and not rejected any more."""
    event = event_of(0)
    store.reject([event, "noise"], "worker_lost", "five workers ended")
    store.store([{"type": "click", "event_id": "e9"}])
    assert [line.split()[1] for line in run("rejected", "list").output.splitlines()[1:-2]] == [
        "worker_lost",
        "worker_lost",
        "type_unknown",
    ]
    assert run("rejected", "list").output.splitlines()[-1] == "In all: 1 type_unknown, 2 worker_lost"

    typo = run("rejected", "replay", "--reason", "worker_lots", exit_code=1).output
    assert "rejected with reason 'worker_lots'; existing reasons: type_unknown, worker_lost" in typo
    none = run("rejected", "list", "--reason", "worker_lots").output
    assert none.startswith("No rejected events: nothing was rejected with reason 'worker_lots'; existing")
    assert "Sent 2 events again." in run("rejected", "replay", "--reason", "worker_lost").output
    (queued,) = redis.Redis.from_url(redis_url).lrange(event_queue(store.prefix), 0, -1)
    assert event["event_id"] in decoded(queued)
    assert run("rejected", "list").output.splitlines()[-1] == "In all: 1 type_unknown"
    assert run("rejected", "drop", "--all", "--yes").output == "Deleted 1 rejected event.\n"
    assert run("rejected", "list").output == "No rejected events.\n"
    bad = CliRunner().invoke(cli.main, ["events", "rejected", "replay"])
    assert "--reason" in bad.output


def decoded(message: bytes) -> str:
    """Return the body of a message as Celery writes it to Redis."""
    return base64.b64decode(json.loads(message)["body"]).decode()


def test_commands_work_without_events(run: Run, tmp_path: Path) -> None:
    """Before the first event arrives."""
    assert run("count").output == "No events.\n"
    assert "0 events of 0 days" in run("export", str(tmp_path)).output
    assert run("rejected", "list").output == "No rejected events.\n"
    assert "Erased 0 stored events" in run("erase", "alice").output

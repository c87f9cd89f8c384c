"""An index that was created with an older mapping file learns the fields of the newer one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

from events.indices import EVENTS_BODY, REJECTED_BODY, drop_event_days, event_days, update_indices
from events.names import event_index, rejected_events_index
from events.worker.store import EventStore
from experiments.assignment.kill_switch import SWITCHES_BODY, stop, switch_index
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import DEAD_LETTERS_BODY, create_once, ensure_index, ensure_indices
from mappings.errors import MappingMismatch
from mappings.failures import ElasticsearchUnavailable
from mappings.names import dead_letter_index
from tests.events import NOW, message

Body = dict[str, Any]


@pytest.fixture
def fresh(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    """A client that knows of no index, as a process has it that was just started."""
    with connect(ElasticsearchSettings(urls=(elasticsearch_url,))) as client:
        yield client


def without(body: Body, field: str) -> Body:
    """Return the mapping file before it had the field."""
    older = copy.deepcopy(body)
    del older["mappings"]["properties"][field]
    return older


def store_event(es: Elasticsearch, prefix: str) -> None:
    """Store an impression."""
    summary = EventStore(es, prefix).store([message("impression")])
    assert (summary.stored, summary.rejected) == (1, {})


def reject_event(es: Elasticsearch, prefix: str) -> None:
    """Store a rejected event."""
    EventStore(es, prefix).reject([message()], "worker_lost", "as an example")


def write_letter(es: Elasticsearch, prefix: str) -> None:
    """Write a dead letter."""
    DeadLetters(es, prefix, "colour-00000001").write([DeadLetter.of({"item_id": "m1"}, "r", "d", version=1)])


def stop_experiment(es: Elasticsearch, prefix: str) -> None:
    """Stop an experiment."""
    stop(es, prefix, "new-encoder", datetime.now(UTC))


@pytest.mark.parametrize(
    ("index_of", "body", "field", "write"),
    [
        (lambda prefix: event_index(prefix, NOW.date()), EVENTS_BODY, "took_ms", store_event),
        (rejected_events_index, REJECTED_BODY, "user_id", reject_event),
        (dead_letter_index, DEAD_LETTERS_BODY, "encoder_id", write_letter),
        (switch_index, SWITCHES_BODY, "changed_at", stop_experiment),
    ],
    ids=["events", "rejected events", "dead letters", "switches"],
)
def test_a_document_with_a_new_field_is_stored(
    fresh: Elasticsearch,
    index_prefix: str,
    index_of: Callable[[str], str],
    body: Body,
    field: str,
    write: Callable[[Elasticsearch, str], None],
) -> None:
    """In an index that is older than the field."""
    index = index_of(index_prefix)
    assert create_once(fresh, index, without(body, field))

    write(fresh, index_prefix)

    fresh.indices.refresh(index=index)
    (hit,) = fresh.search(index=index, query={"exists": {"field": field}})["hits"]["hits"]
    assert field in hit["_source"]


def test_the_mapping_is_sent_once(
    fresh: Elasticsearch, index_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with each message; a new index needs it never."""
    sent: list[str] = []
    put = fresh.indices.put_mapping
    monkeypatch.setattr(
        fresh.indices, "put_mapping", lambda **options: (sent.append(options["index"]), put(**options))
    )
    older = f"{index_prefix}-older"
    create_once(fresh, older, without(EVENTS_BODY, "took_ms"))
    for name in (older, older, f"{index_prefix}-new", f"{index_prefix}-new"):
        ensure_index(fresh, name, EVENTS_BODY)
    assert sent == [older]


@pytest.fixture
def requests(fresh: Elasticsearch, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests of the client about indices, by name."""
    sent: list[str] = []

    def record(name: str) -> None:
        request = getattr(fresh.indices, name)
        monkeypatch.setattr(fresh.indices, name, lambda **options: (sent.append(name), request(**options))[1])

    for name in ("exists_alias", "create", "put_mapping", "put_alias"):
        record(name)
    return sent


def test_several_complete_indices_need_one_request(
    fresh: Elasticsearch, index_prefix: str, requests: list[str]
) -> None:
    """One that is missing is created, and the others are left as they are."""
    ensure_indices(fresh, [], EVENTS_BODY)  # a new shop has no events
    assert requests == []

    names = [f"{index_prefix}-{number}" for number in range(3)]
    ensure_indices(fresh, names, EVENTS_BODY)
    assert requests == ["exists_alias", "create"] * 3

    requests.clear()
    ensure_indices(fresh, names, EVENTS_BODY)
    assert requests == ["exists_alias"]

    fresh.indices.delete(index=names[1])
    requests.clear()
    ensure_indices(fresh, names, EVENTS_BODY)
    assert requests == ["exists_alias"] * 3 + ["create", "exists_alias"]
    assert all(fresh.indices.exists(index=name) for name in names)


def test_a_worker_asks_once_for_the_index_of_a_day(
    fresh: Elasticsearch, index_prefix: str, requests: list[str]
) -> None:
    """And not with each message."""
    store = EventStore(fresh, index_prefix)
    for _ in range(3):
        store.store([message()])
    assert requests == ["exists_alias", "create"]


def test_a_deleted_index_is_created_again(fresh: Elasticsearch, index_prefix: str) -> None:
    """By the retry, if retention deletes a day while a late event of it is on its way."""
    store = EventStore(fresh, index_prefix)
    assert store.store([message()]).stored == 1
    drop_event_days(fresh, index_prefix, [NOW.date()])

    late = [message()]
    with pytest.raises(ElasticsearchUnavailable, match="its index was dropped"):
        store.store(late)
    assert store.store(late).stored == 1
    assert event_days(fresh, index_prefix) == [NOW.date()]


def test_a_field_of_another_type_is_refused_with_what_to_do(fresh: Elasticsearch, index_prefix: str) -> None:
    """By the worker at its start; if it runs already, its events wait, and nothing of them is lost."""
    conflicting = copy.deepcopy(EVENTS_BODY)
    conflicting["mappings"]["properties"]["took_ms"] = {"type": "keyword"}
    index = event_index(index_prefix, NOW.date())
    create_once(fresh, index, conflicting)

    said = rf"index {index} has with another type \(.*took_ms.*give the field a new name, or delete the index"
    with pytest.raises(MappingMismatch, match=said):
        update_indices(fresh, index_prefix)
    with pytest.raises(ElasticsearchUnavailable, match="with another type"):
        EventStore(fresh, index_prefix).store([message("impression")])


def test_without_the_update_the_document_would_be_rejected(fresh: Elasticsearch, index_prefix: str) -> None:
    """The mappings are strict."""
    index = f"{index_prefix}-older"
    create_once(fresh, index, without(EVENTS_BODY, "took_ms"))
    with pytest.raises(BadRequestError, match="strict_dynamic_mapping"):
        fresh.index(index=index, document={"took_ms": 1.0})

"""Writes to a dropped index, on a cluster that creates missing indices at the first document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from elasticsearch import Elasticsearch, NotFoundError

from events.worker import store as event_store
from events.worker.store import EventStore
from experiments.assignment import kill_switch as switches
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from indexer.worker.pipeline.documents import to_document
from indexer.worker.pipeline.store import DocumentWrite, ListingStore
from mappings import lifecycle
from mappings.failures import ElasticsearchUnavailable
from mappings.names import written_through
from mappings.scan import delete_as_read
from queues import rejected_index
from tests.events import message
from tests.factories import make_identity, make_listing

DOCUMENT = to_document(make_listing(), None, "colour-00000001").to_source()


@pytest.fixture(autouse=True)
def eager_cluster(es: Elasticsearch) -> Iterator[None]:
    """A cluster with Elasticsearch's default, which our services switch off."""
    setting = "action.auto_create_index"
    es.cluster.put_settings(persistent={setting: "true"})
    yield
    es.cluster.put_settings(persistent={setting: None})


def names(es: Elasticsearch, prefix: str) -> set[str]:
    return set(es.indices.get_alias(index=f"{prefix}-*", allow_no_indices=True))


def test_a_listing_is_not_written_to_an_index_that_was_dropped(es: Elasticsearch, index_prefix: str) -> None:
    """Dropped after the write alias was read: the event waits, and the retry reads it again."""
    store = ListingStore(es, index_prefix, [make_identity()])
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    (index,) = store.indices()
    lifecycle.drop_index(es, index, force=True)
    before = names(es, index_prefix)
    (failure,) = store.write([DocumentWrite(index, DOCUMENT)])
    assert isinstance(failure, ElasticsearchUnavailable)
    assert f"no alias {live}-W: its index was dropped" in failure.detail
    assert delete_as_read(es, [{"_index": index, "_id": "m1", "_seq_no": 1, "_primary_term": 1}]) == 0
    assert names(es, index_prefix) == before


LETTER = DeadLetter.of({"item_id": "m1"}, "photo_gone", "404", version=3)


@pytest.mark.parametrize(
    "act",
    [
        lambda letters: letters.write([LETTER]),
        lambda letters: letters.delete_up_to([("m1", 3)]),
        lambda letters: letters.delete([LETTER]),
    ],
    ids=["write", "forget", "drop"],
)
def test_no_dead_letter_creates_an_index(
    es: Elasticsearch,
    index_prefix: str,
    act: Callable[[DeadLetters], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a letter nor its deletion, which has an external version and would create one."""
    monkeypatch.setattr(rejected_index, "ensure_index", lambda *_: None)  # it was there a moment ago
    with suppress(ElasticsearchUnavailable):
        act(DeadLetters(es, index_prefix))
    assert names(es, index_prefix) == set()


def test_no_event_creates_an_index(
    es: Elasticsearch, index_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored and rejected events wait."""
    monkeypatch.setattr(event_store, "ensure_event_indices", lambda *_: None)
    monkeypatch.setattr(rejected_index, "ensure_index", lambda *_: None)
    for messages in ([message()], ["no event"]):
        with pytest.raises(ElasticsearchUnavailable, match="no alias"):
            EventStore(es, index_prefix).store(messages)
    assert names(es, index_prefix) == set()


def test_no_switch_creates_an_index(
    es: Elasticsearch, index_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index of switches has its mapping or does not exist."""
    monkeypatch.setattr(switches, "ensure_index", lambda *_: None)
    with pytest.raises(NotFoundError, match="is not an alias"):
        switches.stop(es, index_prefix, "new-encoder", datetime.now(UTC))
    assert names(es, index_prefix) == set()


def test_older_indices_can_be_written(es: Elasticsearch, index_prefix: str) -> None:
    """Those without an alias of their own get it, and their documents stay."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    store = ListingStore(es, index_prefix, [make_identity()])
    letters, events = DeadLetters(es, index_prefix), EventStore(es, index_prefix)
    letters.write([LETTER])
    events.store([message(), "no event"])
    for index in names(es, index_prefix):
        es.indices.delete_alias(index=index, name=written_through(index))
    assert store.write([DocumentWrite(index, DOCUMENT) for index in store.indices()]) == [None]
    letters.write([LETTER])
    later = EventStore(es, index_prefix)  # of a process that starts with such indices
    assert later.store([message(), "no event either"]).stored == 1
    assert len(list(letters.search())) == 1
    aliases = es.indices.get_alias(index=f"{index_prefix}-*")
    assert all(written_through(name) in entry["aliases"] for name, entry in aliases.items())
    assert [state.aliases for state in lifecycle.list_indices(es, index_prefix)] == [
        (f"{index_prefix}-read", f"{index_prefix}-write")
    ]
    lifecycle.drop_index(es, live, force=True)

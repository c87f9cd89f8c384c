"""From a message to its summary, in this process: what waits, what is parked, what a removal becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import redis
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from indexer.intake.submission import is_final, summary_of
from indexer.summary import IndexingSummary
from indexer.worker import tasks
from indexer.worker.bootstrap import build_indexer, build_parking, work_queue
from indexer.worker.delivery import deliver, given_up
from indexer.worker.pipeline.indexer import Indexer
from mappings.client import ElasticsearchSettings
from mappings.lifecycle import drop_index
from ml.inference.preprocess import OnDefect
from queues.parking import ParkingLot
from queues.refused_messages import RefusedMessages
from queues.refused_messages import failure as refusal
from tests.indexing import GREEN, Shop, at


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index, and an indexer for it."""
    return Shop.open(es, index_prefix, tmp_path)


@pytest.fixture
def parking(shop: Shop, redis_url: str) -> ParkingLot:
    """The shop's parking lot."""
    return build_parking(replace(shop.settings, redis_url=redis_url))


@pytest.fixture
def lonely(shop: Shop) -> Indexer:
    """An indexer without an Elasticsearch."""
    away = ElasticsearchSettings(urls=("http://127.0.0.1:9",), max_retries=0, prefix=shop.settings.prefix)
    return build_indexer(
        replace(shop.settings, elasticsearch=away), encoders={shop.settings.encoder: shop.encoder}
    )


@pytest.fixture
def in_process(shop: Shop, parking: ParkingLot, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The tasks of this process, for the shop."""
    settings = replace(shop.settings, redis_url=redis_url)
    local = {"indexer": shop.indexer, "parking": parking, "settings": settings, "queue": work_queue(settings)}
    for name, value in local.items():
        monkeypatch.setattr(tasks, name, lambda value=value: value)
    return shop


def test_every_event_waits_while_elasticsearch_is_away(
    shop: Shop, lonely: Indexer, parking: ParkingLot
) -> None:
    """Also those that are no listings: their dead letters could not be written."""
    events = [shop.event(), {"item_id": "bad"}]

    (delivery,) = deliver(lonely, parking, shop.settings, [events], 0)
    assert (delivery.summary, delivery.remaining) == (IndexingSummary(), events)


def test_after_the_last_retry_waiting_events_are_parked(
    shop: Shop, lonely: Indexer, parking: ParkingLot
) -> None:
    """Once each time, and released by id."""
    events = [shop.event("a"), shop.event("b")]

    (delivery,) = deliver(lonely, parking, shop.settings, [events], shop.settings.max_retries)
    assert delivery.summary.rejected == {"elasticsearch_unavailable": 2}
    assert delivery.remaining == []
    parked = list(parking.search("elasticsearch_unavailable"))
    assert sorted(entry.event["item_id"] for entry in parked) == ["a", "b"]
    assert list(parking.search("worker_lost")) == []

    parking.park(given_up([events[0]], "elasticsearch_unavailable", "again"))
    parking.release([entry.id for entry in parked])
    assert [entry.detail for entry in parking.search()] == ["again"]


def test_a_chunk_that_needs_too_much_memory_is_halved(
    shop: Shop, parking: ParkingLot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is indexed, two photos at a time."""
    encode = shop.encoder.encode

    def encode_two(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) > 2:
            raise MemoryError
        return encode(pixels)

    monkeypatch.setattr(shop.encoder, "encode", encode_two)
    events = [shop.event(f"m{number}") for number in range(7)]
    (delivery,) = deliver(shop.indexer, parking, shop.settings, [events], 0)
    assert (delivery.summary, delivery.remaining) == (IndexingSummary(indexed=7), [])
    assert len(shop.documents()) == 7


def test_an_event_that_needs_too_much_memory_by_itself_is_parked(
    shop: Shop, parking: ParkingLot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbours are indexed."""
    (encoder_id, encoder), *_ = shop.indexer.photos.encoders.items()

    def decode_small(data: bytes, on_defect: OnDefect) -> NDArray[np.uint8]:
        if data == huge:
            raise MemoryError("a huge photo")
        return encoder.decode(data, on_defect)

    events = [shop.event(f"m{number}") for number in range(6)]
    events[4]["images"] = [shop.photo(GREEN)]
    huge = Path(events[4]["images"][0]).read_bytes()
    encoders = {encoder_id: replace(encoder, decode=decode_small)}
    indexer = replace(shop.indexer, photos=replace(shop.indexer.photos, encoders=encoders))
    (delivery,) = deliver(indexer, parking, shop.settings, [events], 0)

    assert delivery.summary.total == 6
    assert delivery.summary.rejected == {"out_of_memory": 1}
    assert [parked.event for parked in parking.search("out_of_memory")] == [events[4]]
    assert set(shop.documents()) == {"m0", "m1", "m2", "m3", "m5"}


def test_a_failed_delivery_parks_nothing(shop: Shop, parking: ParkingLot) -> None:
    """It is repeated, and would park the same event twice."""
    events = [shop.event(f"m{number}", seller_id=f"s{number}") for number in range(2)]

    tries: list[str] = []
    index = shop.indexer.index

    def first_needs_too_much(part: list[Any], **options: Any) -> Any:
        if len(part) == 2 or part[0]["item_id"] == "m0":
            raise MemoryError
        tries.append(part[0]["item_id"])
        if len(tries) == 1:
            raise redis.ConnectionError
        return index(part, **options)

    stub = SimpleNamespace(index=first_needs_too_much)
    with pytest.raises(redis.ConnectionError):
        deliver(stub, parking, shop.settings, [events], 0)  # type: ignore[arg-type]  # its one method
    assert list(parking.search()) == []

    (delivery,) = deliver(stub, parking, shop.settings, [events], 0)  # type: ignore[arg-type]
    summary = delivery.summary
    assert (summary.indexed, summary.rejected) == (1, {"out_of_memory": 1})
    assert [parked.event for parked in parking.search()] == [events[0]]


def test_a_task_that_runs_out_of_memory_ends_no_worker(
    in_process: Shop, parking: ParkingLot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery ends the main process only at MemoryError."""

    def fail(*_: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(tasks, "deliver", fail)
    result = tasks.index_listings.apply(args=[[in_process.event("a")]])
    assert type(result.result).__name__ == "OutOfMemory"
    assert [parked.event["item_id"] for parked in parking.search("task_failed")] == ["a"]


def test_a_call_with_invalid_arguments_does_nothing(in_process: Shop, parking: ParkingLot) -> None:
    """Even one that came over no queue; it is stored as a message."""
    in_process.index(*(in_process.event(item_id) for item_id in ("f", "p", "2")))
    result = tasks.remove_listings.apply(args=["fp2", at(2)])

    assert result.result.reason == "arguments_invalid"
    assert {document["status"] for document in in_process.documents().values()} == {"on_sale"}
    (kept,) = RefusedMessages(parking.client, in_process.settings.queue).search()
    assert kept.reason == "arguments_invalid"


def test_a_first_attempt_has_no_summary_to_add_to(in_process: Shop) -> None:
    """Whoever sends one with it is not believed; that of a retry is."""
    earlier = IndexingSummary(indexed=5).to_json()
    first = tasks.index_listings.apply(args=[[in_process.event()], earlier]).get()
    second = tasks.index_listings.apply(args=[[in_process.event()], earlier], retries=1).get()
    assert (first["total"], second["total"]) == (1, 6)


def test_events_wait_for_an_index(shop: Shop, parking: ParkingLot) -> None:
    """A dropped index is not the sender's fault."""
    drop_index(shop.es, shop.index_name, force=True)

    (delivery,) = deliver(shop.indexer, parking, shop.settings, [[shop.event()]], 0)
    assert len(delivery.remaining) == 1


def test_a_document_that_elasticsearch_rejects_becomes_a_dead_letter(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example is a vector without unit norm, which the index checks."""
    encode = shop.encoder.encode
    monkeypatch.setattr(shop.encoder, "encode", lambda pixels: encode(pixels) * 2)

    summary = shop.index(shop.event())
    assert summary.rejected == {"document_rejected": 1}
    assert "unit" in shop.dead_letters()["document_rejected"].detail
    assert shop.documents() == {}


def test_the_tasks_return_summaries(in_process: Shop) -> None:
    """An event in, its removal by id, and the removal again."""
    indexed = tasks.index_listings.apply(args=[[in_process.event(updated_at=at(1))]]).get()
    removed = tasks.remove_listings.apply(args=[["m1"], at(2)]).get()
    again = tasks.remove_listings.apply(args=[["m1"], at(2)]).get()

    assert (indexed["indexed"], removed["indexed"], again["unchanged"]) == (1, 1, 1)
    document = in_process.documents()["m1"]
    assert (document["status"], document["price"]) == ("removed", 1290)


def test_a_broken_task_parks_its_events(in_process: Shop, parking: ParkingLot) -> None:
    """Also of removals."""
    tasks.index_listings.on_failure(ValueError("bug"), "t1", [[in_process.event("a")]], {})
    tasks.remove_listings.on_failure(ValueError("bug"), "t2", [["b"]], {"at": at(1)})

    parked = {entry.event["item_id"]: entry for entry in parking.search("task_failed")}
    assert parked["b"].event["op"] == "remove"
    assert "ValueError('bug')" in parked["a"].detail


def test_a_result_after_a_time_limit_is_not_the_last() -> None:
    """The message went back to the queue, and its summary comes later."""

    def failure(name: str) -> dict[str, Any]:
        return {"status": "FAILURE", "result": {"exc_type": name}}

    assert not is_final({"status": "STARTED", "result": None})
    assert not is_final(failure("TimeLimitExceeded"))
    assert is_final(failure("ValueError"))
    assert summary_of(failure("ValueError"), 7).rejected == {"task_failed": 7}
    assert summary_of(refusal("t1", "too_large", "detail"), 7).rejected == {"too_large": 7}
    assert summary_of({"status": "SUCCESS", "result": {"indexed": 2}}, 2) == IndexingSummary(indexed=2)

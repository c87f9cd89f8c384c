"""Outcomes: of each item of a job, and in the stream for producers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from elasticsearch import Elasticsearch

from indexer.jobs import rebuild
from indexer.worker import tasks
from indexer.worker.bootstrap import build_indexer
from mappings.creation import IndexOptions
from mappings.failures import TransientFailure
from mappings.identity import EncoderIdentity
from queues.listings.jobs import JobPart, Jobs
from queues.listings.names import INDEX_TASK
from queues.listings.outcomes import OutcomeKind, ToldOutcome
from queues.messages import TaskMessage
from queues.refused_messages import RESULT_KEY
from queues.work_queue import WorkQueue
from tests.indexing import CountingEncoder, Shop, run_tasks_here, write_colour_encoder

JOB = "0" * 32
TIME = "2026-01-01T00:00:00Z"


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index."""
    return Shop.open(es, index_prefix, tmp_path)


def create(queue: WorkQueue, *item_ids: str, **rejected: ToldOutcome) -> Jobs:
    """Store a job of these items."""
    jobs = Jobs(queue.client, queue.name)
    with queue.client.pipeline() as pipe:
        jobs.create(pipe, JOB, TIME, item_ids, {int(key[1:]): value for key, value in rejected.items()})
        pipe.execute()
    return jobs


def kinds(jobs: Jobs) -> list[str | None]:
    """The outcomes of the job in order."""
    job = jobs.read(JOB)
    assert job is not None
    return [each and each.outcome for each in job.outcomes]


def test_a_job_has_the_outcome_of_each_item(
    shop: Shop, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever message it was in, gathered or not; those that the API refused too."""
    queue = run_tasks_here(shop, redis_url, monkeypatch)
    refused = ToldOutcome(OutcomeKind.REJECTED, reason="title_missing", detail="title: found nothing")
    jobs = create(queue, "a", "b", "bad", "c", p2=refused)
    assert kinds(jobs) == [None, None, "rejected", None]

    gathered = JobPart(id=JOB, positions=(3,)).to_json()
    call = TaskMessage(INDEX_TASK, [[shop.event("c")]], {"job": gathered}, "c", wants_result=False)
    queue.client.lpush(queue.name, call.to_bytes(queue.name))
    leader = JobPart(id=JOB, positions=(0, 1)).to_json()
    events = [shop.event("a"), shop.event("b", images=["/nowhere.png"])]
    tasks.index_listings.apply(args=[events], kwargs={"job": leader}).get()

    job = jobs.read(JOB)
    assert job is not None
    assert job.is_done
    assert kinds(jobs) == ["indexed", "indexed_without_vector", "rejected", "indexed"]
    without, rejected = job.outcomes[1:3]
    assert without is not None
    assert (without.item_id, without.reason) == ("b", "photo_outside_roots")
    assert without.detail
    assert rejected is not None
    assert (rejected.item_id, rejected.detail) == ("bad", refused.detail)
    assert not queue.client.exists(f"{RESULT_KEY}c"), "its sender wants no result"
    assert 0 < queue.client.ttl(f"{queue.name}:job:{JOB}") <= 3600


def test_what_waits_is_told_by_its_last_attempt(
    shop: Shop, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt tells of the others at once."""
    queue = run_tasks_here(shop, redis_url, monkeypatch)
    jobs = create(queue, "slow", "quick")
    slow = shop.event("slow")
    load = shop.indexer.photos.loader.load

    def slow_is_unavailable(*arguments: Any) -> Any:
        return load(*arguments) | {slow["images"][0]: TransientFailure("photo_unavailable", "503")}

    monkeypatch.setattr(type(shop.indexer.photos.loader), "load", lambda _, *args: slow_is_unavailable(*args))
    sent: list[Any] = []
    monkeypatch.setattr(tasks.ChunkTask, "retry_as", lambda _, __, arguments, ___: sent.append(arguments))
    job = JobPart(id=JOB, positions=(0, 1)).to_json()
    tasks.index_listings.apply(args=[[slow, shop.event("quick")]], kwargs={"job": job}).get()
    assert kinds(jobs) == [None, "indexed"]
    monkeypatch.undo()

    run_tasks_here(shop, redis_url, monkeypatch)
    assert sent[0][2] == {"id": JOB, "positions": [0]}
    tasks.index_listings.apply(args=sent[0], retries=1).get()
    assert kinds(jobs) == ["indexed", "indexed"]


def test_a_failed_task_is_told_too(shop: Shop, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events are parked."""
    queue = run_tasks_here(shop, redis_url, monkeypatch)
    jobs = create(queue, "a")

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(tasks, "deliver", fail)
    job = JobPart(id=JOB, positions=(0,)).to_json()
    tasks.index_listings.apply(args=[[shop.event("a")]], kwargs={"job": job})
    assert kinds(jobs) == ["rejected"]


def test_the_stream_has_an_entry_for_each_event(
    shop: Shop, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With item, outcome, reason, time of the event and encoder; it is off by default."""
    stream = f"{shop.settings.queue}:outcomes"
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    run_tasks_here(shop, redis_url, monkeypatch)
    tasks.index_listings.apply(args=[[shop.event("a")]]).get()
    assert not client.exists(stream)

    run_tasks_here(shop, redis_url, monkeypatch, outcome_stream_length=1000)
    event = shop.event("b")
    tasks.index_listings.apply(args=[[event, {"item_id": "c"}, "no event"]]).get()
    told = [fields for _, fields in client.xrange(stream)]
    encoder_id = shop.encoder_id
    assert told[0] == {
        "item_id": "b",
        "outcome": "indexed",
        "updated_at": event["updated_at"],
        "encoder_id": encoder_id,
        "encoder_ids": encoder_id,
    }
    assert (told[1]["item_id"], told[1]["outcome"]) == ("c", "rejected")
    assert told[1]["reason"]
    assert "encoder_ids" not in told[1]
    assert "item_id" not in told[2]


def test_the_stream_names_the_encoders_of_all_indices(
    shop: Shop, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the encoder of the live index is changed, an event is in two."""
    other = write_colour_encoder(tmp_path / "other", "other")
    identity = EncoderIdentity.from_artifact(other)
    rebuild.begin(shop.es, shop.settings.prefix, shop.index_name, identity, IndexOptions())
    settings = replace(shop.settings, further_encoders=(other,))
    encoders = {shop.settings.encoder: shop.encoder, other: CountingEncoder(other)}
    both = replace(shop, settings=settings, indexer=build_indexer(settings, es=shop.es, encoders=encoders))
    run_tasks_here(both, redis_url, monkeypatch, outcome_stream_length=1000)
    tasks.index_listings.apply(args=[[shop.event("a")]]).get()

    client = redis.Redis.from_url(redis_url, decode_responses=True)
    ((_, told),) = client.xrange(f"{shop.settings.queue}:outcomes")
    assert told["encoder_id"] == shop.encoder_id
    assert sorted(told["encoder_ids"].split(",")) == sorted([shop.encoder_id, identity.encoder_id])

"""Workers and API that are watched: metrics, the operator page, and ids in logs."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import redis
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from indexer.worker.app import producer
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.client import ElasticsearchSettings
from monitoring.drift import measure_drift
from monitoring.samples import Samples
from monitoring.workers import WorkerReports
from query.api.app import create_app
from query.api.settings import QuerySettings
from queues.listings.names import INDEX_TASK, listing_queue
from telemetry.ids import Ids, ids_of
from tests.conftest import RunningService, WorkerFactory
from tests.factories import make_identity, make_listing
from tests.free_port import free_port
from tests.indexing import Shop, submission
from tests.waiting import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index on the session's Elasticsearch."""
    return Shop.open(es, index_prefix, tmp_path)


def scraped(port: int) -> Samples:
    """What Prometheus reads of a worker."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return Samples.of(text_string_to_metric_families(answer.read().decode()))


def api_of(shop: Shop, es: Elasticsearch, redis_url: str) -> Flask:
    """An API of the shop's index."""
    settings = QuerySettings(ElasticsearchSettings(prefix=shop.settings.prefix), redis_url=redis_url)
    return create_app(settings, es)


def lines_with(worker: RunningService, **fields: str) -> list[Mapping[str, Any]]:
    """The JSON lines of a worker's log with these fields."""
    found = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    return [line for line in found if fields.items() <= line.items()]


def test_a_worker_is_watched_from_event_to_document(
    shop: Shop, es: Elasticsearch, elasticsearch_url: str, redis_url: str, worker: WorkerFactory
) -> None:
    """Its metrics are those of all its processes, killed ones too; its lines name what caused them."""
    port = free_port()
    environ = shop.environ(elasticsearch_url, redis_url)
    further = {"NITAMONO_METRICS_PORT": str(port), "NITAMONO_LOG_FORMAT": "json"}
    running = worker(processes=2, **environ, **further)
    sent = submission(environ)
    sent.send([shop.event(f"m{number}") for number in range(4)])
    sent.finish()
    missing = shop.event("m9", images=[str(shop.photos / "none.png")])
    with ids_of(Ids(trace_id=TRACE)):
        producer(sent.settings).send_task(INDEX_TASK, args=[[missing]], task_id="task-of-m9")
    events = "nitamono_listing_events_total"
    wait_until(lambda: scraped(port).total(events, outcome="indexed_without_vector") == 1)

    before = scraped(port)
    assert before.total(events, outcome="indexed", reason="") == 4
    assert before.total(events, reason="photo_not_found") == 1
    assert before.by("nitamono_photos_total", "result") == {"ok": 4, "photo_not_found": 1}
    queue = listing_queue(shop.settings.prefix)
    messages = before.by("nitamono_message_lag_seconds_count", "queue")
    assert messages == {queue: 1, f"{queue}-backfill": 1}
    assert 0 < (before.quantile("nitamono_message_lag_seconds", 0.5) or 0) < 60
    assert before.total("nitamono_event_lag_seconds_count") == 5
    stages = set(before.by("nitamono_stage_seconds_count", "stage"))
    assert stages >= {"read", "photos", "fetch", "decode", "encode", "write"}
    assert before.total("nitamono_encoder_info", backend="onnxruntime", precision="f32") == 1

    (letter,) = lines_with(running, item_id="m9")
    assert (letter["reason"], letter["task_id"], letter["trace_id"]) == (
        "photo_not_found",
        "task-of-m9",
        TRACE,
    )

    for process in psutil.Process(running.pid).children(recursive=True):
        process.kill()
    assert scraped(port).total(events) == before.total(events)
    sent.send([shop.event("m5")])
    sent.finish()
    assert scraped(port).total(events, outcome="indexed") == 5
    assert (
        scraped(port).total("nitamono_chunk_events_count") == before.total("nitamono_chunk_events_count") + 1
    )

    check_page(shop, es, redis_url, running)


def check_page(shop: Shop, es: Elasticsearch, redis_url: str, running: RunningService) -> None:
    """The worker is on the page for operators, with its encoder, and in the metrics of the API."""
    reports = WorkerReports(redis.Redis.from_url(redis_url), shop.settings.prefix)
    es.indices.refresh(index=shop.index_name)
    wait_until(lambda: bool(reports.read()[0].samples.total("nitamono_listing_events_total") >= 6))
    with api_of(shop, es, redis_url).test_client() as api:
        page = api.get("/operator").text
        found = Samples.of(text_string_to_metric_families(api.get("/metrics").text))
    name = reports.read()[0].node
    text = re.sub(r"<[^>]*>|\s+", " ", page)
    assert name in page
    assert f"{shop.encoder.encoder_id} onnxruntime f32" in page
    assert "photo_not_found" in page
    assert "Check the path" in page
    assert "83.3% of the listings" in text
    assert found.total("nitamono_workers", kind="listings") == 1
    assert found.total("nitamono_index_listings", index=shop.index_name) == 6
    assert found.total("nitamono_dead_letters", reason="photo_not_found") == 1
    running.stop()
    assert reports.read() == []


def test_the_state_names_what_waits_and_what_is_refused(
    shop: Shop, es: Elasticsearch, redis_url: str
) -> None:
    """The age is that of the message, not of the queue; without a worker the page says so first."""
    client = redis.Redis.from_url(redis_url)
    queue = listing_queue(shop.settings.prefix)
    app = producer(replace(shop.settings, redis_url=redis_url))
    app.send_task(INDEX_TASK, args=[[shop.event("m1")]], headers={"enqueued_at": 1_700_000_000})
    app.send_task(INDEX_TASK, args=[[shop.event("m2")]])
    client.hset(f"{queue}:refused", "message:1", "{}")
    with api_of(shop, es, redis_url).test_client() as api:
        found = Samples.of(text_string_to_metric_families(api.get("/metrics").text))
        page = api.get("/operator").text
    assert found.total("nitamono_queue_messages", queue=queue, state="waiting") == 2
    assert found.total("nitamono_queue_messages", queue=queue, state="refused") == 1
    assert found.total("nitamono_queue_oldest_message_seconds", queue=queue) > 1e6
    assert found.total("nitamono_queue_oldest_message_seconds", queue=f"{queue}-events") == 0
    assert "No worker of listings reports" in page
    assert "The oldest message in" in page
    assert "1 message of" in page


def test_the_api_counts_its_requests(shop: Shop, es: Elasticsearch, redis_url: str) -> None:
    """By route and not by item; an unknown path is one route."""
    shop.index(shop.event("m1"), shop.event("m2"))
    es.indices.refresh(index=shop.index_name)
    with api_of(shop, es, redis_url).test_client() as api:
        before = Samples.of(text_string_to_metric_families(api.get("/metrics").text))
        for item in ("m1", "m2", "m3"):
            api.get(f"/v1/listings/{item}/similar")
        for path in ("/x", "/y"):
            api.get(path)
        after = Samples.of(text_string_to_metric_families(api.get("/metrics").text))

    def added(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    route = "/v1/listings/<listing_id:item_id>/similar"
    assert added("nitamono_http_requests_total", route=route, status="200") == 2
    assert added("nitamono_http_requests_total", route=route, status="404") == 1
    assert added("nitamono_http_requests_total", route="none", status="404") == 2
    assert added("nitamono_http_request_seconds_count", route=route) == 3
    assert added("nitamono_http_problems_total", type="unknown-item") == 1
    assert added("nitamono_similar_answers_total", fallback="") == 2
    assert added("nitamono_cache_lookups_total", result="none") == 3


def test_drift_is_measured_on_the_newest(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> None:
    """Listings as before shift nothing; some of another colour do. A small index is not measured."""
    shop = Shop.open(es, index_prefix, tmp_path)
    random = np.random.default_rng(3)
    fill(shop, random.normal((1, 1, 1), 0.1, (400, 3)), since=0)
    assert measure_drift(es, shop.index_name, make_identity()) is None
    fill(shop, random.normal((1, 1, 1), 0.1, (500, 3)), since=400)
    same = measure_drift(es, shop.index_name, make_identity())
    fill(shop, random.normal((0.2, 1, 1), 0.1, (200, 3)), since=900)
    other = measure_drift(es, shop.index_name, make_identity())
    assert same is not None
    assert other is not None
    assert same.centre_shift < 0.1
    assert other.centre_shift > 1
    assert 0.99 < same.similarity <= 1
    assert 0 < same.leading < 1


def fill(shop: Shop, vectors: np.ndarray, since: int) -> None:
    """Add a document for each vector, (n, 3), the last of them newest."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    documents = [
        {
            "_index": shop.index_name,
            "_id": f"v{since + number}",
            "_source": source(since + number, vector),
        }
        for number, vector in enumerate(unit)
    ]
    bulk(shop.es, documents, refresh=True)


def source(number: int, vector: np.ndarray) -> dict[str, Any]:
    """A document of a vector, indexed `number` seconds after the first."""
    listing = make_listing(item_id=f"v{number}")
    document = to_document(listing, EncodedPhoto(tuple(vector.tolist()), "0" * 16), "colour").to_source()
    return document | {"indexed_at": 1_790_000_000_000 + number * 1000}

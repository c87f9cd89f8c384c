"""Simulated buyers in front of the real API, index and queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from elasticsearch import Elasticsearch
from werkzeug.serving import make_server

from demo.marketplace.listings import generate
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.catalogue import drawn_catalogue
from demo.simulation.setup import Plan
from demo.simulation.through_api.client import Api
from demo.simulation.through_api.live import LiveSummary, simulate_live
from events.names import event_queue
from events.user_ids import user_hash
from experiments.assignment.assign import assign
from experiments.assignment.definition import read_experiment
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import create_index
from mappings.listing import parse_listing
from query.api.app import create_app
from query.api.settings import QuerySettings
from tests.factories import make_identity

SALT = "a salt of the tests"
COUNT = 150
DEFINITION = """\
name = "price"
hypothesis = "A heavier price is tapped more."
start = {start}
planned_weeks = 2
minimum_detectable_effect = 0.1

[[arms]]
name = "light"
shuffle = 0.3

[[arms]]
name = "heavy"
ranking_weights = {{ price = 4.0 }}
shuffle = 0.3
"""
TRUTH = GroundTruth(bot_share=0.0, buy_after_tap=0.8)


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """A folder with an experiment that has run for a week; both arms rank with the same index."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    start = datetime.now(UTC).date() - timedelta(days=8)
    (folder / "price.toml").write_text(DEFINITION.format(start=start))
    return folder


@pytest.fixture
def listings(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Path:
    """The file of drawn listings that the index holds, each with its true vector."""
    events = [event | {"status": "on_sale"} for event in generate(COUNT, 7)]
    vectors = drawn_catalogue(COUNT, 7, TRUTH).truth
    identity = make_identity(dims=vectors.shape[1])
    index = create_index(es, index_prefix, identity)
    swap_aliases(es, index_prefix, index)
    for event, vector in zip(events, vectors, strict=True):
        picture = EncodedPhoto(tuple(map(float, vector)), "0" * 16)
        document = to_document(parse_listing(event), picture, identity.encoder_id)
        es.index(index=index, id=event["item_id"], document=document.to_source())
    es.indices.refresh(index=index)
    file = tmp_path / "listings.jsonl"
    file.write_text("\n".join(map(json.dumps, events)))
    return file


@pytest.fixture
def api_url(
    es: Elasticsearch, elasticsearch_url: str, redis_url: str, index_prefix: str, experiments: Path
) -> Iterator[str]:
    """The API on a port of its own."""
    settings = QuerySettings(
        ElasticsearchSettings((elasticsearch_url,), prefix=index_prefix),
        redis_url=redis_url,
        user_salt=SALT,
        experiments=experiments,
    )
    server = make_server("127.0.0.1", 0, create_app(settings, es), threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_buyers_see_their_arms_and_all_events_are_accepted(
    api_url: str, listings: Path, experiments: Path, redis_url: str, index_prefix: str, es: Elasticsearch
) -> None:
    """Each user sees the assigned arm; shuffled slates are marked; what is sold leaves the index."""
    sent: list[dict[str, Any]] = []
    index = f"{index_prefix}-read"

    def sell(events: list[dict[str, Any]]) -> None:
        for event in events:
            es.delete(index=next(iter(es.indices.get(index=index))), id=event["item_id"], refresh=True)

    class Watched(Api):
        """Keeps what it sends."""

        def send(self, events: Any) -> Any:
            kept = list(events)
            sent.extend(kept)
            return super().send(kept)

    plan = Plan(truth=TRUTH, users=60, days=2)
    with Watched(api_url) as api:
        summary: LiveSummary = simulate_live(plan, listings, api, sell, now=datetime.now(UTC))
    slates = [event for event in sent if event["type"] == "impression"]

    assert summary.received == {"accepted": len(sent)}
    assert summary.sent["tap"] > 0
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(event_queue(index_prefix)) > 0
    experiment = read_experiment(experiments / "price.toml")
    for slate in slates:
        arm = assign(experiment, user_hash(SALT, slate["user_id"]), datetime.now(UTC).date())
        assert arm is not None
        assert slate["arms"] == [f"price:{arm.name}"]
    assert set(summary.slates) == {"price:light", "price:heavy"}
    assert 0 < sum(slate["randomised"] for slate in slates) < len(slates)
    assert summary.sold > 0
    assert summary.visits == len(slates) + summary.unanswered[404]

"""The API with its cache, over an index that the indexer writes to: what is served, and until when."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from cache.answers import AnswerCache
from cache.changes import Changes
from indexer.worker.pipeline.chunk import Chunk
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import create_index
from mappings.identity import EncoderIdentity
from query.api.app import create_app
from query.api.settings import QuerySettings
from query.search.recent import RECENT_S
from query.search.result_policy import NO_RULES
from tests.conftest import RunningService, WorkerFactory
from tests.free_port import free_port
from tests.indexing import Shop, at, draw_photo, submission

VISIBLE_S = 0.5
"""The tests refresh the index themselves."""

PER_DELIVERY = ("next_cursor", "took_ms", "elasticsearch_ms", "stages_ms", "cached", "slate_id")


@dataclass
class Market:
    """A shop with its API, whose indexer marks what it writes."""

    shop: Shop
    query: QuerySettings
    api: FlaskClient

    def put(self, *items: str, minute: float = 0, **changes: Any) -> Chunk:
        """Index an event of each item, and make it visible."""
        chunk = self.shop.chunk([self.event(item, minute, **changes) for item in items])
        self.settle()
        return chunk

    def event(self, item_id: str, minute: float, **changes: Any) -> dict[str, Any]:
        """An event of an item with a photo of its own colour."""
        colour = (200, 20 + 5 * int(item_id.removeprefix("m") or 0), 20)
        photo = self.shop.photos / f"{item_id}.png"
        images = [str(photo if photo.exists() else draw_photo(photo, colour))]
        return self.shop.event(item_id, **{"updated_at": at(minute), "images": images, **changes})

    def settle(self) -> None:
        """Refresh the index, and wait until answers that began before are known to be old."""
        self.shop.es.indices.refresh(index=self.shop.index_name)
        time.sleep(VISIBLE_S + 0.02)

    def get(self, path: str = "/v1/listings/m0/similar", **asked: Any) -> TestResponse:
        """The response, without the rules unless asked otherwise."""
        headers = asked.pop("headers", {})
        rules = NO_RULES if path.endswith("/similar") else {}
        return self.api.get(path, query_string={**rules, **asked}, headers=headers)

    def similar(self, **asked: Any) -> dict[str, Any]:
        """The answer."""
        answer = self.get(**asked)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json
        return body

    def ids(self, **asked: Any) -> list[str]:
        """The ids in the answer."""
        return [item["item_id"] for item in self.similar(**asked)["items"]]

    def cached(self, **asked: Any) -> bool:
        """Whether the answer is a stored one."""
        return bool(self.similar(**asked)["cached"])

    def with_api(self, **changes: Any) -> Market:
        """The same shop behind another API process."""
        query = replace(self.query, **changes)
        return replace(self, query=query, api=create_app(query, self.shop.es).test_client())


def marked(shop: Shop, client: redis.Redis, visible_after_s: float = VISIBLE_S) -> Shop:
    """The shop, whose writes are marked."""
    changes = Changes(client, shop.settings.prefix, longest_write_s=60, visible_after_s=visible_after_s)
    changes.announce()
    store = replace(shop.indexer.store, marking=changes.of)
    return replace(shop, indexer=replace(shop.indexer, store=store))


@pytest.fixture
def market(
    es: Elasticsearch,
    elasticsearch_url: str,
    redis_url: str,
    index_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Market:
    """Five red skirts, m0 to m4. The API has patience with the Redis of a busy machine."""
    monkeypatch.setattr("cache.answers.TIMEOUT_S", 30)
    shop = marked(Shop.open(es, index_prefix, tmp_path), redis.Redis.from_url(redis_url))
    query = QuerySettings(
        ElasticsearchSettings((elasticsearch_url,), prefix=index_prefix), redis_url=redis_url
    )
    market = Market(shop, query, create_app(query, es).test_client())
    market.put(*(f"m{number}" for number in range(5)))
    return market


UNREFRESHED_S = 3.0
"""Longer than the next two requests take on a busy machine."""


@pytest.fixture
def unrefreshed(market: Market, redis_url: str) -> Market:
    """The market, whose index shows a write only when the test refreshes it."""
    shop = marked(market.shop, redis.Redis.from_url(redis_url), UNREFRESHED_S)
    shop.es.indices.put_settings(index=shop.index_name, settings={"refresh_interval": -1})
    return replace(market, shop=shop)


def without_delivery(body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an answer that must be the same each time."""
    return {name: value for name, value in body.items() if name not in PER_DELIVERY}


REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 6),
        "price_ratio": st.sampled_from([1.5, 3, 10]),
        "category": st.sampled_from(["Apparel", "Skirts"]),
        "attribute": st.sampled_from(["colour:Red", "colour:red"]),
        "exclude_seller": st.sampled_from(["s1", "s9"]),
        "seller_cap": st.integers(0, 3),
        "collapse_duplicates": st.booleans(),
        "min_similarity": st.sampled_from([0, 0.5, 0.999]),
        "diversity": st.sampled_from([0, 0.4]),
        "user_id": st.sampled_from(["u1", "u2"]),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=REQUESTS)
def test_a_stored_answer_is_the_same_json(market: Market, asked: dict[str, Any]) -> None:
    """As without a cache, but for its times, its slate and the field that says so."""
    uncached = market.with_api(cache_answers=0).similar(**asked)
    market.similar(**asked)
    stored = market.similar(**asked)
    assert (uncached["cached"], stored["cached"]) == (False, True)
    assert list(uncached) == list(stored)
    assert without_delivery(uncached) == without_delivery(stored)
    assert uncached["slate_id"] != stored["slate_id"] != market.similar(**asked)["slate_id"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "sold_out"},
        {"status": "removed"},
        {"status": "reserved"},
        {"price": 1300},
        {"title": "New"},
    ],
    ids=str,
)
@pytest.mark.parametrize("item", ["m0", "m2"])
def test_a_change_of_any_item_ends_the_answer(market: Market, change: dict[str, Any], item: str) -> None:
    """Of one that is shown, or of the item itself, as soon as it is written; the next one is stored."""
    market.similar()
    assert market.cached()
    market.shop.chunk([market.event(item, 1, **change)])
    assert not market.cached()
    market.settle()
    fresh = market.with_api(cache_answers=0).similar()
    assert without_delivery(market.similar()) == without_delivery(fresh)
    assert market.cached()
    if item == "m2" and "status" in change:
        assert "m2" not in market.ids()


def test_a_rejected_event_with_a_valid_status_ends_the_answer_too(market: Market) -> None:
    """It is applied to the stored listing."""
    market.similar()
    market.shop.chunk([market.event("m2", 1, status="sold_out", category=[])])
    assert not market.cached()
    market.settle()
    assert "m2" not in market.ids()


def test_a_change_of_another_item_does_not(market: Market) -> None:
    """Nor does an event that changes nothing."""
    market.put("m9", category=["Home"], price=90_000)
    market.similar()
    market.shop.chunk([market.event("m9", 1, category=["Home"], status="sold_out"), market.event("m2", 0)])
    assert market.cached()


def test_a_sale_between_search_and_store_is_not_missed(
    unrefreshed: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was computed before it, and arrives in Redis after it: it must not be kept."""
    market, real = unrefreshed, AnswerCache.store

    def store_after_a_sale(*given: Any) -> None:
        market.shop.chunk([market.event("m2", 1, status="sold_out")])
        real(*given)

    monkeypatch.setattr(AnswerCache, "store", store_after_a_sale)
    assert "m2" in market.ids()
    monkeypatch.undo()
    assert not market.cached()
    market.settle()
    time.sleep(UNREFRESHED_S)
    assert "m2" not in market.ids()
    assert market.cached()


def test_a_search_before_the_refresh_is_not_kept(unrefreshed: Market) -> None:
    """Elasticsearch still shows what is sold already."""
    unrefreshed.shop.chunk([unrefreshed.event("m2", 1, status="sold_out")])
    assert "m2" in unrefreshed.ids()
    assert not unrefreshed.cached()
    unrefreshed.settle()
    assert "m2" not in unrefreshed.ids()


def test_a_worker_killed_after_its_write_leaves_no_old_answer(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is delivered again after two minutes only, and then nothing is left to write."""
    market.similar()
    es = market.shop.indexer.store.es
    real = es.bulk

    def write_and_die(**given: Any) -> None:
        real(**given)
        raise SystemExit

    monkeypatch.setattr(es, "bulk", write_and_die)
    with pytest.raises(SystemExit):
        market.shop.chunk([market.event("m2", 1, status="sold_out"), market.event("m3", 1, price=1300)])
    monkeypatch.undo()
    market.settle()
    assert "m2" not in market.ids()
    assert {item["item_id"]: item["price"] for item in market.similar()["items"]}["m3"] == 1300
    assert not market.cached(), "as long as a write of m3 may still come"
    assert market.shop.index(market.event("m2", 1, status="sold_out")).unchanged == 1


def test_events_wait_while_redis_is_away(market: Market) -> None:
    """None is written, since stored answers could not be ended; the chunk is retried."""
    nobody = redis.Redis(port=free_port(), retry=None)
    changes = Changes(nobody, market.shop.settings.prefix, longest_write_s=60)
    store = replace(market.shop.indexer.store, marking=changes.of)
    indexer = replace(market.shop.indexer, store=store)
    chunk = indexer.index([market.event("m2", 1, status="sold_out")])
    assert {failure.reason for failure in chunk.waiting.values()} == {"redis_unavailable"}
    assert market.shop.documents()["m2"]["status"] == "on_sale"


def test_processes_share_answers_unless_they_are_set_differently(market: Market) -> None:
    """The answers of two with the same rules are equal."""
    market.similar(), market.similar(seller_cap=2)
    assert market.with_api().cached()
    assert not market.with_api(seller_cap=1).cached()
    assert not market.with_api(diversity=0.5).cached()
    assert not market.with_api(cache_answers=0).cached()


@pytest.mark.parametrize("asked", [{"explain": True}, {"explain_missing": "m2"}], ids=str)
def test_explanations_are_not_kept(market: Market, asked: dict[str, Any]) -> None:
    """Whoever asks for one wants to see what happens now."""
    market.similar(**asked)
    assert not market.cached(**asked)


def test_errors_are_not_kept(market: Market) -> None:
    """An item or a filter value that is new is found at once."""
    assert market.get("/v1/listings/m7/similar").status_code == 404
    assert market.get(attribute="colour:Green").status_code == 400
    market.put("m7", attributes={"colour": "Green"})
    assert market.get("/v1/listings/m7/similar").status_code == 200


def test_a_swapped_index_is_answered_from_within_a_second(market: Market) -> None:
    """Answers of the old one are of no use."""
    market.similar()
    shop = market.shop
    encoder = EncoderIdentity.from_artifact(shop.settings.encoder)
    time.sleep(1)  # the name of an index has its second
    new = create_index(shop.es, shop.settings.prefix, encoder)
    document = shop.es.get(index=shop.index_name, id="m0", source_exclude_vectors=False)["_source"]
    shop.es.index(index=new, id="m0", document=document, refresh=True)
    swap_aliases(shop.es, shop.settings.prefix, new)
    time.sleep(RECENT_S)
    assert (market.similar()["index"], market.ids()) == (new, [])


def test_a_new_listing_appears_when_the_answer_expires(market: Market) -> None:
    """Only what is in an answer ends it."""
    short = market.with_api(cache_ttl_s=5)
    short.similar()
    market.put("m8")
    assert "m8" not in short.ids()
    time.sleep(5)
    assert "m8" in short.ids()


EXPERIMENT = """\
name = "order"
hypothesis = "Positions matter."
start = 2026-01-01
planned_weeks = 2
minimum_detectable_effect = 0.05

[[arms]]
name = "control"
shuffle = {shuffle}

[[arms]]
name = "cheap"
ranking_weights = {{ price = 4.0 }}
shuffle = {shuffle}
"""


@pytest.fixture
def experiment(market: Market, tmp_path: Path) -> Callable[..., Market]:
    """A function that returns the market with an experiment."""

    def define(shuffle: float = 0.0, **changes: Any) -> Market:
        folder = tmp_path / "experiments"
        folder.mkdir(exist_ok=True)
        (folder / "order.toml").write_text(EXPERIMENT.format(shuffle=shuffle))
        return market.with_api(experiments=folder, user_salt="a salt of the tests", **changes)

    return define


def test_each_arm_has_its_own_answers(experiment: Callable[..., Market]) -> None:
    """And each visitor the labels of the own arms."""
    market = experiment()
    control, cheap = ("order:control",), ("order:cheap",)
    for arm in (control, cheap):
        assert not market.cached(arm=arm)
        stored = market.similar(arm=arm)
        assert (stored["cached"], stored["arms"], stored["override"]) == (True, list(arm), True)
    assert market.similar(arm=control)["items"] != market.similar(arm=cheap)["items"]


def test_a_random_order_is_made_after_the_cache(experiment: Callable[..., Market]) -> None:
    """It follows from each answer's own slate."""
    market = experiment(shuffle=1.0)
    answers = [market.similar(arm="order:control") for _ in range(12)]
    assert [each["cached"] for each in answers] == [False] + [True] * 11
    assert all(each["randomised"] for each in answers)
    orders = [tuple(item["item_id"] for item in each["items"]) for each in answers]
    assert len(set(orders)) > 3
    assert {tuple(sorted(order)) for order in orders} == {("m1", "m2", "m3", "m4")}


def test_a_client_that_has_the_answer_gets_304(market: Market) -> None:
    """Stored or not; and the whole new one after a sale."""
    first = market.get()
    assert first.headers["Cache-Control"] == "private, no-cache"
    tag = {"If-None-Match": first.headers["ETag"]}
    for api in (market, market, market.with_api(cache_answers=0)):
        again = api.get(headers=tag)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    market.put("m2", minute=1, status="sold_out")
    changed = market.get(headers=tag)
    assert (changed.status_code, changed.headers["ETag"] != first.headers["ETag"]) == (200, True)


def test_a_listing_is_revalidated_too(market: Market) -> None:
    """Its detail changes with each event."""
    first = market.get("/v1/listings/m1")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert market.get("/v1/listings/m1", headers=tag).status_code == 304
    market.put("m1", minute=1, price=1291)
    assert market.get("/v1/listings/m1", headers=tag).status_code == 200


@pytest.mark.parametrize("path", ["/v1/listings/m0/similar", "/v1/listings/m0"])
def test_head_has_the_headers_alone(market: Market, path: str) -> None:
    """The same as GET, and 304 too."""
    got, head = market.api.get(path), market.api.head(path)
    assert (head.status_code, head.data) == (200, b"")
    for name in ("ETag", "Cache-Control", "Content-Type"):
        assert head.headers[name] == got.headers[name]
    tag = {"If-None-Match": got.headers["ETag"]}
    assert market.api.head(path, headers=tag).status_code == 304


def test_shared_caches_may_keep_what_is_the_same_for_everybody(
    market: Market, experiment: Callable[..., Market]
) -> None:
    """For so long as the setting says, unless an experiment runs. Errors are never kept."""
    plain = market.with_api(max_age_s=20)
    assert plain.get().headers["Cache-Control"] == "public, max-age=20"
    assert plain.get("/v1/listings/m0").headers["Cache-Control"] == "public, max-age=20"
    assert plain.get("/v1/listings/m7").headers["Cache-Control"] == "no-store"
    tested = experiment(max_age_s=20)
    assert tested.get().headers["Cache-Control"] == "private, no-cache"
    attributed = tested.get(arm="order:control")
    assert attributed.headers["Cache-Control"] == "no-store"
    assert "ETag" not in attributed.headers


def cache_of(market: Market) -> dict[str, Any]:
    """What readiness says of the cache."""
    found: dict[str, Any] = json.loads(market.get("/readyz").data)["cache"]
    return found


def test_readiness_counts_hits_and_misses(market: Market) -> None:
    """Of this process."""
    fresh = market.with_api()
    assert cache_of(fresh) == {"state": "on", "hits": 0, "misses": 0}
    for _ in range(3):
        fresh.similar()
    assert cache_of(fresh) == {"state": "on", "hits": 2, "misses": 1}
    assert cache_of(market.with_api(cache_answers=0))["state"] == "off"


def test_answers_come_without_redis(market: Market, own_redis: RunningService) -> None:
    """Uncached and without an error; and stored again when it is back."""
    marked(market.shop, redis.Redis.from_url(own_redis.url))
    time.sleep(VISIBLE_S + 0.02)
    api = market.with_api(redis_url=own_redis.url)
    api.similar()
    assert api.cached()
    own_redis.kill()
    assert not api.cached()
    for _ in range(20):
        api.similar()
    assert cache_of(api)["state"] == "unavailable"
    own_redis.start()
    deadline = time.monotonic() + 20
    while not api.cached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def unwanted(_: redis.Connection) -> None:
    """A connection that must not be opened."""
    raise AssertionError("Redis was asked again")


def test_a_silent_redis_delays_one_request(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address swallows what is sent: one short timeout, then the pause, in which it is not asked."""
    monkeypatch.setattr("cache.answers.TIMEOUT_S", 0.1)
    api = market.with_api(redis_url="redis://10.255.255.1:6379/0")
    api.similar()
    with monkeypatch.context() as patched:
        patched.setattr(redis.Connection, "connect", unwanted)
        api.similar()
    assert cache_of(api)["state"] == "unavailable"


def test_a_real_worker_ends_answers(market: Market, worker: WorkerFactory, redis_url: str) -> None:
    """It announces itself, and once its task has ended no stored answer shows what it sold, in chunks too."""
    redis.Redis.from_url(redis_url).flushdb()
    environ = market.shop.environ(market.query.elasticsearch.urls[0], redis_url)
    worker(**environ)
    deadline = time.monotonic() + 20
    while not market.cached():
        assert time.monotonic() < deadline, "the worker has not announced itself"
        time.sleep(0.2)
    sender = submission(environ)
    sender.send([market.event(item, 1, status="sold_out") for item in ("m1", "m3")])
    assert sender.finish().indexed == 2
    deadline = time.monotonic() + 20
    while (answer := market.similar())["cached"] is False:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [item["item_id"] for item in answer["items"]] == ["m2", "m4"]

"""Elasticsearch and Redis as the session starts them, and what a stop, a kill and a restart leave behind."""

from __future__ import annotations

from urllib.parse import urlsplit

import redis

from demo.local_services.elasticsearch.node import answers_searches, has_alias
from demo.local_services.live_index import LiveIndex, require_redis
from demo.local_services.redis_server import answers
from mappings.client import ElasticsearchSettings
from mappings.identity import EncoderIdentity


def test_elasticsearch_is_the_expected_version(es):
    """The session's Elasticsearch is a 9.5.4 and knows its one node."""
    versions = [node["version"] for node in es.nodes.info()["nodes"].values()]
    assert versions == ["9.5.4"]


def test_elasticsearch_makes_no_index_for_a_misspelt_name(es, index_prefix):
    """Writing to an index that nobody made is refused."""
    answer = es.options(ignore_status=404).index(index=f"{index_prefix}-typo", document={"a": 1})
    assert answer["error"]["type"] == "index_not_found_exception"


def test_redis_keeps_a_task_over_a_kill(own_redis):
    """What was queued before a SIGKILL is still queued after the next start."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.lpush("queue", "task")
    own_redis.kill()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.lrange("queue", 0, -1) == [b"task"]


def test_redis_refuses_rather_than_evicts(redis_url):
    """A full Redis answers with an error, so no queued task is thrown out unseen."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_redis_that_takes_no_writes_is_not_ready(own_redis):
    """It answers PING all the same."""
    port = urlsplit(own_redis.url).port
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory", 1)
        assert (client.ping(), answers(port)) == (True, False)
        client.config_set("maxmemory", 0)
    assert answers(port)


def test_an_elasticsearch_is_ready_when_the_live_index_is(elasticsearch_url, index_prefix, es):
    """Not before its shards are there, as in the first seconds after a restart, when health is 200 already;
    but whatever becomes of another index, and where no index is live yet."""
    alias = f"{index_prefix}-read"
    nowhere = {"index.routing.allocation.require._name": "nobody"}
    es.indices.create(index=f"{index_prefix}-1", settings=nowhere, wait_for_active_shards=0)
    assert es.cluster.health()["status"] == "red"
    assert answers_searches(elasticsearch_url, alias)
    es.indices.put_alias(index=f"{index_prefix}-1", name=alias)
    assert not answers_searches(elasticsearch_url, alias)
    es.indices.delete(index=f"{index_prefix}-1")
    assert answers_searches(elasticsearch_url, alias)


def test_redis_databases_are_empty(redis_url):
    """Each test gets a database without the keys of another."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_databases_stay_empty(redis_url):
    """The key that the test before left is not here."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_the_sessions_elasticsearch_is_accepted_as_external(elasticsearch_url, index_prefix, es):
    """The small distribution, which has no `GET /`, passes as ELASTICSEARCH_URL and gets its index."""
    settings = ElasticsearchSettings(urls=(elasticsearch_url,), prefix=index_prefix)
    index = LiveIndex(settings, EncoderIdentity("test-1", dims=4, similarity_mean=0.5, similarity_spread=0.1))
    index.require_elasticsearch()
    index.ensure()
    index.ensure()
    (name,) = es.indices.get_alias(name=f"{index_prefix}-read")
    assert name.startswith(f"{index_prefix}-test-1-")
    assert has_alias(elasticsearch_url, f"{index_prefix}-read")
    assert not has_alias(elasticsearch_url, f"{index_prefix}-other")


def test_the_sessions_redis_is_accepted_as_external(redis_url):
    """A Redis that answers passes as NITAMONO_REDIS_URL."""
    require_redis(redis_url)

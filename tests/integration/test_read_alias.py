"""If the read alias is unusable, every route says the same, with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from cli import main
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import IndexOptions, create_index, index_body
from query.api.app import create_app
from query.api.settings import QuerySettings
from query.search.errors import NoLiveIndex
from query.search.reader import IndexReader
from tests.factories import make_identity, make_listing

PATHS = (
    "/readyz",
    "/v1/listings",
    "/v1/listings/m1",
    "/v1/listings/nobody",
    "/v1/listings/m1/similar",
    "/v1/listings/nobody/similar",
    "/photos/m1/0",
    "/",
    "/items/m1",
)

Spoil = Callable[[Elasticsearch, str, str], None]


@pytest.fixture
def live(es: Elasticsearch, index_prefix: str) -> str:
    """A live index with one listing."""
    index = create_index(es, index_prefix, make_identity())
    swap_aliases(es, index_prefix, index)
    store(es, index)
    return index


@pytest.fixture
def api(es: Elasticsearch, elasticsearch_url: str, index_prefix: str) -> FlaskClient:
    """The API."""
    settings = QuerySettings(ElasticsearchSettings((elasticsearch_url,), prefix=index_prefix))
    return create_app(settings, es).test_client()


def store(es: Elasticsearch, index: str) -> None:
    document = to_document(make_listing(), EncodedPhoto((1.0, 0.0, 0.0, 0.0), "0" * 16), "colour-00000001")
    es.index(index=index, id="m1", document=document.to_source(), refresh=True)


def move_alias(es: Elasticsearch, prefix: str, live: str, body: dict[str, Any]) -> None:
    """Point the read alias at another index, with this body."""
    es.indices.create(index=f"{prefix}-other", **body)
    es.indices.update_aliases(
        actions=[
            {"remove": {"index": live, "alias": f"{prefix}-read"}},
            {"add": {"index": f"{prefix}-other", "alias": f"{prefix}-read"}},
        ]
    )


def half_swapped(es: Elasticsearch, prefix: str, live: str) -> None:
    other = create_index(es, prefix, make_identity(), now=datetime(2026, 1, 1, tzinfo=UTC))
    es.indices.put_alias(index=other, name=f"{prefix}-read")


def foreign(es: Elasticsearch, prefix: str, live: str) -> None:
    move_alias(es, prefix, live, {})


def foreign_with_the_listing(es: Elasticsearch, prefix: str, live: str) -> None:
    move_alias(es, prefix, live, {})
    es.index(index=f"{prefix}-other", id="m1", document={"anything": 1}, refresh=True)


def later_schema(es: Elasticsearch, prefix: str, live: str) -> None:
    move_alias(es, prefix, live, {"mappings": {"_meta": {"schema_version": 3}}})


def without_encoder(es: Elasticsearch, prefix: str, live: str) -> None:
    move_alias(es, prefix, live, {"mappings": {"_meta": {"schema_version": 2}}})


def closed(es: Elasticsearch, prefix: str, live: str) -> None:
    es.indices.close(index=live)


def named_like_the_alias(es: Elasticsearch, prefix: str, live: str) -> None:
    es.indices.delete(index=live)
    es.indices.create(index=f"{prefix}-read")


def missing(es: Elasticsearch, prefix: str, live: str) -> None:
    es.indices.delete_alias(index=live, name=f"{prefix}-read")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (half_swapped, "points at 2 indices"),
        (foreign, "-other has schema_version None, expected 2"),
        (foreign_with_the_listing, "-other has schema_version None, expected 2"),
        (later_schema, "-other has schema_version 3, expected 2"),
        (without_encoder, "-other: _meta names no encoder"),
        (closed, "is closed"),
        (named_like_the_alias, "-read is an index, expected an alias"),
        (missing, "`nitamono mappings create --live`"),
    ],
)
def test_every_route_says_what_is_wrong(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str, live: str, api: FlaskClient,
    spoil: Spoil, words: str,
) -> None:  # fmt: skip
    """503 with one sentence, by page, photo and API, also where the server answered well before."""
    assert api.get("/v1/listings/m1/similar").status_code == 200
    spoil(es, index_prefix, live)
    for path in PATHS:
        answer = api.get(path)
        assert answer.status_code == 503, path
        problem = answer.get_json(force=True)
        assert problem["type"] == "urn:nitamono:problem:no-live-index", path
        assert words in problem["detail"], path
    environ = {"ELASTICSEARCH_URL": elasticsearch_url, "NITAMONO_INDEX_PREFIX": index_prefix}
    printed = CliRunner().invoke(main, ["similar", "m1"], env=environ)
    assert (printed.exit_code, words in printed.output) == (1, True), printed.output
    assert printed.output.count("\n") == 1


def test_an_index_that_disappears_during_a_request_is_reported(
    es: Elasticsearch, index_prefix: str, live: str
) -> None:
    """Deleted or closed after the item was read."""
    reader = IndexReader(es, index_prefix, 5)
    found = reader.find("m1", reader.deadline())
    es.indices.close(index=live)
    with pytest.raises(NoLiveIndex, match="closed"):
        reader.search(found.index, {"size": 1}, reader.deadline(), copy="m1")
    es.indices.delete(index=live)
    with pytest.raises(NoLiveIndex, match="no such index"):
        reader.search(found.index, {"size": 1}, reader.deadline(), copy="m1")


def test_an_index_without_its_shards_is_unavailable(
    es: Elasticsearch, index_prefix: str, api: FlaskClient
) -> None:
    """A red index is the right one, and may recover by itself."""
    body = index_body(make_identity(), IndexOptions())
    body["settings"]["index.routing.allocation.require._name"] = "no-such-node"
    alias = {f"{index_prefix}-read": {}}
    es.indices.create(index=f"{index_prefix}-red", aliases=alias, wait_for_active_shards="0", **body)
    for path in ("/v1/listings", "/v1/listings/m1", "/v1/listings/m1/similar"):
        answer = api.get(path)
        problem = answer.get_json(force=True)
        assert (answer.status_code, problem["type"]) == (503, "urn:nitamono:problem:search-unavailable"), path

"""`nitamono mappings upgrade`: an index of schema 1 becomes one of schema 2 while events are indexed."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch, helpers

import indexer.jobs.rebuild as rebuild_module
from cli import main
from indexer.jobs.rebuild import (
    Rebuild,
    admit_new_fields,
    begin,
    count,
    finish,
    options_of,
    source_of_upgrade,
)
from indexer.jobs.rebuild import copy as copy_documents
from indexer.summary import IndexingSummary
from indexer.worker.pipeline.store import ListingStore
from mappings.aliases import swap_aliases
from mappings.creation import IndexOptions, create_once, read_mapping
from mappings.errors import MappingMismatch
from mappings.inspection import check_live, indices_behind, read_identity
from mappings.listing import ListingDocument
from mappings.names import read_alias, write_alias, written_through
from tests.indexing import GREEN, Shop, at, draw_photo, remaining, stored_documents, unit

V1 = read_mapping(Path(rebuild_module.__file__).parents[2] / "mappings" / "listings.v1.json")


NEW_FIELDS = {"version", "changes", "removal_version"}


def make_v1(shop: Shop, settings: Mapping[str, Any] | None = None) -> str:
    """Replace the shop's live index by one of schema 1 with the same documents, and return its name."""
    es, name = shop.es, f"{shop.index_name[:-14]}20260101000000"
    body = copy.deepcopy(V1)
    identity = shop.identity
    body["mappings"]["_meta"] |= asdict(identity)
    body["mappings"]["properties"]["vector"]["dims"] = identity.dims
    body["settings"] |= settings or {}
    assert create_once(es, name, body)
    helpers.bulk(es, (v1_action(name, item, source) for item, source in shop.documents().items()))
    swap_aliases(es, shop.settings.prefix, name, keep_writing=False)
    es.indices.delete(index=shop.index_name)
    return name


def v1_action(index: str, item_id: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the write of a document as version 0.1 stored it."""
    old = {key: value for key, value in source.items() if key not in {"offer", *NEW_FIELDS}}
    return {
        "_op_type": "index",
        "_index": written_through(index),
        "_id": item_id,
        "version": source["version"],
        "version_type": "external_gte",
        "_source": old | {"indexed_at": "2026-06-01T00:00:00.000000Z"},
    }


def begin_upgrade(shop: Shop, old: str) -> Rebuild:
    """Begin to rebuild the old index."""
    admit_new_fields(shop.es, old)
    return begin(shop.es, shop.settings.prefix, old, shop.identity, IndexOptions())


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """Three listings, one of them removed."""
    shop = Shop.open(es, index_prefix, tmp_path)
    items = {"m1": {}, "m2": {"price": 50}, "m3": {"status": "removed"}}
    shop.index(*(shop.event(item, updated_at=at(1), **changes) for item, changes in items.items()))
    return shop


@pytest.fixture
def environ(shop: Shop, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a command for the shop, set for this process too."""
    return shop.set_environ(monkeypatch, elasticsearch_url, "redis://127.0.0.1:1/0")


def upgrade() -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["mappings", "upgrade"])


def test_documents_are_copied_with_their_vectors_and_versions(shop: Shop, environ: dict[str, str]) -> None:
    """No photo is decoded; what the new schema adds follows from the rest; the old index stays up to date."""
    before = shop.documents()
    old = make_v1(shop)
    encoded = list(shop.encoder.batches)
    result = upgrade()
    assert result.exit_code == 0, result.output
    new, _ = next(iter(indices_behind(shop.es, read_alias(shop.settings.prefix)).items()))
    assert f"Copied 3 listings. Live: {old} → {new}" in result.output
    assert stored_documents(shop.es, new) == before
    assert before["m2"]["offer"] == "on_sale|JPY|17"
    assert shop.encoder.batches == encoded
    assert set(indices_behind(shop.es, write_alias(shop.settings.prefix))) == {old, new}
    assert shop.index(shop.event("m1", price=7, updated_at=at(5))) == IndexingSummary(indexed=1)
    assert [stored_documents(shop.es, index)["m1"]["price"] for index in (old, new)] == [7, 7]
    assert "has the schema of this version already" in upgrade().output


def test_an_index_of_the_old_schema_alone_is_refused(shop: Shop, environ: dict[str, str]) -> None:
    """By readers and writers, with the command in the message."""
    make_v1(shop)
    words = "`nitamono mappings upgrade` builds an index of the new version"
    with pytest.raises(MappingMismatch, match=words):
        check_live(shop.es, shop.settings.prefix, shop.identity)
    with pytest.raises(MappingMismatch, match=words):
        read_identity(shop.es, read_alias(shop.settings.prefix))
    result = CliRunner().invoke(main, ["similar", "m1"])
    assert (result.exit_code, words in result.output) == (1, True)
    waiting = shop.chunk([shop.event("m1", price=9, updated_at=at(5))]).waiting
    assert words in str(next(iter(waiting.values())))


def test_events_during_the_copy_reach_both_indices(shop: Shop, environ: dict[str, str]) -> None:
    """A newer document is not overwritten by the copy of an older one."""
    es, prefix = shop.es, shop.settings.prefix
    old = make_v1(shop)
    rebuild = begin_upgrade(shop, old)
    check_live(es, prefix, shop.identity)  # workers run, though requests read the old index
    shop.index(
        shop.event("m1", price=11, updated_at=at(5)),
        shop.event("m4", updated_at=at(5), images=[shop.photo(GREEN)]),
    )
    store = ListingStore(es, prefix, [read_identity(es, rebuild.target)])
    finish(es, prefix, copy_documents(es, store, rebuild, lambda _: None))
    documents = stored_documents(es, rebuild.target)
    assert set(documents) == {"m1", "m2", "m3", "m4"}
    assert documents["m1"]["price"] == 11
    found = es.search(index=old, query={"term": {"offer": documents["m4"]["offer"]}})["hits"]["hits"]
    assert "m4" in {hit["_id"] for hit in found}


def test_what_keeps_its_version_reaches_the_new_index(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status of a rejected event, and a photo that can be read again, that come while a page is copied."""
    es, prefix = shop.es, shop.settings.prefix
    photo = shop.photos / "later.png"
    shop.index(shop.event("m6", updated_at=at(1), images=[str(photo)]), final=True)
    old = make_v1(shop)
    rebuild, write, interfered = begin_upgrade(shop, old), rebuild_module.write, []

    def interfere(store: ListingStore, index: str, hits: Sequence[Mapping[str, Any]], **options: Any) -> None:
        if not interfered:
            interfered.append(True)
            draw_photo(photo, GREEN)
            shop.index(shop.event("m1", updated_at=at(5), status="sold_out", title=""))
            shop.index(shop.event("m6", updated_at=at(1), images=[str(photo)]))
        write(store, index, hits, **options)

    monkeypatch.setattr(rebuild_module, "write", interfere)
    store = ListingStore(es, prefix, [read_identity(es, rebuild.target)])
    finish(es, prefix, copy_documents(es, store, rebuild, lambda _: None))
    documents = stored_documents(es, rebuild.target)
    assert documents["m1"]["status"] == "sold_out"
    assert documents["m6"]["vector"] == pytest.approx(unit(GREEN), abs=0.01)


def test_shards_and_vector_index_stay_as_they_were(shop: Shop, environ: dict[str, str]) -> None:
    """Unless asked otherwise, and a run that resumes keeps what it began with."""
    old = make_v1(shop, {"number_of_shards": 2})
    rebuild = begin(shop.es, shop.settings.prefix, old, shop.identity, options_of(shop.es, old))
    assert options_of(shop.es, rebuild.target) == IndexOptions(2, None, "hnsw")
    result = CliRunner().invoke(main, ["mappings", "upgrade", "--vector-index", "int8_hnsw"])
    assert result.exit_code == 2
    assert "leave --vector-index out to resume" in " ".join(result.output.split())
    assert upgrade().exit_code == 0


def test_a_chunk_that_began_before_is_written_to_both(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new index joins between a chunk's reading and its writing: the chunk waits, and is repeated."""
    es = shop.es
    old = make_v1(shop)
    begin_upgrade(shop, old)
    indices = shop.indexer.store.indices()
    answers = iter([dict(list(indices.items())[:1]), indices])
    monkeypatch.setattr(ListingStore, "indices", lambda _: next(answers, indices))
    event = shop.event("m5", updated_at=at(5), images=[shop.photo(GREEN)])
    chunk = shop.chunk([event])
    assert [failure.reason for failure in chunk.waiting.values()] == ["indices_changed"]
    assert shop.index(*remaining(chunk)) == IndexingSummary(indexed=1)
    assert all("m5" in stored_documents(es, index) for index in indices)


def test_a_killed_upgrade_goes_on_where_it_was(
    shop: Shop, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL in mid-copy; the second run finds the new index and copies the rest."""
    es, prefix = shop.es, shop.settings.prefix
    template = shop.documents()["m2"]
    old = make_v1(shop)
    many = ({**template, "item_id": f"x{number:06}"} for number in range(20_000))
    helpers.bulk(es, (v1_action(old, source["item_id"], source) for source in many), chunk_size=2000)
    monkeypatch.setattr(rebuild_module, "SAVED_EVERY_S", 0.0)
    script = (
        "import indexer.jobs.rebuild as r; r.SAVED_EVERY_S = 0.0\n"
        "from cli import main; main(['mappings', 'upgrade'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, **environ})
    deadline = time.monotonic() + 60
    while (target := written_beside(es, prefix, old)) is None or saved(es, target) < 1000:
        assert process.poll() is None, "the upgrade ended before it could be killed"
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert source_of_upgrade(es, prefix) == old
    assert 0 < count(es, target) < 20_003
    result = upgrade()
    assert result.exit_code == 0, result.output
    assert f"Resuming {target}: " in result.output
    assert count(es, target) == 20_003
    assert source_of_upgrade(es, prefix) is None


def written_beside(es: Elasticsearch, prefix: str, old: str) -> str | None:
    """Return the index that is written to beside the old one, if there is one."""
    return next((name for name in indices_behind(es, write_alias(prefix)) if name != old), None)


def saved(es: Elasticsearch, target: str) -> int:
    """Return the number of documents that an interrupted copy would not repeat."""
    meta = es.indices.get_mapping(index=target)[target]["mappings"]["_meta"]
    return int(json.loads(json.dumps(meta)).get("rebuild", {}).get("copied", 0))


def test_a_document_survives_the_way_through_elasticsearch(shop: Shop) -> None:
    """What is written is what is read, with or without validation."""
    hit = shop.es.get(index=shop.index_name, id="m1", source_exclude_vectors=False)
    assert ListingDocument.model_validate(hit["_source"]) == ListingDocument.from_source(
        {**hit["_source"], "vector": tuple(hit["_source"]["vector"])}
    )

"""An index in which each of a listing's first photos has a vector of its own."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import redis
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from indexer.commands.status import lines, to_json
from indexer.jobs import gates, rebuild
from indexer.jobs.forget_documents import ForgottenDocuments, Traces
from indexer.jobs.forget_subject import Subject
from indexer.jobs.reembedding import refresh
from mappings.aliases import writable_indices
from mappings.client import ElasticsearchSettings
from mappings.creation import IndexOptions
from mappings.identity import IndexVectors
from mappings.lifecycle import list_indices
from mappings.remedies import remedy, remedy_over_http
from query.api.app import create_app
from query.api.ingest.models import IndexingAnswer
from query.api.responses import similar_answer
from query.api.settings import QuerySettings
from query.search.missing import Reason, explain_missing
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.result_policy import NO_RULES
from query.search.similar import SimilarItems, SimilarService
from queues.listings.status import IndexingState, IndexingStatuses
from tests.conftest import WorkerFactory
from tests.indexing import BLUE, GREEN, RED, Shop, at, stored_documents, unit
from tests.keys import make_key_ring
from tests.waiting import wait_until

PURPLE = (200, 20, 200)


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """A shop of which three photos are searched, with a red item, and one whose second photo is red."""
    shop = Shop.open(es, index_prefix, tmp_path, options=IndexOptions(photos=3))
    red, green, blue, purple = (shop.photo(colour) for colour in (RED, GREEN, BLUE, PURPLE))
    gone = str(shop.photos / "gone.png")
    shop.index(
        shop.event("red", images=[red], updated_at=at(1)),
        shop.event("detail", images=[blue, red, gone, green], seller_id="s2", updated_at=at(1)),
        shop.event("purple", images=[purple], seller_id="s3", updated_at=at(1)),
        shop.event("green", images=[green, gone], seller_id="s4", updated_at=at(1)),
        shop.event("none", images=[gone], seller_id="s5", updated_at=at(1)),
    )
    es.indices.refresh(index=shop.index_name)
    return shop


def similar(shop: Shop, item_id: str, **rules: object) -> SimilarItems:
    """Return the items similar to one, without rules unless some are given."""
    service = SimilarService(IndexReader(shop.es, shop.settings.prefix, 20))
    request = SimilarRequest(rules={**NO_RULES, **rules}, explain=True, explain_missing=("green", "detail"))
    return service.similar(item_id, request)


def test_each_photo_has_a_vector(shop: Shop) -> None:
    """Those that can be used; the first of them stands for the item where it is searched by."""
    documents = shop.documents()

    assert documents["detail"]["vector"] == pytest.approx(unit(BLUE), abs=0.01)
    further = [each["vector"] for each in documents["detail"]["further_photos"]]
    assert np.allclose(further, [unit(RED)], atol=0.01)  # the fourth photo is one too many
    assert "further_photos" not in documents["green"]
    assert documents["none"]["photo_problem"] == "photo_not_found"
    assert writable_indices(shop.es, shop.settings.prefix, [shop.identity]) == {
        shop.index_name: IndexVectors(shop.encoder_id, 3)
    }


def test_an_item_is_found_by_its_second_photo(shop: Shop) -> None:
    """Its similarity is that of the photo that is most similar, which floor and duplicates go by."""
    found = similar(shop, "red")

    assert [hit.document.item_id for hit in found.hits] == ["detail", "purple", "green"]
    assert found.hits[0].similarity == pytest.approx(1.0, abs=1e-4)
    assert found.by_similarity[0] == "detail"
    above = similar(shop, "red", min_similarity=0.99)
    assert [hit.document.item_id for hit in above.hits] == ["detail"]
    assert {each.item_id: each.reason for each in explain_missing(above)} == {
        "green": Reason.MIN_SIMILARITY,
        "detail": Reason.SHOWN,
    }
    collapsed = similar(shop, "red", collapse_duplicates=True)
    assert [hit.document.item_id for hit in collapsed.hits] == ["purple", "green"]
    reasons = {each.item_id: each for each in explain_missing(collapsed)}
    assert reasons["detail"].reason is Reason.DUPLICATE_OF_ITEM


def test_an_explanation_says_which_photo_matched(shop: Shop, elasticsearch_url: str) -> None:
    """By its place among all photos of the listing, also after one that cannot be used; so does the page."""
    gone, red, green = str(shop.photos / "gone.png"), shop.photo(RED), shop.photo(GREEN)
    shop.index(shop.event("late", images=[green, gone, red], seller_id="s6", updated_at=at(1)))
    shop.es.indices.refresh(index=shop.index_name)

    found = {item.item_id: item.explanation for item in similar_answer(similar(shop, "red")).items}
    photos = {item: explanation and explanation.photo for item, explanation in found.items()}
    assert photos == {"detail": 1, "late": 2, "purple": 0, "green": 0}
    fallback = similar_answer(similar(shop, "none")).items
    assert {item.explanation and item.explanation.photo for item in fallback} == {None}
    cluster = ElasticsearchSettings(urls=(elasticsearch_url,), prefix=shop.settings.prefix)
    settings = QuerySettings(cluster, collapse_duplicates=0, min_similarity=0.0)
    page = create_app(settings, shop.es, make_key_ring()).test_client().get("/items/red?explain=true").text
    assert "<dt>Photo</dt><dd>3 of 3</dd>" in page
    assert "<dt>Photo</dt><dd>1 of 1</dd>" in page


def test_a_change_of_another_field_encodes_nothing(shop: Shop) -> None:
    """All vectors are those that are stored; other photos are encoded, and replace them."""
    before = shop.documents()["detail"]
    event = {"op": "update", "item_id": "detail"}

    for price in (5, 6, 7):  # more than one before Elasticsearch's next refresh
        assert shop.chunk([event | {"price": price, "updated_at": at(price)}]).encoded == 0
    for vectors in ("vector", "further_photos"):
        assert shop.documents()["detail"][vectors] == before[vectors]
    photos = [shop.photo(GREEN), shop.photo(PURPLE), shop.photo(RED)]
    assert shop.chunk([event | {"images": photos, "updated_at": at(8)}]).encoded == 3
    assert len(shop.documents()["detail"]["further_photos"]) == 2


def test_a_photo_that_could_not_be_used_is_tried_again(shop: Shop) -> None:
    """When the event is repeated, or the item refreshed; a change of a price does not try it."""
    late, event = shop.photos / "late.png", {"updated_at": at(1), "seller_id": "s6"}
    listing = shop.event("late", images=[str(late), shop.photo(GREEN)], **event)
    shop.index(listing)
    assert shop.documents()["late"]["vector"] == pytest.approx(unit(GREEN), abs=0.01)
    late.write_bytes(Path(shop.photo(RED)).read_bytes())

    price = {"op": "update", "item_id": "late", "price": 7, "updated_at": at(2)}
    assert shop.chunk([price]).encoded == 0
    assert shop.documents()["late"]["vector"] == pytest.approx(unit(GREEN), abs=0.01)
    assert shop.chunk([refresh("late")]).encoded == 2
    document = shop.documents()["late"]
    assert (document["vector"], document["price"]) == (pytest.approx(unit(RED), abs=0.01), 7)
    assert len(document["further_photos"]) == 1
    assert shop.chunk([refresh("late")]).encoded == 0


def test_a_photo_that_is_not_used_is_named(shop: Shop, redis_url: str) -> None:
    """With its reason and remedy, in the status of an item that is found by its other photos."""
    statuses = IndexingStatuses(shop.es, redis.Redis.from_url(redis_url), shop.settings.prefix)
    gone = shop.photos / "gone.png"
    shop.index({"op": "update", "item_id": "detail", "price": 7, "updated_at": at(2)})  # it stays noted

    status = statuses.of("detail")
    assert (status.state, status.problem) == (IndexingState.INDEXED, None)
    text = "\n".join(lines(status))
    assert "  Photo 3 is not used: photo_not_found.\n" in text
    assert f"photo '{gone}'" in text
    assert (
        to_json(status)["document"]["unused_photos"][0].items()
        >= {
            "photo": 2,
            "reason": "photo_not_found",
            "remedy": remedy("photo_not_found"),
        }.items()
    )
    document = IndexingAnswer.of(status).document
    assert document is not None
    (unused,) = document.unused_photos
    assert (unused.photo, unused.remedy) == (2, remedy_over_http("photo_not_found"))

    gone.write_bytes(Path(shop.photo(GREEN)).read_bytes())
    shop.index(refresh("detail"))
    mended = statuses.of("detail").document
    assert mended is not None
    assert mended.unused_photos == ()


def test_jobs_keep_and_delete_all_vectors(shop: Shop) -> None:
    """A rebuild copies them, the list of indices counts listings, and a takedown leaves none."""
    es, prefix = shop.es, shop.settings.prefix
    options = rebuild.options_of(es, shop.index_name)
    assert options.photos == 3

    time.sleep(1)  # names of indices have seconds
    job = rebuild.begin(es, prefix, shop.index_name, shop.identity, options)
    rebuild.copy(es, shop.indexer.store, job, lambda _: None)

    assert stored_documents(es, job.target) == stored_documents(es, shop.index_name)
    assert {state.documents for state in list_indices(es, prefix)} == {5}
    traces = Traces.none()
    ForgottenDocuments(es, prefix, shop.indexer.store.marking).forget(Subject({"detail"}, None), traces)
    assert len(traces.vectors) == 2
    assert "further_photos" not in stored_documents(es, job.target)["detail"]


def test_the_conditions_of_a_new_index_are_by_any_photo(shop: Shop) -> None:
    """The approximate search and the exact one have the same answer."""
    vectors = gates.vectors_of(shop.es, shop.index_name, ["red"])

    answers = gates.approximate(shop.es, shop.index_name, vectors)
    assert [item for item, _ in answers["red"]] == ["detail", "purple", "green"]
    exact = gates.exact(shop.es, shop.index_name, vectors)
    assert [item for item, _ in exact["red"]] == ["detail", "purple", "green"]
    assert [cosine for _, cosine in answers["red"]] == pytest.approx(
        [cosine for _, cosine in exact["red"]], abs=0.001
    )


def test_the_number_of_photos_of_the_live_index_changes(
    es: Elasticsearch,
    index_prefix: str,
    tmp_path: Path,
    elasticsearch_url: str,
    redis_url: str,
    worker: WorkerFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the encoder that it has, by `reembed --photos`."""
    shop = Shop.open(es, index_prefix, tmp_path)
    red, green, blue = (shop.photo(colour) for colour in (RED, GREEN, BLUE))
    shop.index(
        shop.event("red", images=[red], updated_at=at(1)),
        shop.event("detail", images=[blue, red], seller_id="s2", updated_at=at(1)),
        shop.event("green", images=[green], seller_id="s3", updated_at=at(1)),
    )
    environ = shop.set_environ(monkeypatch, elasticsearch_url, redis_url)
    worker(**environ)
    encoder = ["indexer", "reembed", "--encoder", str(shop.settings.encoder)]

    same = CliRunner().invoke(main, encoder)
    assert "already, and 1 photo a listing" in same.output
    result = CliRunner().invoke(main, [*encoder, "--photos", "2"])
    assert result.exit_code == 0, result.output
    wait_until(lambda: similar(shop, "red").hits, "the new index is searched")
    found = similar(shop, "red").hits
    assert [hit.document.item_id for hit in found] == ["detail", "green"]
    assert (found[0].photo, found[0].similarity) == (1, pytest.approx(1.0, abs=1e-4))
    assert "further_photos" not in shop.documents()["detail"]

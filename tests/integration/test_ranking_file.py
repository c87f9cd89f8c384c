"""Ranking files, freshness, popularity and learned categories on a real index."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import create_index
from query.api.app import create_app
from query.api.settings import QuerySettings
from query.search.ranking_file import UnusableRanking
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.similar import SimilarService
from tests.factories import make_identity
from tests.integration.test_result_policy import Shop

SKIRTS, DRESSES, VASES = ["Apparel", "Skirts"], ["Apparel", "Dresses"], ["Home", "Vases"]


def write(folder: Path, encoder_id: str = "colour-00000001", **changes: Any) -> Path:
    """Write a ranking file in which only similarity counts, with `changes`."""
    weights = {"category": 0, "price": 0, "gender": 0, "colour": 0, **changes.pop("weights", {})}
    path = folder / "ours.json"
    path.write_text(json.dumps({"version": 1, "encoder_id": encoder_id, "weights": weights, **changes}))
    return path


@pytest.fixture
def fill(es: Elasticsearch, index_prefix: str, elasticsearch_url: str) -> Any:
    """Makes a shop with a skirt that is asked about, under settings."""

    def filled(**settings: Any) -> Shop:
        shop = Shop(es, index_prefix, elasticsearch_url, **settings)
        shop.add("asked", photo=59, category=SKIRTS)
        return shop

    return filled


def sums_up(shop: Shop, **asked: Any) -> dict[str, dict[str, float]]:
    """The terms of each item, whose sums are the scores of the answer and those of Elasticsearch."""
    answer = shop.similar(explain="true", **asked)
    for item in answer["items"]:
        assert sum(item["explanation"]["terms"].values()) == pytest.approx(item["score"], abs=2e-6)
    return {item["item_id"]: item["explanation"]["terms"] for item in answer["items"]}


def test_a_ranking_file_weighs_terms(fill: Any, tmp_path: Path) -> None:
    """Its weights, floor and name are those of the answer; without it the defaults are."""
    path = write(tmp_path, min_similarity=0.5)
    shop = fill(ranking_file=path)
    shop.add("kind", 0.7, photo=1, category=SKIRTS)
    shop.add("look", 0.8, photo=2, category=VASES)
    shop.add("unlike", 0.55, photo=3, category=VASES)
    answer = shop.similar()
    assert [item["item_id"] for item in answer["items"]] == ["look", "kind", "unlike"]
    assert answer["ranking"].startswith("ours-")
    state = {"name": answer["ranking"], "in_use": answer["ranking"], "problem": None}
    assert shop.api.get("/readyz").json["ranking"] == state
    plain = Shop.similar(_with(shop))
    assert [item["item_id"] for item in plain["items"]] == ["kind", "look"]
    assert plain["ranking"] == "default"
    command = CliRunner().invoke(
        main,
        ["similar", "asked", "--json"],
        env={
            "ELASTICSEARCH_URL": shop.url,
            "NITAMONO_INDEX_PREFIX": shop.prefix,
            "NITAMONO_RANKING_FILE": str(path),
        },
    )
    assert json.loads(command.stdout)["ranking"] == answer["ranking"]


def _with(shop: Shop, **settings: Any) -> Shop:
    """The same shop under other settings."""
    query = QuerySettings(_elasticsearch(shop), **settings)
    other = object.__new__(Shop)
    other.__dict__ = {**shop.__dict__, "api": create_app(query, shop.es).test_client()}
    return other


def _elasticsearch(shop: Shop) -> ElasticsearchSettings:
    return ElasticsearchSettings((shop.url,), prefix=shop.prefix)


def test_a_file_for_another_encoder_is_named_and_not_used(
    fill: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A swap of the encoder must not end all answers: the default ranks, and readiness says so."""
    shop = fill(ranking_file=write(tmp_path, "other-1"))
    shop.add("like", 0.7, photo=1)
    for _ in range(2):
        assert shop.similar()["ranking"] == "default"
    assert sum("is for the encoder other-1" in each.message for each in caplog.records) == 1
    state = shop.api.get("/readyz").json["ranking"]
    assert (state["name"].split("-")[0], state["in_use"]) == ("ours", "default")
    assert "is for the encoder other-1" in state["problem"]
    assert "has colour-00000001" in state["problem"]


def test_a_file_follows_its_encoder_through_a_swap(fill: Any, tmp_path: Path) -> None:
    """The check is made for each index, so the file applies as soon as its encoder's index is live."""
    shop = fill(ranking_file=write(tmp_path, "colour-00000002"))
    assert shop.similar()["ranking"] == "default"
    other = create_index(shop.es, shop.prefix, make_identity(encoder_id="colour-00000002"))
    swap_aliases(shop.es, shop.prefix, other)
    shop.index = other
    shop.add("asked")
    assert shop.similar()["ranking"].startswith("ours-")


def test_an_unusable_file_ends_the_start(fill: Any, tmp_path: Path) -> None:
    """Before any request."""
    with pytest.raises(UnusableRanking, match="freshnes"):
        fill(ranking_file=write(tmp_path, weights={"freshnes": 1}))


def test_new_and_popular_listings_rise(fill: Any) -> None:
    """By setting and by parameter; Elasticsearch chooses the same order from its own scores."""
    shop = fill(min_similarity=0.0)
    now = datetime.now(UTC)
    for number in range(30):
        created = (now - timedelta(days=3 * number)).isoformat()
        popularity = None if number == 7 else float(number**2)
        changes = {"created_at": created, "popularity": popularity}
        shop.add(f"m{number:02}", 0.8, photo=number + 1, turn=number / 10, **changes)
    newest = [f"m{number:02}" for number in range(5)]
    liked = [f"m{number:02}" for number in range(29, 9, -1)]
    weightless = sums_up(shop, size=5)
    assert all(terms["freshness"] == terms["popularity"] == 0 for terms in weightless.values())
    assert list(sums_up(shop, size=5, freshness=1)) == newest
    liked_terms = sums_up(shop, size=30, popularity=1)
    assert set(list(liked_terms)[:20]) == set(liked)
    assert liked_terms["m07"]["popularity"] == 0
    assert liked_terms["m03"]["popularity"] == pytest.approx(0.05, abs=1e-3)  # ln 10 of ln 101
    assert list(sums_up(_with(shop, min_similarity=0.0, freshness=1.0), size=5)) == newest


def raw_scores(shop: Shop, **asked: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Item to its score by Elasticsearch itself, less the 1 that `knn` adds, and by the answer."""
    bodies: list[dict[str, Any]] = []

    class Reader(IndexReader):
        def search(self, index: str, body: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            bodies.append(body)
            return super().search(index, body, *args, **kwargs)

    settings = asked.pop("settings")
    service = SimilarService(Reader(shop.es, shop.prefix, 30), ranking=settings.ranking())
    found = service.similar("asked", SimilarRequest(rules=asked))
    answer = shop.es.search(index=shop.index, body={**bodies[0], "_source": False, "docvalue_fields": []})
    raw = {hit["_id"]: hit["_score"] - 1 for hit in answer["hits"]["hits"] if hit["_id"] != "asked"}
    return raw, {hit.document.item_id: hit.score for hit in found.hits}


def test_elasticsearch_and_python_agree_on_every_term(fill: Any, tmp_path: Path) -> None:
    """Of categories with a learned similarity, listings of any age, and popularities or none."""
    path = write(
        tmp_path,
        weights={"category": 4, "price": 0.5, "freshness": 2, "popularity": 1.5},
        min_similarity=0,
        freshness_half_life_days=7,
        popularity_full=50,
        categories=[
            {"item": SKIRTS, "other": DRESSES, "similarity": 0.8},
            {"item": SKIRTS, "other": ["Apparel", "Jeans"], "similarity": 0.05},
            {"item": SKIRTS, "other": VASES, "similarity": 0.3},
        ],
    )
    shop = fill(ranking_file=path)
    paths = [
        SKIRTS,
        DRESSES,
        [*DRESSES, "Long"],
        VASES,
        ["Apparel", "Jeans"],
        ["Apparel", "Shirts"],
        ["Toy"],
    ]
    for number, category in enumerate(paths * 2):
        created = (datetime.now(UTC) - timedelta(days=2 * number)).isoformat()
        changes = {"created_at": created, "price": 900 + 20 * number, "turn": number * 0.4}
        popularity = {"popularity": float(number * 9)} if number % 3 else {}
        shop.add(f"m{number:02}", 0.7, photo=number + 1, category=category, **changes, **popularity)
    raw, shown = raw_scores(shop, settings=QuerySettings(_elasticsearch(shop), ranking_file=path))
    assert len(shown) == 14
    assert {name: raw[name] for name in shown} == pytest.approx(shown, abs=3e-6)
    terms = sums_up(shop)
    assert terms["m01"]["category"] == terms["m02"]["category"] == pytest.approx(0.32)
    assert terms["m03"]["category"] == pytest.approx(0.12)
    assert terms["m04"]["category"] == pytest.approx(0.02)
    assert terms["m05"]["category"] == pytest.approx(0.2)
    item = next(each for each in shop.similar(explain="true")["items"] if each["item_id"] == "m01")
    assert item["explanation"]["facts"]["learned_similarity"] == 0.8
    assert "category:learned:0.8" in item["explanation"]["matched_queries"]
    assert "category:1" not in item["explanation"]["matched_queries"]


def test_attributes_are_boosted_or_off(fill: Any) -> None:
    """By parameter and by setting."""
    shop = fill(min_similarity=0.0)
    shop.add("red", 0.7, photo=1, attributes={"colour": "Red"})
    shop.add("blue", 0.71, photo=2, turn=1, attributes={"colour": "Blue"})
    assert shop.ids() == ["red", "blue"]
    assert shop.ids(attribute_boost=0) == ["blue", "red"]
    assert _with(shop, min_similarity=0.0, attribute_boost=0.0).ids() == ["blue", "red"]
    assert sums_up(shop, attribute_boost=3)["red"]["colour"] == pytest.approx(0.075)

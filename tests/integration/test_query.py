"""Similar items on a real index: what a shopper sees, and what the API says of it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from cli import main
from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult, to_document
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import create_index
from mappings.lifecycle import drop_index
from query.access.roles import Role
from query.access.store import create_key
from query.api.app import create_app
from query.api.middleware.settings import AccessSettings
from query.api.settings import QuerySettings
from query.search.result_policy import NO_RULES
from tests.factories import make_identity, make_listing

SKIRTS = ["Apparel", "Bottomwear", "Skirts"]
SHORTS = ["Apparel", "Bottomwear", "Shorts"]
SHIRTS = ["Apparel", "Topwear", "Shirts"]
VASES = ["Home", "Decor", "Vases"]


def photo_like(cosine: float) -> EncodedPhoto:
    """A picture whose cosine with the picture `photo_like(1)` is `cosine`."""
    return EncodedPhoto((cosine, math.sqrt(1 - cosine**2), 0.0, 0.0), "0" * 16)


THE_PICTURE = photo_like(1)


class Shop:
    """An index that a test fills, and the API over it. One spread of similarity is 0.1."""

    def __init__(self, es: Elasticsearch, prefix: str, url: str) -> None:
        self.es, self.prefix, self.url = es, prefix, url
        self.index = create_index(es, prefix, make_identity(similarity_spread=0.1))
        swap_aliases(es, prefix, self.index)
        settings = QuerySettings(ElasticsearchSettings((url,), prefix=prefix))
        self.api: FlaskClient = create_app(settings, es).test_client()

    def add(self, item_id: str, photo: PhotoResult = THE_PICTURE, **changes: Any) -> None:
        """Store a skirt of 1,000 yen for sale, unless told otherwise, searchable at once."""
        listing = make_listing(**{"item_id": item_id, "price": 1000, **changes})
        document = to_document(listing, photo, "colour-00000001")
        self.es.index(index=self.index, id=item_id, document=document.to_source(), refresh=True)

    def similar(self, item_id: str, **asked: Any) -> dict[str, Any]:
        """The answer for an item."""
        answer = self.api.get(f"/v1/listings/{item_id}/similar", query_string={**NO_RULES, **asked})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json
        return body

    def ids(self, item_id: str, **asked: Any) -> list[str]:
        """The ids in it."""
        return [item["item_id"] for item in self.similar(item_id, **asked)["items"]]


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, elasticsearch_url: str) -> Shop:
    """An empty shop."""
    return Shop(es, index_prefix, elasticsearch_url)


def test_the_most_similar_comes_first(shop: Shop) -> None:
    """Of equal category and price the picture decides, and the item itself is not among them."""
    shop.add("asked")
    shop.add("far", photo_like(0.1))
    shop.add("near", photo_like(0.9))
    assert shop.ids("asked") == ["near", "far"]


def test_category_and_price_decide_between_photos_of_similar_looks(shop: Shop) -> None:
    """Less than eight spreads of similarity are outweighed by the category, more are not."""
    shop.add("asked")
    shop.add("alike-vase", photo_like(0.85), category=VASES)
    shop.add("less-alike-skirt", photo_like(0.70))
    shop.add("unlike-skirt", photo_like(0.02))
    assert shop.ids("asked") == ["less-alike-skirt", "alike-vase", "unlike-skirt"]


@pytest.mark.parametrize("status", ["reserved", "sold_out", "removed"])
def test_what_is_not_for_sale_is_never_an_answer(shop: Shop, status: str) -> None:
    """However alike it is."""
    shop.add("asked")
    shop.add("gone", status=status)
    shop.add("there", photo_like(0.2))
    assert shop.ids("asked") == ["there"]


def test_another_currency_is_never_an_answer(shop: Shop) -> None:
    """A thousand dollars are no thousand yen."""
    shop.add("asked")
    shop.add("dollars", currency="USD")
    assert shop.ids("asked") == []


def test_filters_asked_for_hold(shop: Shop) -> None:
    """Category, attribute and seller, each alone and all together."""
    shop.add("asked")
    shop.add("red-skirt", seller_id="s1")
    shop.add("blue-skirt", attributes={"colour": "Blue"}, seller_id="s2")
    shop.add("red-shirt", category=SHIRTS, seller_id="s3")
    assert set(shop.ids("asked", category="Apparel > Bottomwear")) == {"red-skirt", "blue-skirt"}
    assert set(shop.ids("asked", attribute="colour:Red")) == {"red-skirt", "red-shirt"}
    assert set(shop.ids("asked", exclude_seller=["s1", "s3"])) == {"blue-skirt"}
    everything = {"category": "Apparel", "attribute": "colour:Red", "exclude_seller": "s1"}
    assert shop.ids("asked", **everything) == ["red-shirt"]


def test_the_band_is_widened_no_further_than_needed(shop: Shop) -> None:
    """With enough at a like price nothing dearer is shown; with too few the next step is, and it is said."""
    shop.add("asked")
    shop.add("same", photo_like(0.5), price=1100)
    shop.add("triple", photo_like(0.9), price=2900)
    shop.add("tenfold", photo_like(0.9), price=9500)
    narrow = shop.similar("asked", size=1)
    assert [item["item_id"] for item in narrow["items"]] == ["same"]
    assert (narrow["band"]["applied_ratio"], narrow["band"]["steps_widened"]) == (2, 0)
    wider = shop.similar("asked", size=2)
    assert {item["item_id"] for item in wider["items"]} == {"same", "triple"}
    assert (wider["band"]["requested_ratio"], wider["band"]["applied_ratio"]) == (2, 3)
    assert wider["band"]["steps_widened"] == 1
    widest = shop.similar("asked", size=24)
    assert {item["item_id"] for item in widest["items"]} == {"same", "triple", "tenfold"}
    assert widest["band"]["applied_ratio"] == 10


@pytest.mark.parametrize("price", [0, None])
def test_an_item_without_a_price_answers_without_a_band(shop: Shop, price: int | None) -> None:
    """With everything in its currency, by looks and category; what has a price never answers with it."""
    shop.add("asked", price=price)
    shop.add("free", photo_like(0.9), price=0)
    shop.add("unknown", photo_like(0.8), price=None)
    shop.add("cheap", photo_like(0.7), price=0.01)
    shop.add("dear", photo_like(0.6), price=1e12)
    shop.add("dollars", currency="USD")
    answer = shop.similar("asked")
    assert [item["item_id"] for item in answer["items"]] == ["free", "unknown", "cheap", "dear"]
    assert answer["band"] is None
    assert "items of every price in JPY" in answer["no_band"]
    assert shop.similar("dear")["items"] == []
    assert answer["no_band"] in shop.api.get("/items/asked").text


def test_an_attribute_with_several_values_passes_a_filter_on_each(shop: Shop) -> None:
    """And shares each of them with the item."""
    shop.add("asked", attributes={"colour": ["Red", "White"]})
    shop.add("both", photo_like(0.5), attributes={"colour": ["White", "Blue"]})
    shop.add("blue", photo_like(0.5), attributes={"colour": "Blue"})
    assert shop.ids("asked", attribute="colour:White") == ["both"]
    assert shop.ids("asked", attribute="colour:Blue") == ["both", "blue"]
    answer = shop.similar("asked", explain="true")
    both, blue = (item["explanation"] for item in answer["items"])
    assert both["facts"]["same_colour"] == 1
    assert blue["facts"]["same_colour"] == 0
    assert both["terms"]["colour"] > blue["terms"]["colour"] == 0


def test_an_explanation_says_how_the_score_came_about(shop: Shop) -> None:
    """Each term as worked out by hand, and their sum is what Elasticsearch ranked by."""
    shop.add("asked")
    shop.add("shorts", photo_like(0.8), category=SHORTS, price=1500)
    shop.add("vase", photo_like(0.82), category=VASES, price=1000)
    shorts, vase = shop.similar("asked", explain=True)["items"]
    assert shorts["explanation"] == {
        "terms": pytest.approx(
            {
                "similarity": 0.8,
                "category": 0.8 * 2 / 3,
                "price": 0.025 / 2,
                "gender": 0,
                "colour": 0.025,
                "brand": 0,
                "freshness": 0,
                "popularity": 0,
            },
            abs=1e-5,
        ),
        "facts": {"shared_depth": 2, "price_ratio": 1.5, "same_colour": 1},
        "rank": 1,
        "rank_by_similarity": 2,
        "matched_queries": ["category:1", "category:2", "colour"],
        "photo": None,
    }
    assert vase["explanation"]["terms"]["similarity"] == pytest.approx(0.82, abs=1e-5)
    assert vase["explanation"]["rank_by_similarity"] == 1
    assert vase["explanation"]["matched_queries"] == ["colour"]
    for item in (shorts, vase):
        parts = item["explanation"]["terms"].values()
        assert item["score"] == pytest.approx(sum(parts), abs=1e-5)


@pytest.mark.parametrize("status", ["sold_out", "reserved"])
def test_a_sold_item_still_answers_by_its_photo(shop: Shop, status: str) -> None:
    """Its page is where people look for another one."""
    shop.add("asked", status=status)
    shop.add("near", photo_like(0.9))
    answer = shop.similar("asked")
    assert answer["item"]["status"] == status
    assert answer["fallback"] is None
    assert answer["items"][0]["similarity"] == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "photo", "reason"),
    [
        ({"status": "removed"}, None, "removed"),
        ({}, None, "not_encoded"),
        ({}, PhotoProblem("photo_truncated", "…"), "photo_truncated"),
    ],
)
def test_without_a_photo_the_newest_of_the_category_answer(
    shop: Shop, changes: dict[str, Any], photo: PhotoResult, reason: str
) -> None:
    """Its own category, then the one above, then any; newest first within each; filters as always."""
    day = "2026-01-{:02}T00:00:00Z".format
    shop.add("asked", photo, **changes)
    shop.add("old-skirt", created_at=day(1), updated_at=day(1))
    shop.add("new-skirt", created_at=day(5), updated_at=day(5))
    shop.add("sold-skirt", created_at=day(6), updated_at=day(6), status="sold_out")
    shop.add("shorts", created_at=day(7), updated_at=day(7), category=SHORTS)
    shop.add("shirt", created_at=day(8), updated_at=day(8), category=SHIRTS)
    shop.add("vase", created_at=day(9), updated_at=day(9), category=VASES)
    answer = shop.similar("asked", explain=True)
    order = ["new-skirt", "old-skirt", "shorts", "shirt", "vase"]
    assert [item["item_id"] for item in answer["items"]] == order
    assert answer["fallback"]["reason"] == reason
    assert [item["explanation"]["facts"]["shared_depth"] for item in answer["items"]] == [3, 3, 2, 1, 0]
    assert {item["similarity"] for item in answer["items"]} == {None}


def test_an_unknown_item_is_404(shop: Shop) -> None:
    """By API and by page, each in its form."""
    answer = shop.api.get("/v1/listings/nobody/similar")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert "'nobody'" in answer.get_json(force=True)["detail"]
    page = shop.api.get("/items/nobody", headers={"Accept": "text/html"})
    assert (page.status_code, page.content_type) == (404, "text/html; charset=utf-8")


def test_listings_are_found_by_every_word(shop: Shop) -> None:
    """English by words; Japanese by characters that stand together."""
    shop.add("red", title="Red wool skirt")
    shop.add("blue", title="Blue wool skirt")
    shop.add("akai", title="赤い花柄のスカート")
    shop.add("hana", title="赤と白の柄 花")

    def found(words: str) -> set[str]:
        page = shop.api.get("/v1/listings", query_string={"q": words}).json
        assert page is not None
        return {listing["item_id"] for listing in page["listings"]}

    assert found("wool") == {"red", "blue"}
    assert found("SKIRT red") == {"red"}
    assert found("花柄") == {"akai"}
    assert found("花柄 スカート") == {"akai"}
    assert found("赤") == {"akai", "hana"}
    assert found("wool vase") == set()


def test_listings_are_paged_newest_first(shop: Shop) -> None:
    """For sale unless another status is asked for."""
    for number in range(1, 6):
        moment = f"2026-01-0{number}T00:00:00Z"
        shop.add(f"m{number}", created_at=moment, updated_at=moment)
    shop.add("sold", status="sold_out")

    def page(**asked: Any) -> tuple[int, list[str]]:
        body = shop.api.get("/v1/listings", query_string=asked).json
        assert body is not None
        return body["total"], [listing["item_id"] for listing in body["listings"]]

    assert page(size=2) == (5, ["m5", "m4"])
    assert page(size=2, page=3) == (5, ["m1"])
    assert page(status="sold_out") == (1, ["sold"])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/?page=2", "Page 2 is past the end: there is 1 page. See the first page."),
        ("/?size=1&page=9", "Page 9 is past the end: there are 2 pages. See the first page."),
        ("/?q=vase", "Nothing found. Try fewer words."),
        ("/?q=vase&page=7", "Nothing found. Try fewer words."),
        ("/?status=sold_out", "No listing here is sold."),
        ("/?category=Home", "No listing here is for sale. See all categories."),
    ],
)
def test_a_page_without_listings_says_why(shop: Shop, address: str, words: str) -> None:
    """Few words are no remedy where there is nothing, or no such page."""

    def empty(address: str) -> str:
        text = shop.api.get(address).text
        (said,) = re.findall(r'<p class="empty">(.*?)</p>', text, re.DOTALL)
        return re.sub(r"<[^>]+>", "", said)

    for anything in ("/", "/?q=vase", "/?page=3", address):
        assert empty(anything) == "The index has no listings yet. Index some with nitamono index."
    shop.add("m1")
    shop.add("m2")
    shop.add("vase", category=VASES, status="reserved")
    assert empty(address) == words


def test_one_listing_tells_what_is_known_of_it(shop: Shop) -> None:
    """A removed one is told of without title and photos."""
    shop.add("m1", PhotoProblem("photo_truncated", "…"))
    shop.add("gone", status="removed")
    listing = shop.api.get("/v1/listings/m1").json
    assert listing is not None
    assert (listing["encoded"], listing["photo_problem"]) == (False, "photo_truncated")
    assert listing["attributes"] == {"colour": "Red"}
    gone = shop.api.get("/v1/listings/gone").json
    assert gone is not None
    assert (gone["status"], gone["title"], gone["photos"]) == ("removed", None, [])


def test_answers_are_as_described(shop: Shop) -> None:
    """Every kind of answer fits its schema in `/openapi.json`, and no field of it goes undescribed."""
    shop.add("asked")
    shop.add("other", photo_like(0.5))
    shop.add("gone", status="removed")
    description = json.loads(shop.api.get("/openapi.json").text)
    for path, route, status in [
        ("/v1/listings/asked/similar", "/v1/listings/{item_id}/similar", 200),
        ("/v1/listings/asked/similar?explain=1&price_ratio=1.5", "/v1/listings/{item_id}/similar", 200),
        ("/v1/listings/gone/similar?explain=1", "/v1/listings/{item_id}/similar", 200),
        ("/v1/listings/asked/similar?explain_missing=other", "/v1/listings/{item_id}/similar", 200),
        ("/v1/listings/nobody/similar", "/v1/listings/{item_id}/similar", 404),
        ("/v1/listings/asked/similar?size=0&x=1", "/v1/listings/{item_id}/similar", 400),
        ("/v1/listings/asked", "/v1/listings/{item_id}", 200),
        ("/v1/listings/gone", "/v1/listings/{item_id}", 200),
        ("/v1/listings?q=skirt", "/v1/listings", 200),
        ("/v1/listings?page=501&size=20", "/v1/listings", 400),
        ("/healthz", "/healthz", 200),
        ("/readyz", "/readyz", 200),
    ]:
        answer = shop.api.get(path)
        assert answer.status_code == status, path
        ((media_type, content),) = description["paths"][route]["get"]["responses"][str(status)][
            "content"
        ].items()
        assert answer.content_type == media_type, path
        described = content["schema"].get("anyOf", [content["schema"]])[0]
        schema = described | {"components": description["components"]}
        jsonschema.validate(answer.get_json(force=True), schema, jsonschema.Draft202012Validator)
        model = description["components"]["schemas"][described["$ref"].rpartition("/")[2]]
        assert answer.get_json(force=True).keys() == model["properties"].keys(), path


def test_an_answer_comes_from_one_index_while_aliases_are_swapped(shop: Shop) -> None:
    """The document, its vector and its neighbours are read from the index that the alias led to at first."""
    shop.add("asked")
    shop.add("near", photo_like(0.9))
    assert shop.similar("asked")["encoder_id"] == "colour-00000001"
    other = create_index(
        shop.es, shop.prefix, make_identity(encoder_id="colour-00000002", similarity_spread=0.1)
    )
    swap_aliases(shop.es, shop.prefix, other)
    shop.index = other
    shop.add("asked")
    answer = shop.similar("asked")
    assert (answer["encoder_id"], answer["index"], answer["items"]) == ("colour-00000002", other, [])


def test_readiness_says_what_is_wrong(shop: Shop) -> None:
    """Ready with an index; not without one, and the answer says what makes one."""
    ready = shop.api.get("/readyz").json
    assert (ready["cache"]["hits"], ready["cache"]["misses"]) == (0, 0)
    assert ready == {
        "cache": ready["cache"],
        "status": "ready",
        "index": shop.index,
        "encoder_id": "colour-00000001",
        "coverage": {"on_sale": 0, "with_vector": None},
        "ranking": {"name": "default", "in_use": "default", "problem": None},
        "experiments": [],
        "switches_age_s": None,
        "experiments_off": "NITAMONO_EXPERIMENTS_DIR is not set",
    }
    drop_index(shop.es, shop.index, force=True)
    for path in ("/readyz", "/v1/listings", "/v1/listings/asked/similar"):
        answer = shop.api.get(path)
        assert answer.status_code == 503, path
        problem = answer.get_json(force=True)
        assert problem["type"] == "urn:nitamono:problem:no-live-index"
        assert "nitamono mappings create --live" in problem["detail"]
        assert "Retry-After" in answer.headers


def test_readiness_has_details_only_for_those_who_may_read(shop: Shop) -> None:
    """Load balancers ask without a key, and so can everybody."""
    _, key = create_key(shop.es, shop.prefix, "shop", Role.READ, datetime.now(UTC))
    settings = QuerySettings(ElasticsearchSettings((shop.url,), prefix=shop.prefix))
    api = create_app(settings, shop.es).test_client()
    assert api.get("/readyz").json == {"status": "ready"}
    detailed = api.get("/readyz", headers={"Authorization": f"Bearer {key}"}).json
    assert detailed["index"] == shop.index
    drop_index(shop.es, shop.index, force=True)
    assert api.get("/readyz").status_code == 503


def test_copies_of_a_list_are_kept_only_where_anyone_may_read(shop: Shop) -> None:
    """By caches in between; a browser asks each time whether its copy is still the list."""
    shop.add("asked")
    settings = QuerySettings(ElasticsearchSettings((shop.url,), prefix=shop.prefix), max_age_s=60)
    _, key = create_key(shop.es, shop.prefix, "shop", Role.READ, datetime.now(UTC))
    headers = {"Authorization": f"Bearer {key}"}
    closed = create_app(settings, shop.es).test_client().get("/v1/listings", headers=headers)
    assert closed.headers["Cache-Control"] == "private, no-cache"
    public = replace(settings, access=AccessSettings(public_read=1))
    api = create_app(public, shop.es).test_client()
    first = api.get("/v1/listings")
    assert first.headers["Cache-Control"] == "public, max-age=60"
    tag = {"If-None-Match": first.headers["ETag"]}
    assert api.get("/v1/listings", headers=tag).status_code == 304
    shop.add("asked", price=900)
    assert api.get("/v1/listings", headers=tag).status_code == 200


def test_an_index_that_is_not_ours_is_not_read(shop: Shop) -> None:
    """An alias over an index without `_meta` of ours would answer with vectors of who knows what."""
    drop_index(shop.es, shop.index, force=True)
    strange = f"{shop.prefix}-strange"
    shop.es.indices.create(index=strange, aliases={f"{shop.prefix}-read": {}})
    problem = shop.api.get("/readyz").get_json(force=True)
    assert problem["status"] == 503
    assert strange in problem["detail"]


def test_the_shell_prints_the_same_answer(shop: Shop) -> None:
    """As a table for people and as the API's JSON for programs."""
    shop.add("asked", title="Asked about")
    shop.add("near", photo_like(0.9), title="赤いスカート", price=1290)
    shop.add("far", photo_like(0.2), title="Another", price=2600)
    environ = {"ELASTICSEARCH_URL": shop.url, "NITAMONO_INDEX_PREFIX": shop.prefix}
    environ["NITAMONO_MIN_SIMILARITY"] = "0"
    printed = CliRunner().invoke(main, ["similar", "asked"], env=environ)
    assert printed.exit_code == 0, printed.output
    lines = printed.output.splitlines()
    assert lines[0] == "asked  ¥1,000  Asked about"
    assert "widened from 2 to 3 times its price" in lines[1]
    assert lines[4].split() == ["1", "near", "0.900", "¥1,290", "Skirts", "赤いスカート"]
    assert lines[5].split() == ["2", "far", "0.200", "¥2,600", "Skirts", "Another"]
    as_json = CliRunner().invoke(main, ["similar", "asked", "--json", "--size", "1"], env=environ)
    told = json.loads(as_json.stdout)
    assert [item["item_id"] for item in told["items"]] == ["near"]
    shop.add("sold", category=VASES, status="sold_out")
    alone = CliRunner().invoke(main, ["similar", "far", "--category", "Home"], env=environ)
    assert "No similar item is for sale." in alone.output


def test_the_shell_tells_of_a_fallback(shop: Shop) -> None:
    """In the table as well."""
    shop.add("asked", None)
    shop.add("near", photo_like(0.9))
    environ = {"ELASTICSEARCH_URL": shop.url, "NITAMONO_INDEX_PREFIX": shop.prefix}
    environ["NITAMONO_MIN_SIMILARITY"] = "0"
    printed = CliRunner().invoke(main, ["similar", "asked"], env=environ).output
    assert "(not_encoded)" in printed


def test_time_runs_out_for_all_calls_together(shop: Shop) -> None:
    """A request that has no time left fails as unavailable, whatever Elasticsearch could still say."""
    shop.add("asked")
    with connect(ElasticsearchSettings((shop.url,))) as es:
        settings = QuerySettings(ElasticsearchSettings((shop.url,), prefix=shop.prefix, timeout_s=0.0001))
        answer = create_app(settings, es).test_client().get("/v1/listings/asked/similar")
    assert answer.status_code == 503

"""The result policy and ids of any form, on a real index, from the request to the page."""

from __future__ import annotations

import math
import urllib.parse
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from cli import main
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import create_index
from ml.data.synthetic_photos import synthetic_photo
from ml.inference.gradient_hash import gradient_hash
from query.api.app import create_app
from query.api.settings import QuerySettings
from tests.factories import make_identity, make_listing

HASHES = [gradient_hash(synthetic_photo(np.random.default_rng(seed), 96, 96)) for seed in range(60)]


class Shop:
    """An index that a test fills, and the API over it. The floor of similarity is 0.64."""

    def __init__(self, es: Elasticsearch, prefix: str, url: str, **settings: Any) -> None:
        self.es, self.prefix, self.url = es, prefix, url
        self.index = create_index(es, prefix, make_identity(similarity_mean=0.6, similarity_spread=0.1))
        swap_aliases(es, prefix, self.index)
        query = QuerySettings(ElasticsearchSettings((url,), prefix=prefix), **settings)
        self.api: FlaskClient = create_app(query, es).test_client()

    def add(
        self, item_id: str, cosine: float = 1.0, *, photo: int = 0, turn: float = 0.0, **changes: Any
    ) -> None:
        """Store a skirt of 1,000 yen whose cosine with the item `asked` is this.

        photo: which of HASHES its photo has. turn: the angle around the item in which its vector lies.
        """
        listing = make_listing(**{"item_id": item_id, "price": 1000, "seller_id": f"of {item_id}", **changes})
        sine = math.sqrt(1 - cosine**2)
        vector = (cosine, sine * math.cos(turn), sine * math.sin(turn), 0.0)
        document = to_document(listing, EncodedPhoto(vector, HASHES[photo]), "colour-00000001")
        self.es.index(index=self.index, id=item_id, document=document.to_source(), refresh=True)

    def similar(self, item_id: str = "asked", **asked: Any) -> dict[str, Any]:
        """The answer for an item."""
        path = f"/v1/listings/{urllib.parse.quote(item_id, safe='')}/similar"
        answer = self.api.get(path, query_string=asked)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json
        return body

    def ids(self, **asked: Any) -> list[str]:
        """The ids in the answer for `asked`."""
        return [item["item_id"] for item in self.similar(**asked)["items"]]


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, elasticsearch_url: str) -> Shop:
    """A shop with the item that is asked about."""
    shop = Shop(es, index_prefix, elasticsearch_url)
    shop.add("asked", photo=59)
    return shop


def test_unlike_items_are_no_answer(shop: Shop) -> None:
    """The answer is short and says why; 0 turns the floor off."""
    shop.add("like", 0.7, photo=1)
    shop.add("unlike", 0.5, photo=2)
    answer = shop.similar()
    assert [item["item_id"] for item in answer["items"]] == ["like"]
    assert answer["removed"]["min_similarity"] == 1
    assert "1 of 24" in answer["short"]
    assert "1 by min_similarity" in answer["short"]
    assert shop.ids(min_similarity=0) == ["like", "unlike"]
    assert shop.ids(min_similarity=0.9) == []


def test_a_band_is_widened_before_an_unlike_item_is_shown(shop: Shop) -> None:
    """A dearer one that is alike comes in; the unlike one of its own price does not."""
    shop.add("unlike", 0.5, photo=1)
    shop.add("dearer", 0.9, photo=2, price=4000)
    answer = shop.similar()
    assert [item["item_id"] for item in answer["items"]] == ["dearer"]
    assert answer["band"]["steps_widened"] > 0


@pytest.mark.parametrize("ratio", [2, 10])
def test_unlike_items_of_its_category_do_not_keep_out_like_ones_of_another(shop: Shop, ratio: float) -> None:
    """They outrank them and fill the window, so the band is searched again without them."""
    for number in range(60):
        like = number < 10
        shop.add(
            f"own{number:02}",
            0.9 if like else 0.5,
            photo=number % 59,
            turn=number / 10,
            seller_id=f"s{number}",
        )
    for number in range(40):
        turn = 0.05 + number / 10
        shop.add(f"other{number:02}", 0.8, photo=number, turn=turn, category=["Home"], seller_id=f"t{number}")
    answer = shop.similar(price_ratio=ratio, collapse_duplicates=False)
    found = [item["item_id"] for item in answer["items"]]
    assert len(found) == 24
    assert sum(item_id.startswith("own") for item_id in found) == 10
    assert answer["band"]["steps_widened"] == 0


def test_copies_of_one_photo_are_one_item(shop: Shop) -> None:
    """Twenty relistings by one seller take one place, and say how many there are."""
    for number in range(20):
        shop.add(f"copy{number:02}", 0.9, photo=1, seller_id="relister")
    shop.add("other", 0.8, photo=2, turn=2.0)
    answer = shop.similar()
    assert [item["item_id"] for item in answer["items"]] == ["copy00", "other"]
    assert answer["items"][0]["stands_for"] == 19
    assert answer["removed"]["collapse_duplicates"] == 19
    assert len(shop.ids(collapse_duplicates="false", seller_cap=0)) == 21


def test_a_copy_of_the_item_itself_is_not_shown(shop: Shop) -> None:
    """It is removed under a name of its own."""
    shop.add("copy", 1.0, photo=59)
    shop.add("other", 0.8, photo=2)
    answer = shop.similar()
    assert [item["item_id"] for item in answer["items"]] == ["other"]
    assert answer["removed"]["duplicate_of_item"] == 1


def test_no_seller_fills_an_answer(shop: Shop) -> None:
    """Three of 24 at most while others have something alike, however much better the seller's are."""
    for number in range(30):
        shop.add(f"big{number:02}", 0.95, photo=number, turn=number / 5, seller_id="big")
        shop.add(f"small{number:02}", 0.8, photo=30 + number % 29, turn=number / 5)
    answer = shop.similar()
    assert sum(item["seller_id"] == "big" for item in answer["items"]) == 3
    assert len(answer["items"]) == 24
    assert answer["removed"]["seller_cap"] == 27
    assert sum(item["seller_id"] == "big" for item in shop.similar(seller_cap=0)["items"]) == 24


def test_a_shop_with_one_seller_has_whole_answers(shop: Shop) -> None:
    """The cap yields where an answer would be short."""
    for number in range(30):
        shop.add(f"m{number:02}", 0.9, photo=number, turn=number / 5, seller_id="only")
    assert len(shop.ids()) == 24


def test_a_second_search_goes_deeper_where_copies_fill_the_window(shop: Shop) -> None:
    """A hundred copies are more than the first window holds."""
    for number in range(100):
        shop.add(f"copy{number:03}", 0.95, photo=1, seller_id=f"s{number}")
    for number in range(24):
        shop.add(f"other{number:02}", 0.8, photo=2 + number, turn=number / 4)
    ids = shop.ids()
    assert len(ids) == 24
    assert [item_id for item_id in ids if item_id.startswith("copy")] == ["copy000"]


def test_copies_do_not_empty_an_answer_of_a_large_catalogue(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a level has too many to compare all, the nearest fifty may all be copies."""
    monkeypatch.setattr("query.search.builder.EXACT_SEARCH_LIMIT", 10)
    monkeypatch.setattr("query.search.builder.RANKED_WHOLE", 10)
    for number in range(60):
        shop.add(f"copy{number:02}", 0.95, photo=1, seller_id=f"s{number}")
    for number in range(30):
        shop.add(f"other{number:02}", 0.8, photo=2 + number, turn=number / 5)
    assert len(shop.ids()) == 24


def test_settings_are_the_defaults_of_every_rule(
    es: Elasticsearch, index_prefix: str, elasticsearch_url: str
) -> None:
    """A request may still say otherwise."""
    shop = Shop(es, index_prefix, elasticsearch_url, min_similarity=0.0, collapse_duplicates=0, seller_cap=1)
    shop.add("asked", photo=59)
    for number, cosine in enumerate((0.9, 0.8, 0.2)):
        shop.add(f"m{number}", cosine, photo=1, turn=number, seller_id="s1")
        shop.add(f"n{number}", cosine - 0.05, photo=2, turn=number + 0.5)
    assert shop.ids(size=3) == ["m0", "n0", "n1"]
    assert shop.ids(size=3, seller_cap=0) == ["m0", "n0", "m1"]
    assert shop.ids(size=24, seller_cap=0, min_similarity=0.7) == ["m0", "n0", "m1", "n1"]


def test_attributes_decide_between_photos_of_similar_looks(shop: Shop) -> None:
    """Two spreads of similarity for the same gender."""
    own = {"gender": "Women"}
    shop.add("asked", photo=59, attributes=own)
    shop.add("men's", 0.9, photo=1, attributes={"gender": "Men"})
    shop.add("women's", 0.75, photo=2, turn=2, attributes=own)
    answer = shop.similar(explain=True)
    assert [item["item_id"] for item in answer["items"]] == ["women's", "men's"]
    assert answer["items"][0]["explanation"]["terms"]["gender"] == pytest.approx(0.2, abs=1e-6)
    for item in answer["items"]:
        assert item["score"] == pytest.approx(sum(item["explanation"]["terms"].values()), abs=2e-6)


@pytest.mark.parametrize("item_id", ["日本語-id", "A/12 b", "👟", "a%2Fb", "x/similar", "?#&", "<b>"])
def test_ids_of_any_form_work_from_the_shell_to_the_page(shop: Shop, item_id: str) -> None:
    """As the item asked about and as an answer."""
    shop.add(item_id, 0.9, photo=1, seller_id="売り手/1 👟")
    assert shop.ids() == [item_id]
    assert shop.similar(item_id)["item"]["item_id"] == item_id
    quoted = urllib.parse.quote(item_id, safe="")
    assert shop.api.get(f"/v1/listings/{quoted}").json["item_id"] == item_id  # type: ignore[index]
    page = shop.api.get("/items/asked").text
    assert f'href="/items/{quoted}"' in page
    assert shop.api.get(f"/items/{quoted}").status_code == 200
    assert shop.ids(exclude_seller="売り手/1 👟") == []
    environ = {"ELASTICSEARCH_URL": shop.url, "NITAMONO_INDEX_PREFIX": shop.prefix}
    printed = CliRunner().invoke(main, ["similar", item_id], env=environ)
    assert printed.output.startswith(item_id), printed.output

"""Similar items in pages: no item twice, none left out, and a word when the index has changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from bench.catalogue import Catalogue, loaded, synthetic_catalogue
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import IndexOptions, create_index
from query.api.app import create_app
from query.api.settings import QuerySettings
from query.search.cursor import MAX_SHOWN
from query.search.result_policy import NO_RULES

ALL = {**NO_RULES, "price_ratio": 100}
"""Every listing for sale may be in the answer."""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Some listings of a few categories."""
    return synthetic_catalogue(1_500)


class Shop:
    """A live index of the catalogue, and the API over it."""

    def __init__(self, es: Elasticsearch, prefix: str, url: str, index: str) -> None:
        self.es, self.prefix, self.index = es, prefix, index
        settings = QuerySettings(ElasticsearchSettings((url,), prefix=prefix))
        self.api: FlaskClient = create_app(settings, es).test_client()

    def page(self, item_id: str = "s1", **asked: Any) -> dict[str, Any]:
        """One page of an item's answer."""
        answer = self.api.get(f"/v1/listings/{item_id}/similar", query_string=asked)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json
        return body

    def pages(self, most: int = 99, **asked: Any) -> Iterator[dict[str, Any]]:
        """The pages of an answer, one after the other."""
        page = self.page(**asked)
        yield page
        while page["next_cursor"] and (most := most - 1):
            page = self.page(**asked, cursor=page["next_cursor"])
            yield page

    def refusal(self, item_id: str = "s1", **asked: Any) -> str:
        """The reason why a request is refused."""
        answer = self.api.get(f"/v1/listings/{item_id}/similar", query_string=asked)
        assert answer.status_code == 400, answer.text
        return str(answer.json["problems"][0]["reason"])

    def sell(self, item_id: str) -> None:
        """Mark an item as sold, as an event would."""
        document = {"status": "sold_out", "offer": "sold_out|JPY|1"}
        self.es.update(index=self.index, id=item_id, doc=document, refresh=True)


@pytest.fixture(params=[1, 3])
def shop(
    es: Elasticsearch,
    index_prefix: str,
    elasticsearch_url: str,
    catalogue: Catalogue,
    request: pytest.FixtureRequest,
) -> Iterator[Shop]:
    """The catalogue in one shard and in three."""
    with loaded(es, index_prefix, catalogue, IndexOptions(shards=request.param)) as index:
        yield Shop(es, index_prefix, elasticsearch_url, index)


def ids(*pages: dict[str, Any]) -> list[str]:
    """The items of some pages, in order."""
    return [item["item_id"] for page in pages for item in page["items"]]


@pytest.mark.parametrize("size", [7, 20])
def test_pages_together_are_the_answer_of_their_length(shop: Shop, size: int) -> None:
    """In its order, each item once."""
    pages = list(shop.pages(size=size, most=100 // size, **ALL))
    assert ids(*pages) == ids(shop.page(size=100 // size * size, **ALL))
    assert [page["index_changed"] for page in pages] == [None] + [False] * (len(pages) - 1)


def test_no_item_comes_twice_under_the_rules(shop: Shop) -> None:
    """Although each page is chosen from a larger window, under a larger cap."""
    shown = ids(*shop.pages(size=10, min_similarity=0, price_ratio=100))
    assert len(set(shown)) == len(shown) == MAX_SHOWN


def test_ranks_go_on_from_the_page_before(shop: Shop) -> None:
    """As an explanation gives them."""
    *_, second = shop.pages(size=5, most=2, explain=True, **ALL)
    assert [item["explanation"]["rank"] for item in second["items"]] == [6, 7, 8, 9, 10]


def test_where_an_item_is_told_by_its_page(shop: Shop) -> None:
    """An explanation says that a page before has shown it."""
    first, second = shop.pages(size=5, most=2, explain_missing=["s2"], **ALL)
    asked = [ids(first)[0], ids(second)[1]]
    again = shop.page(size=5, cursor=first["next_cursor"], explain_missing=asked, **ALL)
    assert [(each["reason"], each["figures"]) for each in again["missing"]] == [
        ("shown_earlier", {}),
        ("shown", {"rank": 7}),
    ]


def test_the_last_page_has_no_cursor(shop: Shop) -> None:
    """It is short and says why, or it is the last that there may be."""
    shown = list(shop.pages(size=100, **ALL))
    assert len(ids(*shown)) == 200
    assert shown[-1]["next_cursor"] is None
    few = list(shop.pages(size=100, min_similarity=0.5, collapse_duplicates=False, seller_cap=0))
    assert "of 100" in few[-1]["short"]
    assert few[-1]["next_cursor"] is None


def test_a_page_says_that_the_index_has_changed(shop: Shop) -> None:
    """What is sold meanwhile is not shown, and nothing is shown twice."""
    first = shop.page(size=10, **ALL)
    after = ids(shop.page(size=20, **ALL))[10:]
    shop.sell(after[0])
    second = shop.page(size=10, cursor=first["next_cursor"], **ALL)
    assert second["index_changed"] is True
    assert ids(second)[:9] == after[1:]
    assert not set(ids(second)) & set(ids(first))


def test_a_cursor_belongs_to_its_request(shop: Shop) -> None:
    """With the same item and parameters; whether it is explained does not matter."""
    cursor = shop.page(size=10, **ALL)["next_cursor"]
    assert shop.refusal("s2", size=10, cursor=cursor, **ALL) == "cursor_of_another_request"
    assert shop.refusal(size=11, cursor=cursor, **ALL) == "cursor_of_another_request"
    assert shop.refusal(size=10, cursor=cursor[:-1], **ALL) == "cursor_malformed"
    assert shop.refusal(size=10, cursor="", **ALL) == "cursor_malformed"
    assert shop.refusal(size=10, cursor="x" * 9999, **ALL) == "cursor_too_long"
    assert len(ids(shop.page(size=10, cursor=cursor, explain=True, **ALL))) == 10


def test_an_expired_cursor_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how to begin again."""
    cursor = shop.page(size=10, **ALL)["next_cursor"]
    monkeypatch.setattr("query.search.cursor.LIFETIME_S", -1)
    assert shop.refusal(size=10, cursor=cursor, **ALL) == "cursor_expired"


def test_a_cursor_of_a_replaced_index_is_refused(shop: Shop, catalogue: Catalogue) -> None:
    """After the alias was swapped to another index, which ranks anew."""
    cursor = shop.page(size=10, **ALL)["next_cursor"]
    later = datetime.now(UTC) + timedelta(minutes=1)
    other = create_index(shop.es, shop.prefix, catalogue.encoder, now=later)
    stored = shop.es.get(index=shop.index, id="s1", source_exclude_vectors=False)["_source"]
    shop.es.index(index=other, id="s1", document=stored, refresh=True)
    swap_aliases(shop.es, shop.prefix, other)
    assert shop.refusal(size=10, cursor=cursor, **ALL) == "cursor_outdated"

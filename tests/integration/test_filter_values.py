"""Values of filters on a real index: matched as listings spell them, or refused with the nearest."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from tests.integration.test_query import SHIRTS, SHORTS, VASES, Shop


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, elasticsearch_url: str) -> Shop:
    """A shop with two spellings of one colour, and a rare attribute."""
    shop = Shop(es, index_prefix, elasticsearch_url)
    shop.add("asked")
    shop.add("red-skirt")
    shop.add("lower", attributes={"colour": "red"})
    shop.add("blue-shorts", attributes={"colour": "Blue", "in stock": True, "width": 1.0}, category=SHORTS)
    shop.add("bare-shirt", attributes={}, category=SHIRTS)
    shop.add("vase", attributes={"Height*": "30cm"}, category=VASES)
    return shop


def ids(shop: Shop, **asked: Any) -> set[str]:
    """What is found under filters; no rule removes any of it."""
    return set(shop.ids("asked", seller_cap=0, collapse_duplicates=False, **asked))


def problems(shop: Shop, path: str = "/v1/listings/asked/similar", **asked: Any) -> dict[str, str]:
    """Reason code to expectation of what is refused."""
    answer = shop.api.get(path, query_string=asked)
    assert answer.status_code == 400, answer.text
    body = answer.get_json(force=True)
    assert body["type"] == "urn:nitamono:problem:invalid-parameters"
    return {each["reason"]: each["expected"] for each in body["problems"]}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"category": "bottomwear"}, {"red-skirt", "lower", "blue-shorts"}),
        ({"category": "ＳＨＯＲＴＳ"}, {"blue-shorts"}),
        ({"attribute": "colour:RED"}, {"red-skirt", "lower"}),
        ({"attribute": "COLOUR:blue"}, {"blue-shorts"}),
        ({"attribute": ["in stock:TRUE", "width:1.0"]}, {"blue-shorts"}),
        ({"attribute": "height*:30CM"}, {"vase"}),
    ],
)
def test_values_are_matched_without_case_and_by_part(
    shop: Shop, asked: dict[str, Any], found: set[str]
) -> None:
    """Every spelling that listings have of a value is in the answer."""
    assert ids(shop, **asked) == found


def test_the_answer_shows_values_as_listings_spell_them(shop: Shop) -> None:
    """In `filters`, and on the page of a category."""
    filters = shop.similar("asked", category="skirts", attribute="Colour:RED")["filters"]
    kept = {each["field"]: each["kept"] for each in filters if each["why"] == "asked for"}
    assert kept == {
        "category": "below Apparel > Bottomwear > Skirts",
        "attribute": "colour:Red or colour:red",
    }
    assert "category=Apparel+%3E+Bottomwear" in shop.api.get("/?category=shorts").text


def test_an_unknown_value_is_refused_with_the_nearest(shop: Shop) -> None:
    """By both routes and by the command."""
    assert "Apparel > Bottomwear > Skirts" in problems(shop, category="Skrits")["category_unknown_value"]
    assert "'colour:Blue'" in problems(shop, attribute="colour:Bleu")["attribute_unknown_value"]
    assert problems(shop, attribute="size:M")["attribute_unknown_value"].endswith(
        ": 'Height*', 'colour', 'in stock', 'width'"
    )
    assert "'Home > Decor'" in problems(shop, "/v1/listings", category="Decors")["category_unknown_value"]
    environ = {"ELASTICSEARCH_URL": shop.url, "NITAMONO_INDEX_PREFIX": shop.prefix}
    told = CliRunner().invoke(main, ["similar", "asked", "--category", "Vasse"], env=environ)
    assert (told.exit_code, "'Home > Decor > Vases'" in told.output) == (2, True)


def test_an_ambiguous_part_names_its_paths(shop: Shop) -> None:
    """Until a whole path is given."""
    shop.add("sport", category=["Sports", "Shorts"])
    expected = problems(shop, "/v1/listings", category="shorts")["category_ambiguous"]
    assert "'Apparel > Bottomwear > Shorts'" in expected
    assert "'Sports > Shorts'" in expected
    assert ids(shop, category="sports > shorts") == {"sport"}


def test_a_value_of_a_new_listing_is_soon_known(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the values are kept for a minute."""
    assert ids(shop, category="Decor") == {"vase"}
    assert "category_unknown_value" in problems(shop, category="Hats")
    assert "attribute_unknown_value" in problems(shop, attribute="colour:Green")
    shop.add("hat", category=["Apparel", "Hats"], attributes={"colour": "Green"})
    assert "category_unknown_value" in problems(shop, category="Hats")
    monkeypatch.setattr("query.search.filter_values.REFRESH_S", 0.0)  # as if that long had passed
    assert ids(shop, category="Hats", attribute="colour:green") == {"hat"}


def test_unknown_names_are_told_from_known_ones_in_one_search(shop: Shop) -> None:
    """Any character in them included."""
    expected = problems(shop, attribute=["size:M", "*:x", "Width*:x", "HEIGHT*:30cm", "in stock:true"])
    assert expected["attribute_unknown_value"].endswith(": 'Height*', 'colour', 'in stock', 'width'")
    assert ids(shop, attribute=["Height*:30cm", "heigHt*:30cm"]) == {"vase"}


def test_names_of_attributes_beyond_the_sample_are_found(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents with none of the names found are read next."""
    monkeypatch.setattr("query.search.filter_values.SAMPLE", 2)
    assert "'colour'" in problems(shop, attribute="size:M")["attribute_unknown_value"]
    assert "'Height*'" in problems(shop, attribute="size:M")["attribute_unknown_value"]


def test_an_empty_index_refuses_no_value(
    es: Elasticsearch, index_prefix: str, elasticsearch_url: str
) -> None:
    """Its pages say that it has no listings."""
    empty = Shop(es, index_prefix, elasticsearch_url)
    assert empty.api.get("/v1/listings?category=Skirts").status_code == 200

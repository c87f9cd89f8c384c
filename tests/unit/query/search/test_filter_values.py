"""Filter values as listings spell them: any case and width, parts of paths, and what is refused."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, cast

import pytest

from query.search.errors import InvalidParameters
from query.search.filter_values import (
    CATEGORIES,
    KEPT_S,
    MOST_VALUES,
    NAMES,
    REFRESH_S,
    FilterValues,
    IndexValues,
    Spellings,
    folded,
    listings_request,
    path_forms,
    similar_request,
)
from query.search.reader import Answer, IndexReader, RequestDeadline
from query.search.request import ListingsRequest, SimilarRequest

PATHS = (
    "Apparel",
    "Apparel > Bottomwear",
    "Apparel > Bottomwear > Skirts",
    "Sports",
    "Sports > Skirts",
    "Sports > Shoes",
    "Shoes",
    "Shoes > Flats",
)
COLOURS = ("Red", "red", "Blue", "Navy Blue", "ﾋﾟﾝｸ")


def index(*paths: str, **attributes: tuple[str, ...]) -> IndexValues:
    """The values of an index with these categories and attributes."""

    def alone(value: str) -> tuple[str, ...]:
        return (folded(value),)

    def read(name: str) -> Spellings:
        if name == CATEGORIES:
            return Spellings.of(paths, path_forms)
        if name == NAMES:
            return Spellings.of(tuple(attributes), alone)
        return Spellings.of(attributes.get(name.removeprefix("attributes."), ()), alone)

    return IndexValues(read)


SHOP = index(*PATHS, colour=COLOURS, Brand=("Foo",), wide=("no-inches",))


def problem(request: SimilarRequest, values: IndexValues = SHOP) -> tuple[str, str]:
    """The reason code and the expectation of the one problem of a request."""
    with pytest.raises(InvalidParameters) as caught:
        similar_request(request, values)
    (found,) = caught.value.problems
    return found.reason, found.expected


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Apparel > Bottomwear > Skirts", "Apparel > Bottomwear > Skirts"),
        ("Bottomwear > Skirts", "Apparel > Bottomwear > Skirts"),
        ("apparel > bottomwear", "Apparel > Bottomwear"),
        ("BOTTOMWEAR", "Apparel > Bottomwear"),
        ("ＦＬＡＴＳ", "Shoes > Flats"),
        ("Ｓｐｏｒｔｓ＞Ｓｋｉｒｔｓ", "Sports > Skirts"),
        ("shoes", "Shoes"),  # a whole path comes before a part of one
        ("sports > shoes", "Sports > Shoes"),
    ],
)
def test_a_category_is_any_unambiguous_part_of_a_path(given: str, meant: str) -> None:
    """Without regard to case and width."""
    assert similar_request(SimilarRequest(category=given), SHOP).category == meant
    assert listings_request(ListingsRequest(category=given), SHOP).category == meant


def test_an_ambiguous_part_names_the_paths_that_it_may_be() -> None:
    """All of them, whole, ready to be copied."""
    reason, expected = problem(SimilarRequest(category="skirts"))
    assert reason == "category_ambiguous"
    assert expected.endswith("'Apparel > Bottomwear > Skirts', 'Sports > Skirts'")


@pytest.mark.parametrize(
    ("request_", "reason", "near"),
    [
        (SimilarRequest(category="Skrits"), "category_unknown_value", "'Apparel > Bottomwear > Skirts'"),
        (SimilarRequest(category="Aparel"), "category_unknown_value", "'Apparel'"),
        (SimilarRequest(category="Apparel > Skirts"), "category_unknown_value", "'Sports > Skirts'"),
        (SimilarRequest(category="zzz"), "category_unknown_value", "'Apparel'"),
        (SimilarRequest(attribute=("colour:Bleu",)), "attribute_unknown_value", "'colour:Blue'"),
        (SimilarRequest(attribute=("brand:Fo",)), "attribute_unknown_value", "'Brand:Foo'"),
        (SimilarRequest(attribute=("color:Red",)), "attribute_unknown_value", "'Brand', 'colour', 'wide'"),
    ],
)
def test_a_value_that_no_listing_has_is_refused_with_the_nearest(
    request_: SimilarRequest, reason: str, near: str
) -> None:
    """Or else with some that listings have; an unknown attribute with the names that there are."""
    found, expected = problem(request_)
    assert found == reason
    assert near in expected


def test_a_value_is_suggested_in_its_most_common_spelling_alone() -> None:
    """Listings have `Red` and `red`."""
    expected = problem(SimilarRequest(attribute=("colour:Redd",)))[1]
    assert "'colour:Red'" in expected
    assert "'colour:red'" not in expected


def test_attributes_match_every_spelling_that_listings_have() -> None:
    """The most common one names them all; a name is matched like a value."""
    request = SimilarRequest(attribute=("colour:RED", "brand:foo", "Colour:ピンク", "colour:red"))
    resolved = similar_request(request, SHOP)
    assert resolved.attribute == ("colour:Red", "Brand:Foo", "colour:ﾋﾟﾝｸ")
    assert resolved.spellings == {"colour:Red": ("colour:Red", "colour:red")}


def test_all_unknown_values_are_named_at_once() -> None:
    """The category and each attribute."""
    request = SimilarRequest(category="Skrits", attribute=("colour:Rod", "size:M"))
    with pytest.raises(InvalidParameters) as caught:
        similar_request(request, SHOP)
    assert [each.found for each in caught.value.problems] == ["'Skrits'", "'colour:Rod'", "'size:M'"]


def test_a_field_of_too_many_values_takes_any() -> None:
    """What is not known whole refuses nothing."""
    many = index("Apparel", serial=tuple(str(number) for number in range(MOST_VALUES + 1)))
    request = SimilarRequest(attribute=("serial:-1",))
    assert similar_request(request, many) == request


def test_an_empty_index_takes_any_value() -> None:
    """It has no listing to compare a value with."""
    request = SimilarRequest(category="Skirts", attribute=("colour:Red",))
    assert similar_request(request, index()) == request


def test_listings_without_attributes_refuse_every_name() -> None:
    """And the message says why."""
    reason, expected = problem(SimilarRequest(attribute=("colour:Red",)), index("Apparel"))
    assert reason == "attribute_unknown_value"
    assert "no listing has any" in expected


def test_a_long_value_is_not_echoed_whole() -> None:
    """An answer does not grow with what was sent."""
    with pytest.raises(InvalidParameters) as caught:
        similar_request(SimilarRequest(category="x" * 500), SHOP)
    assert len(str(caught.value)) < 300


def test_a_value_is_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """With those of the same first letter rather than others: each comparison costs."""
    compared: list[int] = []
    nearest = difflib.get_close_matches

    def counted(form: str, known: Sequence[str], most: int) -> list[str]:
        compared.append(len(known))
        return nearest(form, known, most)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    many = index("Apparel", serial=(*(f"a{number}" for number in range(5_000)), "Zebra"))
    assert problem(SimilarRequest(attribute=("serial:zebar",)), many)[1].endswith("such as 'serial:Zebra'")
    assert compared == [500]


class CountedReader:
    """Elasticsearch with these categories and attributes, which counts its searches."""

    def __init__(self, *paths: str, **attributes: tuple[str, ...]) -> None:
        self.fields = {CATEGORIES: paths} | {f"attributes.{name}": of for name, of in attributes.items()}
        self.searches = 0

    def search(self, _: str, body: dict[str, Any], __: RequestDeadline) -> Answer:
        """Answer a search for values."""
        self.searches += 1
        found = {}
        for key, each in body["aggs"].items():
            values = self.fields.get(each["terms"]["field"], ())[: each["terms"]["size"]]
            found[key] = {"buckets": [{"key": value} for value in values]}
        return Answer((), None, found)

    def search_sources(self, _: str, body: dict[str, Any], __: RequestDeadline) -> tuple[dict[str, Any], ...]:
        """Answer a search for names with one document that has all, or with none."""
        self.searches += 1
        names = {name.removeprefix("attributes."): "" for name in self.fields if name != CATEGORIES}
        known = body["query"]["function_score"]["query"]["bool"]["must_not"]
        return () if known or not names else ({"attributes": names},)


class Counted:
    """Filter values on such a reader, at a time that the test sets."""

    def __init__(self, *paths: str, **attributes: tuple[str, ...]) -> None:
        self.reader = CountedReader(*paths, **attributes)
        self.now = 0.0
        self.values = FilterValues(cast("IndexReader", self.reader), lambda: self.now)

    def resolved(self, *attribute: str, category: str | None = None) -> SimilarRequest:
        """A request for similar items as listings spell it."""
        request = SimilarRequest(category=category, attribute=attribute)
        return self.values.similar("listings-1", request, RequestDeadline(1.0))

    def searches(self, *attribute: str, category: str | None = None, refused: int) -> int:
        """How many searches a request costs, of which this many values are refused."""
        before, problems = self.reader.searches, ()
        try:
            self.resolved(*attribute, category=category)
        except InvalidParameters as error:
            problems = error.problems
        assert len(problems) == refused
        return self.reader.searches - before


TEN = tuple(f"unknown{number}:x" for number in range(10))


def test_unknown_names_cost_few_searches() -> None:
    """One for all names, the categories, and two for the names that there are; then none for a while."""
    shop = Counted(*PATHS, colour=COLOURS)
    assert shop.searches(*TEN, refused=10) == 4
    assert shop.searches(*TEN, refused=10) == 0
    assert shop.searches(*TEN[:3], "colour:Rod", category="Skrits", refused=5) == 1  # the colours
    shop.now += REFRESH_S
    assert shop.searches(*TEN, refused=10) == 4
    assert shop.searches(*TEN, refused=10) == 0


def test_unknown_names_of_listings_without_attributes_cost_few_searches() -> None:
    """That there are no names is kept too."""
    shop = Counted(*PATHS)
    assert shop.searches(*TEN, refused=10) == 3
    assert shop.searches(*TEN, refused=10) == 0


def test_known_values_cost_no_search_while_they_are_kept() -> None:
    """Each field is read once, in whatever case its name is asked for."""
    shop = Counted(*PATHS, colour=COLOURS, brand=("Foo",))
    assert shop.searches("colour:red", "brand:foo", category="flats", refused=0) == 4
    shop.now = KEPT_S - 1
    assert shop.searches("colour:blue", "brand:foo", category="shoes", refused=0) == 0
    shop.now = KEPT_S
    assert shop.searches("colour:blue", refused=0) == 1


def test_an_unknown_value_is_looked_up_afresh_once_in_a_while() -> None:
    """Only its fields, and only what was kept for long enough."""
    shop = Counted(*PATHS, colour=COLOURS)
    assert shop.searches("colour:Green", refused=1) == 1
    shop.reader.fields["attributes.colour"] += ("Green",)
    shop.now = REFRESH_S - 0.1
    assert shop.searches("colour:Green", refused=1) == 0
    shop.now = REFRESH_S
    assert shop.searches("colour:Grey", "colour:green", refused=1) == 1
    assert shop.resolved("colour:GREEN").attribute == ("colour:Green",)


def test_a_name_that_listings_no_longer_have_is_refused() -> None:
    """Even where two spellings of it are still among the names kept."""
    shop = Counted(*PATHS, colour=COLOURS, Colour=COLOURS)
    assert shop.searches("size:M", refused=1) == 4
    del shop.reader.fields["attributes.colour"], shop.reader.fields["attributes.Colour"]
    assert shop.searches("colour:Red", refused=1) == 2


def test_the_first_category_is_known_at_once() -> None:
    """As long as there is none, any is taken."""
    shop = Counted()
    assert shop.resolved(category="Flats").category == "Flats"
    shop.reader.fields[CATEGORIES] = PATHS
    assert shop.resolved(category="Flats").category == "Shoes > Flats"

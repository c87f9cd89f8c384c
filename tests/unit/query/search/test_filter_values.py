"""Filter values as listings spell them: any case and width, parts of paths, and what is refused."""

from __future__ import annotations

import pytest

from query.search.errors import InvalidParameters
from query.search.filter_values import (
    CATEGORIES,
    MOST_VALUES,
    IndexValues,
    Spellings,
    folded,
    listings_request,
    path_forms,
    similar_request,
)
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
        return Spellings.of(attributes.get(name.removeprefix("attributes."), ()), alone)

    return IndexValues(read, lambda: Spellings.of(tuple(attributes), alone))


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

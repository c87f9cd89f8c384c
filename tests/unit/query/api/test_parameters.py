"""Request parameters: every problem is named."""

from __future__ import annotations

import pytest

from query.api.parameters import (
    ListingParameters,
    Parameters,
    SimilarParameters,
    known_id,
    parse,
)
from query.search.browse import check_window
from query.search.errors import InvalidParameters, UnknownItem
from query.search.request import ListingsRequest
from tests.factories import NO_NUMBERS

NEGATIVE = "-5"
COUNTS = ("size", "seller_cap")
NUMBERS = (
    *COUNTS,
    "price_ratio",
    "min_similarity",
    "diversity",
    "attribute_boost",
    "freshness",
    "popularity",
)
NO_WHOLE_NUMBERS = [*NO_NUMBERS, "5.0", "5."]


def reasons(model: type[Parameters], values: dict[str, list[str]]) -> list[str]:
    with pytest.raises(InvalidParameters) as caught:
        parse(model, values)
    return [problem.reason for problem in caught.value.problems]


def test_defaults_fill_an_empty_query_string() -> None:
    """Twenty-four items from half to twice the price."""
    assert parse(SimilarParameters, {}) == SimilarParameters(
        size=24, price_ratio=2.0, category=None, attribute=(), exclude_seller=(), explain=False
    )


def test_values_are_read_as_what_they_are() -> None:
    """Text becomes numbers and flags; repeatable parameters keep all values."""
    parsed = parse(
        SimilarParameters,
        {
            "size": ["5"],
            "price_ratio": ["1.5"],
            "category": ["Apparel>Topwear > Shirts"],
            "attribute": ["colour:Red", "time:10:30"],
            "exclude_seller": ["s1", "s2"],
            "explain": ["1"],
        },
    )
    assert parsed == SimilarParameters(
        size=5,
        price_ratio=1.5,
        category="Apparel > Topwear > Shirts",
        attribute=("colour:Red", "time:10:30"),
        exclude_seller=("s1", "s2"),
        explain=True,
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"size": ["0"]}, "size_out_of_range"),
        ({"size": ["101"]}, "size_out_of_range"),
        ({"size": ["ten"]}, "size_malformed"),
        *(({"size": [text]}, "size_malformed") for text in NO_WHOLE_NUMBERS if text != NEGATIVE),
        *(({"price_ratio": [text]}, "price_ratio_malformed") for text in NO_NUMBERS if text != NEGATIVE),
        *(({name: [NEGATIVE]}, f"{name}_out_of_range") for name in NUMBERS),
        *(({name: ["1000.5" if name not in COUNTS else "1000"]}, f"{name}_out_of_range") for name in NUMBERS),
        *(({name: ["-0x"]}, f"{name}_malformed") for name in NUMBERS),
        ({"size": ["1", "2"]}, "size_repeated"),
        ({"price_ratio": ["1"]}, "price_ratio_out_of_range"),
        ({"price_ratio": ["101"]}, "price_ratio_out_of_range"),
        ({"category": [""]}, "category_empty"),
        ({"category": ["a > > b"]}, "category_malformed"),
        ({"category": ["a>b>c>d>e>f"]}, "category_malformed"),
        ({"category": ["x" * 600]}, "category_too_long"),
        ({"attribute": ["colour"]}, "attribute_malformed"),
        ({"attribute": [":Red"]}, "attribute_malformed"),
        ({"attribute": ["a.b:Red"]}, "attribute_malformed"),
        ({"attribute": ["colour:" + "x" * 400]}, "attribute_too_long"),
        ({"attribute": ["colour:Red"] * 11}, "attribute_too_many"),
        ({"exclude_seller": ["a\x00b"]}, "exclude_seller_malformed"),
        ({"exclude_seller": [""]}, "exclude_seller_empty"),
        ({"min_similarity": ["2"]}, "min_similarity_out_of_range"),
        ({"min_similarity": ["half"]}, "min_similarity_malformed"),
        ({"seller_cap": ["-1"]}, "seller_cap_out_of_range"),
        ({"diversity": ["1.5"]}, "diversity_out_of_range"),
        ({"collapse_duplicates": ["maybe"]}, "collapse_duplicates_malformed"),
        ({"exclude_seller": ["s1"] * 21}, "exclude_seller_too_many"),
        ({"explain": ["perhaps"]}, "explain_malformed"),
        ({"explain_missing": ["m"] * 6}, "explain_missing_too_many"),
        ({"explain_missing": [""]}, "explain_missing_empty"),
        ({"sise": ["5"]}, "sise_unknown"),
    ],
)
def test_what_cannot_be_used_has_a_reason(values: dict[str, list[str]], reason: str) -> None:
    """One stable code for each slip."""
    assert reasons(SimilarParameters, values) == [reason]


def test_all_problems_come_at_once() -> None:
    """Nobody has to mend one slip to hear of the next."""
    values = {"size": ["0"], "price_ratio": ["x"], "explain": ["1", "0"], "sise": ["5"]}
    found = reasons(SimilarParameters, values)
    assert sorted(found) == ["explain_repeated", "price_ratio_malformed", "sise_unknown", "size_out_of_range"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"sort": ["price"]},
            "Unknown parameter `sort`. Allowed: size, price_ratio, category, attribute, "
            "exclude_seller, collapse_duplicates, seller_cap, min_similarity, diversity, attribute_boost, "
            "freshness, popularity, cursor, explain, explain_missing.",
        ),
        ({"size": ["0"]}, "Parameter `size`: found '0', expected a whole number from 1 to 100, in digits."),
        (
            {"size": ["1_0"]},
            "Parameter `size`: found '1_0', expected a whole number from 1 to 100, in digits.",
        ),
        (
            {"price_ratio": ["1"]},
            "Parameter `price_ratio`: found '1', expected a number above 1, at most 100, in digits.",
        ),
        ({"size": ["1", "2"]}, "Parameter `size`: found 2 values, expected one value."),
        ({"explain": ["perhaps"]}, "Parameter `explain`: found 'perhaps', expected true or false."),
        ({"exclude_seller": ["s1"] * 21}, "found 21 values, expected at most 20 values."),
        ({"exclude_seller": ["a\tb"]}, "expected 1 to 256 bytes of text without control characters"),
        ({"category": [""]}, "Parameter `category`: found '', expected at least 1 character."),
        ({"category": ["a > > b"]}, "expected one to five names, separated by '>'."),
        ({"size": ["0"], "sise": ["5"]}, "in digits. Unknown parameter `sise`. Allowed: size, price_ratio,"),
    ],
)
def test_a_problem_is_a_sentence_that_says_what_is_allowed(
    values: dict[str, list[str]], sentence: str
) -> None:
    """As the API's `detail`, a page and the command line show it."""
    with pytest.raises(InvalidParameters) as caught:
        parse(SimilarParameters, values)
    assert sentence in str(caught.value)


def test_a_long_unknown_name_is_not_echoed_whole() -> None:
    """An answer does not grow with what was sent."""
    with pytest.raises(InvalidParameters) as caught:
        parse(SimilarParameters, {"x" * 5000: ["y" * 5000]})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": ["removed"]}, "status_unknown_value"),
        ({"q": ["x" * 201]}, "q_too_long"),
        ({"page": ["0"]}, "page_out_of_range"),
    ],
)
def test_listing_parameters_have_limits(values: dict[str, list[str]], reason: str) -> None:
    """Removed listings are not listed, and a search has a length."""
    assert reasons(ListingParameters, values) == [reason]


def test_paging_ends_where_elasticsearch_ends_it() -> None:
    """The first 10,000 listings can be paged through, and the message says which page is the last."""
    check_window(ListingsRequest(page=100, size=100))
    with pytest.raises(InvalidParameters, match="at most 100"):
        check_window(ListingsRequest(page=101, size=100))


@pytest.mark.parametrize("item_id", ["", "..", "x" * 257, "あ" * 86, "m1\n"])
def test_an_id_that_no_listing_can_have_is_unknown(item_id: str) -> None:
    """Such an id is never sent to Elasticsearch."""
    with pytest.raises(UnknownItem):
        known_id(item_id)


@pytest.mark.parametrize("item_id", ["m10001:a.b~c-d_e", "日本語-id", "A/12 b", "👟", "../etc", "x" * 256])
def test_an_id_in_the_contracts_form_is_taken(item_id: str) -> None:
    """As it is."""
    assert known_id(item_id) == item_id

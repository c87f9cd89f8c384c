"""Groups of queries."""

from pathlib import Path

import numpy as np
import pytest

from ml.data.corpus import Corpus
from ml.evaluation.slices import price_band, query_groups, title_group
from ml.training.read_corpus import read_corpus
from tests.unit.ml.conftest import draw_photo, make_event, write_listings


@pytest.mark.parametrize(
    ("price", "band"),
    [
        (None, ""),
        (999, "under ¥1,000"),
        (1000, "¥1,000 to ¥2,999"),
        (9999, "¥3,000 to ¥9,999"),
        (10000, "¥10,000 and more"),
    ],
)
def test_price_bands_end_before_their_upper_end(price: int | None, band: str) -> None:
    """Upper bounds are exclusive."""
    assert price_band(price) == band


def test_titles_are_compared_as_the_split_compares_them() -> None:
    """Case and spaces are ignored; a photo without a title is in no group."""
    assert title_group("  Red  SKIRT", {"red skirt"}) == "seen in training"
    assert title_group("Blue skirt", {"red skirt"}) == "never seen in training"
    assert title_group("", {"red skirt"}) == ""


def test_each_photo_has_a_value_in_every_group(corpus: Corpus) -> None:
    """Category, colour, price and title of photos, given the titles of the train split."""
    searched = corpus.part(corpus.rows("all")[:3])
    groups = query_groups(searched, corpus)
    assert groups["category"].tolist() == ["Skirts", "Ties", "Belts"]
    assert groups["colour"].tolist() == ["Red", "Blue", "Green"]
    assert groups["price"].tolist() == ["¥1,000 to ¥2,999"] * 3
    train = corpus.part(corpus.rows("train")[:1])
    test = corpus.part(corpus.rows("test")[:1])
    assert query_groups(train, corpus)["title"].tolist() == ["seen in training"]
    assert query_groups(test, corpus)["title"].tolist() == ["never seen in training"]


def test_photos_of_classes_have_a_category_alone(tmp_path: Path) -> None:
    """Photos from folders have no title, price or colour."""
    draw_photo(tmp_path / "skirt" / "one.png", "Red", "Skirts", 1)
    corpus = read_corpus([tmp_path], 32)
    groups = query_groups(corpus, corpus)
    assert {by: values.tolist() for by, values in groups.items()} == {
        "category": ["skirt"],
        "colour": [""],
        "price": [""],
        "title": [""],
    }
    assert np.array_equal(corpus.rows("all"), [0])


def test_a_listing_without_a_usable_price_is_in_no_band(tmp_path: Path) -> None:
    """A photo without a numeric price is kept."""
    events = [make_event("m1", price=700), make_event("m2", price="cheap"), make_event("m3", price=None)]
    for number in (1, 2, 3):
        draw_photo(tmp_path / "images" / f"m{number}.png", "Red", "Skirts", number)
    corpus = read_corpus([write_listings(tmp_path, events)], 32)
    assert query_groups(corpus, corpus)["price"].tolist() == ["under ¥1,000", "", ""]

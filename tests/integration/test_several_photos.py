"""Listings with several photos, of which the first or the mean of the first ones is searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from elasticsearch import Elasticsearch

from indexer.worker.pipeline.indexer import Indexer
from tests.indexing import BLUE, GREEN, RED, Shop, at, unit


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """A shop of which the mean of two photos is searched."""
    return Shop.open(es, index_prefix, tmp_path, photos_per_listing=2)


def mean(*colours: tuple[int, int, int]) -> list[float]:
    """The normalized mean of the vectors of photos."""
    total = np.sum([unit(colour) for colour in colours], axis=0)
    return list(total / np.linalg.norm(total))


def test_the_mean_of_the_first_photos_is_searched(shop: Shop) -> None:
    """A photo that cannot be used is left out of it; a listing without any usable one has no vector."""
    red, green, blue = shop.photo(RED), shop.photo(GREEN), shop.photo(BLUE)
    gone = str(shop.photos / "gone.png")
    summary = shop.index(
        shop.event("both", images=[red, green, blue]),
        shop.event("first", images=[red, gone]),
        shop.event("second", images=[gone, green]),
        shop.event("none", images=[gone, gone]),
    )

    assert (summary.indexed, summary.without_vector) == (3, {"photo_not_found": 1})
    documents = shop.documents()
    assert documents["both"]["vector"] == pytest.approx(mean(RED, GREEN), abs=0.01)
    assert documents["first"]["vector"] == pytest.approx(unit(RED), abs=0.01)
    assert documents["second"]["vector"] == pytest.approx(unit(GREEN), abs=0.01)
    assert "vector" not in documents["none"]
    unused = {item: found["unused_photos"] for item, found in documents.items() if "unused_photos" in found}
    assert {item: each["photo"] for item, (each,) in unused.items()} == {"first": 1, "second": 0}


def test_a_changed_number_of_photos_takes_effect_with_the_next_event(shop: Shop) -> None:
    """A price change encodes nothing as long as the number is the same."""
    event = shop.event("m1", images=[shop.photo(RED), shop.photo(GREEN)])
    shop.index(event)
    assert shop.chunk([event | {"price": 990, "updated_at": at(5000)}]).encoded == 0

    first_alone: Indexer = replace(shop.indexer, photos_per_listing=1)
    assert first_alone.index([event | {"price": 991, "updated_at": at(5001)}]).encoded == 1
    assert shop.documents()["m1"]["vector"] == pytest.approx(unit(RED), abs=0.01)

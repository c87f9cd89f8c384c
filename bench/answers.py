"""What a shopper is shown, judged by labels: `python -m bench.answers --listings FILE`.

Asks the service about random listings for sale, with its rules and without, and counts what a shopper would
object to: another gender, another leaf category where the own one has enough, two photos that are one. The
labels are the listings' own attributes. Whether two photos are one is judged by their pixels, not by what the
service compares.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch
from numpy.typing import NDArray
from PIL import Image

from bench.catalogue import Catalogue, loaded, merge, real_catalogue
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions
from mappings.listing import Listing, Status
from query.search.ranking import DEFAULT_WEIGHTS, Ranking, Weights, weights_with
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.result_policy import NO_RULES
from query.search.similar import SimilarService

SHOWN = 12
JUDGED = 5
"""Items of an answer, and those that nDCG counts."""

FORMER_WEIGHTS: Weights = {"category": 2.0, "price": 0.25, "gender": 0.0, "colour": 0.0, "brand": 0.0}
"""The weights before there were terms for attributes."""

OPPOSED = ({"Men", "Women"}, {"Boys", "Girls"}, {"Men", "Girls"}, {"Women", "Boys"})

SIDE = 32
"""Pixels per side at which photos are compared, in colour."""
CROPS = (0.0, 0.025, 0.05, 0.075, 0.1)
"""Shares of the sides that a relisting may have cut off."""
PLAIN = 240
"""The level of 255 from which all channels of a pixel are plain ground, which tells nothing."""
MOST_DIFFERENT = 6.0
"""The largest mean difference, in levels of 255, of two photos that are one: saved again, cropped, mirrored.

Docs/decisions/158 has what it was measured on."""


Thumbnails = NDArray[np.int16]


@dataclass(frozen=True)
class Row:
    """Shares of the items shown, and means over the answers."""

    method: str
    items_shown: float
    """Of SHOWN."""
    opposed_gender: float
    other_leaf: float
    """Where the band has SHOWN of the item's leaf."""
    leaf_agreement: float
    near_identical: float
    """With the item, or with one shown before it."""
    ndcg: float
    """Gain 3: the leaf, gender and colour of the item; 2: leaf and gender; 1: leaf. Of the first five."""


class Judge:
    """What labels and pixels say of an answer."""

    def __init__(self, catalogue: Catalogue, root: Path) -> None:
        self.listings = {listing.item_id: listing for listing in catalogue.listings}
        self.thumbnail = lru_cache(maxsize=None)(
            lambda item_id: thumbnail(root / self.listings[item_id].images[0])
        )

    def of(self, item: Listing, shown: Sequence[str]) -> tuple[float, ...]:
        """Shares of the answer in the order of Row; not a number where a share has no items."""
        others = [self.listings[item_id] for item_id in shown]
        same_leaf = [other.category == item.category for other in others]
        opposed = [{gender(item), gender(other)} in OPPOSED for other in others]
        photos = [self.thumbnail(item_id) for item_id in (item.item_id, *shown)]
        repeated = [
            min(difference(photo, before) for before in photos[:place]) <= MOST_DIFFERENT
            for place, photo in enumerate(photos[1:], start=1)
        ]
        plenty = self.leaf_in_band(item) >= SHOWN
        return (
            len(shown) / SHOWN,
            share(opposed),
            1 - share(same_leaf) if plenty else np.nan,
            share(same_leaf),
            share(repeated),
            self.ndcg(item, others),
        )

    def leaf_in_band(self, item: Listing) -> int:
        """Return the number of listings that could be shown from the item's own leaf and band."""
        return sum(self.could_be_shown(item, other) for other in self.of_leaf(item.category))

    @cache  # noqa: B019  one judge lives as long as the process
    def of_leaf(self, category: tuple[str, ...]) -> list[Listing]:
        """Return the listings of a leaf category."""
        return [other for other in self.listings.values() if other.category == category]

    @staticmethod
    def could_be_shown(item: Listing, other: Listing) -> bool:
        """Return whether a listing is for sale at a price from half to twice the item's."""
        near = bool(item.price and other.price) and 0.5 <= (other.price or 0) / (item.price or 1) <= 2
        return other.status is Status.ON_SALE and near and other.item_id != item.item_id

    def ndcg(self, item: Listing, shown: Sequence[Listing]) -> float:
        """nDCG of the first five against the best of the leaf in the band."""
        best = sorted(
            (gain(item, other) for other in self.of_leaf(item.category) if self.could_be_shown(item, other)),
            reverse=True,
        )[:JUDGED]
        ideal = discounted(best)
        return discounted([gain(item, other) for other in shown[:JUDGED]]) / ideal if ideal else np.nan


def thumbnail(path: Path) -> Thumbnails:
    """(CROPS, SIDE, SIDE, 3) levels of the photo with each of CROPS cut off around it."""
    photo = Image.open(path).convert("RGB")
    return np.stack([np.asarray(cropped(photo, crop), dtype=np.int16) for crop in CROPS])


def cropped(photo: Image.Image, crop: float) -> Image.Image:
    """Return the photo without a share of each side, half of it at either edge, in SIDE × SIDE pixels."""
    dx, dy = photo.width * crop / 2, photo.height * crop / 2
    box = (dx, dy, photo.width - dx, photo.height - dy)
    return photo.resize((SIDE, SIDE), Image.Resampling.BOX, box=box)


def difference(photo: Thumbnails, other: Thumbnails) -> float:
    """Least mean difference of two photos where either is not plain: as they are, mirrored or cropped."""
    turned = other[:, :, ::-1]
    return float(
        min(least(photo[0], other), least(photo[0], turned), least(other[0], photo), least(turned[0], photo))
    )


def least(whole: Thumbnails, crops: Thumbnails) -> float:
    """Least mean difference of a photo (SIDE, SIDE, 3) from crops (CROPS, SIDE, SIDE, 3) of another."""
    drawn = (np.minimum(whole, crops) < PLAIN).any(axis=-1)
    apart = np.abs(whole - crops).mean(axis=-1)
    return float(((apart * drawn).sum(axis=(1, 2)) / np.maximum(drawn.sum(axis=(1, 2)), 1)).min())


def gender(listing: Listing) -> object:
    """Return the gender that the listing names."""
    return listing.attributes.get("gender")


def gain(item: Listing, other: Listing) -> int:
    """Return 3, 2, 1 or 0 as Row says."""
    if other.category != item.category:
        return 0
    if gender(other) != gender(item):
        return 1
    return 3 if other.attributes.get("colour") == item.attributes.get("colour") else 2


def discounted(gains: Sequence[int]) -> float:
    """Return the discounted cumulative gain."""
    return float(sum(each / np.log2(place + 2) for place, each in enumerate(gains)))


def share(values: Sequence[bool]) -> float:
    """Return the share of True; not a number of nothing."""
    return float(np.mean(values)) if values else np.nan


def ask(
    es: Elasticsearch, prefix: str, rules: Mapping[str, Any], weights: Weights
) -> Callable[[str], list[str]]:
    """Return the service under some rules and weights."""
    service = SimilarService(IndexReader(es, prefix, timeout_s=30))
    request = SimilarRequest(size=SHOWN, rules=rules)

    def answer(item_id: str) -> list[str]:
        deadline = service.reader.deadline()
        found = service.similar_to(
            service.reader.find(item_id, deadline), request, deadline, Ranking(weights)
        )
        return [hit.document.item_id for hit in found.hits]

    return answer


def compare(es: Elasticsearch, prefix: str, catalogue: Catalogue, root: Path, count: int) -> list[Row]:
    """Judge the answers before there was a policy, with the terms alone, and as they are."""
    judge = Judge(catalogue, root)
    on_sale = [each for each in catalogue.listings if each.status is Status.ON_SALE]
    places = np.random.default_rng(3).choice(len(on_sale), size=min(count, len(on_sale)), replace=False)
    items = [on_sale[place] for place in places]
    methods = {
        "no rules, former weights": ask(es, prefix, NO_RULES, weights_with(FORMER_WEIGHTS)),
        "no rules": ask(es, prefix, NO_RULES, DEFAULT_WEIGHTS),
        "nitamono": ask(es, prefix, {}, DEFAULT_WEIGHTS),
    }
    rows = []
    for name, answer in methods.items():
        judged = np.array([judge.of(item, answer(item.item_id)) for item in items])
        rows.append(Row(name, *(round(float(mean), 4) for mean in np.nanmean(judged, axis=0))))
    return rows


def main() -> None:
    """Print a line of JSON for each method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--listings", type=Path, required=True, help="JSON lines of listing events with photos"
    )
    parser.add_argument("--root", type=Path, help="folder of their photos (default: that of the file)")
    parser.add_argument("--items", type=int, default=200, help="number of query items")
    given = parser.parse_args()
    root = given.root or given.listings.parent
    settings = ElasticsearchSettings.from_environ(os.environ)
    settings = replace(settings, prefix=f"bench-answers-{os.getpid()}", timeout_s=60)
    catalogue = real_catalogue(given.listings, root, None)
    with connect(settings) as es, loaded(es, settings.prefix, catalogue, IndexOptions()) as index:
        merge(es, index)
        for row in compare(es, settings.prefix, catalogue, root, given.items):
            print(json.dumps(asdict(row)), flush=True)


if __name__ == "__main__":
    main()

"""A log of buyers whose wishes are planted: a like photo, one colour, and a category across the tree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from calibration.documents import Live
from mappings.listing import ListingDocument
from tests.factories import make_document, make_identity
from tests.unit.calibration.index import reader_of
from tests.unit.experiments.analysis.offline.click_model import Shop, write_log

SKIRTS: Final = ("Apparel", "Bottomwear", "Skirts")
SHORTS: Final = ("Apparel", "Bottomwear", "Shorts")
VASES: Final = ("Home", "Vases")
LEAVES: Final = (SKIRTS, SHORTS, VASES)

WANTED: Final = np.array([[1.0, 0.67, 0.9], [0.67, 1.0, 0.0], [0.0, 0.0, 1.0]])
"""How often an item of a category (column) is tapped for one of another (row), relative to the row's own.

Skirts and shorts are as alike as their paths; who looks at skirts taps vases, but not the other way round.
"""

COLOURS: Final = ("Red", "Blue", "Green")
ITEMS, SHOWN = 90, 9


@dataclass(frozen=True)
class Buyers:
    """How a log comes about."""

    slates: int = 4000
    users: int = 400
    shuffled: bool = True
    tap: float = 0.9
    """The chance that a buyer taps what they look at, at best."""
    seed: int = 3


def documents() -> list[ListingDocument]:
    """Listings of three categories in turn, all else at random."""
    rng = np.random.default_rng(5)
    return [
        make_document(
            item_id=f"m{number:02}",
            vector=(math.cos(angle), math.sin(angle), 0.0, 0.0),
            category=list(LEAVES[number % 3]),
            price=int(rng.integers(500, 2000)),
            attributes={"colour": COLOURS[rng.integers(3)]},
        )
        for number, angle in enumerate(rng.uniform(0, math.pi / 2, ITEMS).tolist())
    ]


def live(*items: ListingDocument) -> Live:
    """A live index of the shop, or of some items."""
    return Live(reader_of(*(items or documents())), "listings-1", make_identity())


def tapped_log(folder: Path, buyers: Buyers) -> Path:
    """The log of buyers, who look at position k with the chance 1 / k.

    They want what looks like their item, has its colour, and is of a category that they like.
    """
    rng, shop = np.random.default_rng(buyers.seed), documents()
    leaf = np.arange(ITEMS) % 3
    wishes = WANTED[leaf[:, None], leaf] * [[looks(item, other) for other in shop] for item in shop]
    query = rng.integers(0, ITEMS, buyers.slates)
    order = rng.random((buyers.slates, ITEMS))
    order[np.arange(buyers.slates), query] = 2
    shown = order.argsort(axis=1)[:, :SHOWN]
    wanted = wishes[query[:, None], shown] / np.arange(1, SHOWN + 1)
    tapped = rng.random(shown.shape) < buyers.tap * wanted
    user = rng.integers(0, buyers.users, buyers.slates)
    ids = [each.item_id for each in shop]
    shuffled = np.full(buyers.slates, buyers.shuffled)
    write_log(folder, Shop(ids, {}, wanted), query, np.array(ids)[shown], tapped, user, shuffled)
    return folder


def looks(item: ListingDocument, other: ListingDocument) -> float:
    """How often another item is tapped for its photo and colour, relative to a copy of the item."""
    alike = float(np.dot(item.vector or (), other.vector or ()))
    same = item.attributes["colour"] == other.attributes["colour"]
    return math.exp(3 * (alike - 1)) * (1.0 if same else 0.2)

"""Examples for `make demo`: answers of the running API."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from demo.simulation.market.catalogue import listings_on_sale
from query.api.responses import SimilarAnswer

SIMILAR = 5  # shown of each example
CANDIDATES = 30  # answers from which the examples are chosen
READ_LISTINGS = 5000  # among which are different kinds


def example_items(data: Path) -> Iterator[str]:
    """Return ids of listings on sale in `data`: first one of each kind, then all others."""
    on_sale = list(islice(listings_on_sale(data), READ_LISTINGS))
    first_of_kind = {tuple(event["category"]): event for event in reversed(on_sale)}
    first = sorted(first_of_kind.values(), key=on_sale.index)
    return (event["item_id"] for event in chain(first, on_sale))


def example_answers(item_ids: Iterable[str], api_url: str) -> list[SimilarAnswer]:
    """Return the API's answers for the first items with visually similar ones, the best examples first.

    An answer is a better example the more of its items are of the item's own category.
    """
    answers = (_similar(item_id, api_url) for item_id in dict.fromkeys(item_ids))
    usable = (answer for answer in answers if answer and answer.items and answer.fallback is None)
    return sorted(islice(usable, CANDIDATES), key=_of_own_category, reverse=True)


def _of_own_category(answer: SimilarAnswer) -> int:
    return sum(item.category == answer.item.category for item in answer.items)


def _similar(item_id: str, api_url: str) -> SimilarAnswer | None:
    path = f"/v1/listings/{urllib.parse.quote(item_id, safe='')}/similar?size={SIMILAR}"
    try:
        with urllib.request.urlopen(f"{api_url}{path}", timeout=10) as answer:  # noqa: S310 - our own API
            return SimilarAnswer.model_validate_json(answer.read())
    except urllib.error.HTTPError:
        return None  # rejected by the indexer: use the next item

"""A few answers of the running API, as text."""

from __future__ import annotations

import json
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from indexer.intake.files import read_rows, select
from query.search.price_band import DEFAULT_RATIO

SIMILAR = 5  # shown of each example
READ_ROWS = 5000  # rows, for listings of different kinds
TITLE_WIDTH = 34  # columns of a terminal


def example_items(data: Path) -> Iterator[str]:
    """Yield ids of listings on sale in `data`: first one of each kind, then all others.

    Kinds with enough listings at a similar price to fill an answer come first, because other answers say
    little about the search.
    """
    rows = chain.from_iterable(read_rows(file, file.parent) for file in select(data).files)
    events = [row.event for row in islice(rows, READ_ROWS) if row.event is not None]
    on_sale = [event for event in events if event.get("status") == "on_sale"]
    first_of_kind: dict[str, Mapping[str, Any]] = {}
    for event in chain(_with_enough_similar(on_sale), on_sale):
        first_of_kind.setdefault(_kind(event), event)
    for event in chain(first_of_kind.values(), on_sale):
        yield str(event.get("item_id"))


def example_answers(item_ids: Iterable[str], api_url: str) -> Iterator[dict[str, Any]]:
    """Yield the API's answers for the items that have visually similar ones."""
    for item_id in dict.fromkeys(item_ids):
        answer = _similar(item_id, api_url)
        if answer is not None and answer["items"] and answer["fallback"] is None:
            yield answer


def as_table(answer: Mapping[str, Any]) -> str:
    """Return the item asked about and the similar ones, a line each."""
    asked = answer["item"]
    heading = f"{_title(asked)} · {_price(asked)} · {_category(asked)}"
    return "\n".join([heading, *(_line(item) for item in answer["items"])])


def _with_enough_similar(events: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the events that have at least SIMILAR others of their kind at a similar price."""
    prices: defaultdict[str, list[float]] = defaultdict(list)
    priced = [event for event in events if isinstance(event.get("price"), int | float)]
    for event in sorted(priced, key=lambda event: event["price"]):
        prices[_kind(event)].append(event["price"])
    for event in priced:
        price, sorted_prices = event["price"], prices[_kind(event)]
        lowest, highest = price / DEFAULT_RATIO, price * DEFAULT_RATIO
        if bisect_right(sorted_prices, highest) - bisect_left(sorted_prices, lowest) > SIMILAR:
            yield event


def _kind(event: Mapping[str, Any]) -> str:
    return f"{event.get('category')} {event.get('currency')}"


def _similar(item_id: str, api_url: str) -> dict[str, Any] | None:
    path = f"/v1/listings/{urllib.parse.quote(item_id, safe='')}/similar?size={SIMILAR}"
    try:
        with urllib.request.urlopen(f"{api_url}{path}", timeout=10) as answer:  # noqa: S310 - our own API
            body: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError:
        return None  # rejected by the indexer: use the next item
    return body


def _line(item: Mapping[str, Any]) -> str:
    title = _fitted(_title(item), TITLE_WIDTH)
    return f"  {item['similarity']:.2f}  {_price(item):>12}  {title}  {_category(item)}"


def _title(item: Mapping[str, Any]) -> str:
    return str(item["title"] or item["item_id"])


def _price(item: Mapping[str, Any]) -> str:
    return f"{item['price']:,.10g} {item['currency']}"


def _category(item: Mapping[str, Any]) -> str:
    return " > ".join(item["category"])


def _fitted(text: str, width: int) -> str:
    """Return `text` in exactly `width` columns of a terminal, where Japanese characters take two each."""
    if _columns(text) > width:
        while _columns(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)

"""A few answers of the running API, as text."""

from __future__ import annotations

import json
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from indexer.intake.files import read_rows, select

SIMILAR = 5  # shown of each example
CANDIDATES = 30  # answers from which the examples are chosen
READ_ROWS = 5000  # rows, for listings of different kinds
TITLE_WIDTH = 34  # columns of a terminal


def example_items(data: Path) -> Iterator[str]:
    """Return ids of listings on sale in `data`: first one of each kind, then all others."""
    rows = chain.from_iterable(read_rows(file, file.parent) for file in select(data).files)
    events = [row.event for row in islice(rows, READ_ROWS) if row.event is not None]
    on_sale = [event for event in events if event.get("status") == "on_sale"]
    first_of_kind = {str(event.get("category")): event for event in reversed(on_sale)}
    first = sorted(first_of_kind.values(), key=on_sale.index)
    return (str(event.get("item_id")) for event in chain(first, on_sale))


def example_answers(item_ids: Iterable[str], api_url: str) -> list[dict[str, Any]]:
    """Return the API's answers for the first items with visually similar ones, the best examples first.

    An answer is a better example the more of its items are of the item's own category.
    """
    answers = (_similar(item_id, api_url) for item_id in dict.fromkeys(item_ids))
    usable = (answer for answer in answers if answer and answer["items"] and answer["fallback"] is None)
    return sorted(islice(usable, CANDIDATES), key=_of_own_category, reverse=True)


def _of_own_category(answer: Mapping[str, Any]) -> int:
    return sum(item["category"] == answer["item"]["category"] for item in answer["items"])


def as_table(answer: Mapping[str, Any]) -> str:
    """Return the item asked about and the similar ones, a line each."""
    asked = answer["item"]
    heading = f"{_title(asked)} · {_price(asked)} · {_category(asked)}"
    return "\n".join([heading, *(_line(item) for item in answer["items"])])


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

"""Listing ids in URLs."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from flask import Flask, url_for
from hypothesis import given
from hypothesis import strategies as st

from query.api.listing_ids import EncodedSlashes, ListingIdConverter, shown_path
from query.api.parameters import known_id

# Half surrogates have no UTF-8; control characters are in no id.
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60).filter(
    lambda text: text not in {".", ".."}
)


def echo() -> Flask:
    """An app whose routes answer with the id that they were asked about."""
    app = Flask(__name__)
    app.url_map.converters["listing_id"] = ListingIdConverter
    app.wsgi_app = EncodedSlashes(app.wsgi_app)  # type: ignore[method-assign]
    app.add_url_rule("/items/<listing_id:item_id>", "item", lambda item_id: item_id)
    app.add_url_rule("/items/<listing_id:item_id>/similar", "similar", lambda item_id: f"similar {item_id}")
    return app


APP = echo()


@given(IDS)
def test_every_id_comes_back_from_its_url(item_id: str) -> None:
    """Slashes, percent signs, dots and emoji included, in both kinds of route."""
    path = f"/items/{quote(item_id, safe='')}"
    assert APP.test_client().get(path).text == known_id(item_id)
    assert APP.test_client().get(f"{path}/similar").text == f"similar {item_id}"


@given(IDS)
def test_links_lead_to_their_ids(item_id: str) -> None:
    """As pages write them."""
    with APP.test_request_context():
        path = url_for("item", item_id=item_id)
    assert APP.test_client().get(path).text == item_id


@pytest.mark.parametrize("item_id", ["a/similar", "/", "//", "a%2Fb", "%", "日本語-id", "A/12 b", "👟"])
def test_known_troublemakers(item_id: str) -> None:
    """An id that looks like a path is an id."""
    assert APP.test_client().get(f"/items/{quote(item_id, safe='')}").text == item_id


def test_a_path_is_shown_as_it_was_sent() -> None:
    """Without the mark that stands for a slash."""
    assert shown_path("/items/a\x1fb") == "/items/a%2Fb"

"""Listing ids in URLs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from flask import Flask, url_for
from hypothesis import given
from hypothesis import strategies as st

from query.api.listing_ids import EncodedSlashes, ListingIdConverter, shown_path
from query.api.parameters import known_id
from query.search.errors import UnknownItem

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


def passed_on(uri: str, path: str, script_name: str = "") -> str:
    """The path that the app gets, as it is shown; the server's environ stays as it was."""
    seen: list[str] = []

    def app(environ: dict[str, Any], _: object) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        return []

    decoded = unquote_to_bytes(path).decode("latin-1")
    sent = {"RAW_URI": uri, "PATH_INFO": decoded, "SCRIPT_NAME": script_name}
    environ = dict(sent)
    EncodedSlashes(app)(environ, lambda *_: lambda _: None)
    assert environ == sent
    (found,) = seen
    return shown_path(found)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/items/A%2f1", "/items/A%2F1"),
        ("/items/A%2F1?from=%2F", "/items/A%2F1"),
        ("/items/A%2F1#top", "/items/A%2F1"),
        ("http://shop.example/items/A%2F1?size=1", "/items/A%2F1"),
        ("//[/a", "//[/a"),  # no address, but a path all the same
        ("//[/a%2Fb", "//[/a%2Fb"),
        ("http://[/a%2Fb", "/a%2Fb"),
        ("http://shop.example", "/"),
        ("*", "*"),
        ("", "/"),
    ],
)
def test_any_target_has_a_path(uri: str, path: str) -> None:
    """With a host or without; what is no URL is no failure."""
    assert passed_on(uri, path) == path


@pytest.mark.parametrize("uri", ["/my%20shop/items/A%2F1", "/items/A%2F1"])
def test_an_app_below_a_prefix_keeps_slashes(uri: str) -> None:
    """Whether or not a proxy takes the prefix off."""
    assert passed_on(uri, "/items/A%2F1", "/my shop") == "/items/A%2F1"


def test_a_path_that_was_rewritten_is_left_as_it_is() -> None:
    """The raw one says nothing about it."""
    assert passed_on("/old/A%2F1", "/items/A%2F1") == "/items/A/1"


@pytest.mark.parametrize("part", ["a%1Fb", "a%1fb%2Fc", "%1F", "a\x1fb"])
def test_the_mark_itself_is_in_no_id(part: str) -> None:
    """It does not become a slash."""
    found = APP.test_client().get(f"/items/{part}").text
    assert found.count("/") == part.count("%2F")
    with pytest.raises(UnknownItem):
        known_id(found)

"""The examples that `make demo` prints."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse

import pytest

from demo.examples import as_table, example_answers, example_items
from tests.factories import make_event


def make_item(item_id="m1", **changes):
    """A listing as the API gives it among similar ones."""
    item = {"item_id": item_id, "title": "Red wool skirt", "category": ["Apparel", "Skirts"], "price": 1290}
    return {**item, "currency": "JPY", "similarity": 0.934, **changes}


@pytest.fixture
def api():
    """A server that answers /similar from a dictionary, and its URL."""
    answers: dict[str, object] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            item_id = urllib.parse.unquote(self.path.split("/")[3])
            self.send_response(200 if item_id in answers else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(item_id)).encode())

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield answers, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_the_examples_are_of_different_kinds(tmp_path):
    """First one of each category in the order of the file; invalid lines and sold listings are left out."""
    events = [
        make_event(item_id="skirt1", category=["Apparel", "Skirts"]),
        make_event(item_id="skirt2", category=["Apparel", "Skirts"]),
        make_event(item_id="sold", category=["Toys"], status="sold_out"),
        make_event(item_id="vase", category=["Home", "Vases"]),
    ]
    lines = [json.dumps(event) for event in events]
    (tmp_path / "listings.jsonl").write_text("\n".join(["no json", *lines]))
    assert list(dict.fromkeys(example_items(tmp_path / "listings.jsonl"))) == ["skirt1", "vase", "skirt2"]


def test_answers_of_the_own_category_come_first(api):
    """An item with skirts among its similar ones is a better example of skirts than one with vases."""
    answers, url = api
    vase = make_item(category=["Home", "Vases"])
    answers["mixed"] = {"item": make_item(), "items": [make_item(), vase], "fallback": None}
    answers["skirts"] = {"item": make_item(), "items": [make_item(), make_item()], "fallback": None}
    assert example_answers(["mixed", "skirts"], url) == [answers["skirts"], answers["mixed"]]


def test_only_visually_similar_items_are_examples(api):
    """Unknown items, empty answers and answers by category only are left out."""
    answers, url = api
    answers["empty"] = {"items": [], "fallback": None}
    answers["by category"] = {"items": [make_item()], "fallback": {"reason": "not_encoded"}}
    answers["m/1"] = {"item": make_item(), "items": [make_item()], "fallback": None}
    found = example_answers(["unknown", "empty", "by category", "m/1", "m/1"], url)
    assert found == [answers["m/1"]]


def test_the_table_is_aligned():
    """The item is the heading; each similar one has its similarity, price, title and category in columns."""
    similar = [
        make_item(title="ドット柄 積み木 オレンジ 最終値下げ 送料無料", price=12800),
        make_item(title="Mug", price=9.5, currency="EUR", similarity=1.0),
        make_item(title=None),
    ]
    assert as_table({"item": make_item(), "items": similar}).splitlines() == [
        "Red wool skirt · 1,290 JPY · Apparel > Skirts",
        "  0.93    12,800 JPY  ドット柄 積み木 オレンジ 最終値下…  Apparel > Skirts",
        "  1.00       9.5 EUR  Mug                                 Apparel > Skirts",
        "  0.93     1,290 JPY  m1                                  Apparel > Skirts",
    ]

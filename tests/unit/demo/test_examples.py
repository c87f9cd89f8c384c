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
    """First one of each category in the order of the file; broken lines and what is sold are left out."""
    events = [
        make_event(item_id="skirt1", category=["Apparel", "Skirts"]),
        make_event(item_id="skirt2", category=["Apparel", "Skirts"]),
        make_event(item_id="sold", category=["Toys"], status="sold_out"),
        make_event(item_id="vase", category=["Home", "Vases"]),
    ]
    lines = [json.dumps(event) for event in events]
    (tmp_path / "listings.jsonl").write_text("\n".join(["no json", *lines]))
    assert list(dict.fromkeys(example_items(tmp_path / "listings.jsonl"))) == ["skirt1", "vase", "skirt2"]


def make_shop(folder, **prices_by_kind):
    """A file of listings on sale, one a price: the third mug has the id mug3."""
    events = [
        make_event(item_id=f"{kind}{number}", category=["Shop", kind], price=price)
        for kind, prices in prices_by_kind.items()
        for number, price in enumerate(prices, start=1)
    ]
    file = folder / "listings.jsonl"
    file.write_text("\n".join(map(json.dumps, events)))
    return file


def test_kinds_that_can_fill_an_answer_come_first(tmp_path):
    """A listing with five others of its kind within half to twice its price precedes every other kind."""
    shop = make_shop(
        tmp_path,
        lonely=[1000],
        scattered=[100, 300, 900, 2700, 8100, 24300, 72900],
        few=[1000] * 5,
        many=[9000, 1000, 1100, 1200, 1500, 1900, 2000],
    )
    found = list(dict.fromkeys(example_items(shop)))
    assert found[:4] == ["many2", "lonely1", "scattered1", "few1"]
    assert len(found) == 20


def test_prices_in_other_currencies_and_prices_that_are_none_are_no_company(tmp_path):
    """Neither a price in euros nor one that is text makes a listing in yen an example to begin with."""
    vase = {"category": ["Vases"], "price": 1000}
    events = [
        *(make_event(item_id=f"yen{number}", **vase) for number in range(3)),
        *(make_event(item_id=f"euro{number}", **vase, currency="EUR") for number in range(3)),
        make_event(item_id="text", category=["Vases"], price="1000"),
        *(make_event(item_id=f"mug{number}", category=["Mugs"]) for number in range(6)),
    ]
    (tmp_path / "listings.jsonl").write_text("\n".join(map(json.dumps, events)))
    assert list(example_items(tmp_path / "listings.jsonl"))[:3] == ["mug0", "yen0", "euro0"]


def test_only_answers_by_the_picture_are_examples(api):
    """Unknown items, empty answers and those by category alone are passed over."""
    answers, url = api
    answers["empty"] = {"items": [], "fallback": None}
    answers["by category"] = {"items": [make_item()], "fallback": {"reason": "not_encoded"}}
    answers["m/1"] = {"items": [make_item()], "fallback": None}
    found = list(example_answers(["unknown", "empty", "by category", "m/1", "m/1"], url))
    assert found == [answers["m/1"]]


def test_the_table_reads_like_one():
    """The item stands above; each similar one has its similarity, price, title and category in columns."""
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

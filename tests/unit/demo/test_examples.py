"""The examples that `make demo` prints."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse

import pytest

from demo.examples import example_answers, example_items
from query.api.responses import SimilarAnswer
from tests.factories import make_event

SKIRT, VASE = ("Apparel", "Skirts"), ("Home", "Vases")
BY_CATEGORY = {"reason": "not_encoded", "message": "Its photo is not encoded."}


def make_answer(*categories, fallback=None):
    """The API's answer for a skirt, with one similar item of each category."""
    item = {"item_id": "m1", "title": None, "category": SKIRT, "price": 1290, "currency": "JPY"}
    item |= {"seller_id": "s1", "status": "on_sale", "photos": []}
    band = {"requested_ratio": 2, "applied_ratio": 2, "low": 645, "high": 2580, "steps_widened": 0}
    return SimilarAnswer.model_validate(
        {
            "item": item,
            "items": [
                item
                | {"category": category, "score": 1, "similarity": 0.9, "stands_for": 0, "explanation": None}
                for category in categories
            ],
            "band": band | {"currency": "JPY"},
            "no_band": None,
            "fallback": fallback,
            "encoder_id": "colour-00000001",
            "index": "listings",
            "filters": [],
            "removed": {},
            "short": None,
            "missing": [],
            "ranking": "default",
            "index_changed": None,
            "next_cursor": None,
            "took_ms": 3,
            "elasticsearch_ms": 2,
            "stages_ms": {},
            "cached": False,
            "slate_id": "s",
            "arms": [],
            "arms_reason": None,
            "override": False,
            "randomised": False,
        }
    )


@pytest.fixture
def api():
    """A server that answers /similar from a dictionary, and its URL."""
    answers: dict[str, SimilarAnswer] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            item_id = urllib.parse.unquote(self.path.split("/")[3])
            self.send_response(200 if item_id in answers else 404)
            self.end_headers()
            if item_id in answers:
                self.wfile.write(answers[item_id].model_dump_json().encode())

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
    answers["mixed"], answers["skirts"] = make_answer(SKIRT, VASE), make_answer(SKIRT, SKIRT)
    assert example_answers(["mixed", "skirts"], url) == [answers["skirts"], answers["mixed"]]


def test_only_visually_similar_items_are_examples(api):
    """Unknown items, empty answers and answers by category only are left out."""
    answers, url = api
    answers["empty"] = make_answer()
    answers["by category"] = make_answer(SKIRT, fallback=BY_CATEGORY)
    answers["m/1"] = make_answer(SKIRT)
    found = example_answers(["unknown", "empty", "by category", "m/1", "m/1"], url)
    assert found == [answers["m/1"]]

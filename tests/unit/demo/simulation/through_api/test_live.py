"""Buyers in front of an API: a small one of the tests' own, which answers as the real one does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from demo.simulation.errors import ApiUnusable, ImpossibleTruth
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.setup import Plan
from demo.simulation.through_api.client import BATCH, Api
from demo.simulation.through_api.live import simulate_live
from events.schema import Impression, Purchase, Tap, parse_event
from mappings.listing import parse_listing
from tests.factories import make_event

NOW = datetime(2026, 7, 8, 15, 0, tzinfo=UTC)
ITEMS = [f"m{number}" for number in range(40)]


class FakeApi(ThreadingHTTPServer):
    """Answers every item with all others, in the order of their ids, and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events: list[dict[str, Any]] = []
        self.answered: dict[str, list[str]] = {}
        self.unknown: set[str] = set()
        self.busy = 0
        self.events_off = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """The two routes."""

    server: FakeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        item_id = self.path.split("/")[3]
        size = int(self.path.split("size=")[1])
        if self.server.busy:
            self.server.busy -= 1
            return self.reply(503, {"detail": "busy"})
        if item_id in self.server.unknown:
            return self.reply(404, {"detail": "no such listing"})
        others = [other for other in ITEMS if other != item_id]
        others[size - 1 :] = ["not-in-the-file"]
        slate_id = f"s{len(self.server.answered)}-{self.headers['X-User-Id']}"
        self.server.answered[slate_id] = others
        return self.reply(
            200,
            {
                "item": {"item_id": item_id},
                "items": [{"item_id": other} for other in others],
                "slate_id": slate_id,
                "arms": [f"test:{'ab'[int(self.headers['X-User-Id'][1:]) % 2]}"],
                "encoder_id": "colour-00000001",
                "took_ms": 3.5,
                "randomised": False,
                "override": False,
            },
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.events_off:
            return self.reply(503, {"detail": "events are off: the server has no NITAMONO_USER_SALT"})
        assert len(body["events"]) <= BATCH
        self.server.events += body["events"]
        return self.reply(202, {"accepted": len(body["events"]), "rejected": []})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    """The API, running."""
    server = FakeApi()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def listings(tmp_path: Path) -> Path:
    """Forty similar listings."""
    file = tmp_path / "listings.jsonl"
    file.write_text("\n".join(json.dumps(make_event(item_id=item, price=1000)) for item in ITEMS))
    return file


def live(fake: FakeApi, listings: Path, **changes: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The summary, and the listing events that were sent."""
    truth = GroundTruth(bot_share=0.0, buy_after_tap=0.5)
    sold: list[dict[str, Any]] = []
    plan = Plan(**({"truth": truth, "users": 60, "days": 3} | changes))
    with Api(fake.url, backoff_s=0.01) as api:
        return simulate_live(plan, listings, api, sold.extend, now=NOW), sold


def test_events_are_those_that_the_real_api_takes(fake, listings):
    """Each passes its validation, none is from the future or older than it takes, and the summary adds up."""
    summary, _ = live(fake, listings, days=7)
    parsed = [parse_event(event, salt="s", now=NOW) for event in fake.events]
    assert summary.received == {"accepted": len(parsed)}
    assert summary.sent == Counter(event["type"] for event in fake.events)
    assert summary.visits == summary.sent["impression"] == len(fake.answered)
    assert max(event.time for event in parsed) <= NOW
    assert min(event.time for event in parsed) > NOW - timedelta(days=7)
    assert {type(event) for event in parsed} >= {Impression, Tap, Purchase}
    assert all(event.simulated for event in parsed if isinstance(event, Impression))


def test_impressions_report_the_slates_that_were_answered(fake, listings):
    """In the API's order, with its arms and ids; only what is not in the file, or sold, is left out."""
    summary, sold = live(fake, listings)
    gone = {event["item_id"] for event in sold}
    slates = {event["slate_id"]: event for event in fake.events if event["type"] == "impression"}
    for slate_id, event in slates.items():
        shown = [item["item_id"] for item in event["items"]]
        answered = fake.answered[slate_id][:-1]
        assert [item for item in answered if item in set(shown)] == shown
        assert set(answered) - set(shown) <= gone
        assert [item["position"] for item in event["items"]] == list(range(1, len(shown) + 1))
        assert slate_id.endswith(event["user_id"])
    assert summary.slates == Counter(event["arms"][0] for event in slates.values())
    for tap in (event for event in fake.events if event["type"] == "tap"):
        assert {"item_id": tap["item_id"], "position": tap["position"]} in slates[tap["slate_id"]]["items"]


def test_what_is_bought_is_taken_off_sale_once(fake, listings):
    """As a listing event that the indexer takes, later than the one that put it on sale."""
    summary, sold = live(fake, listings)
    bought = [event["item_id"] for event in fake.events if event["type"] == "purchase"]
    assert Counter(event["item_id"] for event in sold) == Counter(bought)
    assert max(Counter(bought).values()) == 1
    assert summary.sold == len(sold) > 0
    assert {parse_listing(event).status for event in sold} == {"sold_out"}


def test_pages_that_the_api_does_not_know_are_counted(fake, listings):
    """A listing that was not indexed has no slate, and that ends nothing."""
    fake.unknown = set(ITEMS[:20])
    summary, _ = live(fake, listings)
    assert summary.unanswered[404] > 0
    assert summary.visits == summary.unanswered[404] + summary.sent["impression"]


def test_a_busy_api_is_retried(fake, listings):
    """A few times; here it recovers."""
    fake.busy = 3
    summary, _ = live(fake, listings)
    assert summary.unanswered == {}


def test_disabled_events_are_reported_in_the_words_of_the_api(fake, listings):
    """Its own sentence names the setting."""
    fake.events_off = True
    with pytest.raises(ApiUnusable, match="503: events are off: the server has no NITAMONO_USER_SALT"):
        live(fake, listings)


def test_progress_is_told_of_all_visits(fake, listings):
    """So that the time left can be estimated."""
    told: list[tuple[int, int]] = []
    plan = Plan(users=60, days=3)
    with Api(fake.url, backoff_s=0.01) as api:
        summary = simulate_live(
            plan,
            listings,
            api,
            lambda _: None,
            now=NOW,
            progress=lambda visits, of: told.append((visits, of)),
        )
    assert told == sorted(told)
    assert told[-1] == (summary.visits, summary.visits)
    assert {of for _, of in told} == {summary.visits}


def test_an_unreachable_api_is_named(listings):
    """With the command that starts it."""
    plan = Plan(users=200, days=3)
    with Api("http://127.0.0.1:9", backoff_s=0.01) as api, pytest.raises(ApiUnusable, match="make up"):
        simulate_live(plan, listings, api, lambda _: None, now=NOW)


def test_lifts_are_not_injected_into_real_arms(fake, listings):
    """The difference of real encoders would be mixed with it."""
    with pytest.raises(ImpossibleTruth, match="into a log only"):
        live(fake, listings, truth=GroundTruth(tap_lift=1.5))

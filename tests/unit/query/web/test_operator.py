"""The page for operators, without services behind it."""

from __future__ import annotations

import time

import pytest

from mappings.client import ElasticsearchSettings, connect
from monitoring.samples import Sample, Samples
from monitoring.workers import WorkerReport
from query.api.app import create_app
from query.api.settings import QuerySettings
from query.web.operator import duration, number, routes, share, shown_worker
from tests.free_port import free_port
from tests.keys import make_key_ring


def test_without_services_the_page_says_so_first() -> None:
    """It is needed most when something is down."""
    settings = QuerySettings(
        ElasticsearchSettings(urls=(f"http://127.0.0.1:{free_port()}",), max_retries=0),
        redis_url=f"redis://:secret@127.0.0.1:{free_port()}/0",
    )
    with connect(settings.elasticsearch) as es:
        page = create_app(settings, es, make_key_ring()).test_client().get("/operator")
    assert page.status_code == 200
    attention = page.text.partition("Needs attention")[2].partition("Indices")[0]
    assert "redis does not answer" in attention
    assert "elasticsearch does not answer" in attention
    assert "secret" not in page.text


def test_a_worker_is_shown_with_its_encoders_and_its_stages() -> None:
    """Shares of the time of all stages."""
    labels = {"encoder": "lite-1", "backend": "openvino", "precision": "bf16"}
    samples = Samples(
        [
            Sample("nitamono_encoder_info", labels, 1.0),
            Sample("nitamono_stage_seconds_sum", {"stage": "read"}, 1.0),
            Sample("nitamono_stage_seconds_sum", {"stage": "encode"}, 3.0),
            Sample("nitamono_listing_events_total", {"outcome": "indexed", "reason": ""}, 5.0),
        ]
    )
    shown = shown_worker(WorkerReport("w@a", "listings", "q", time.time(), time.time(), samples))
    assert shown.encoders == ["lite-1 openvino bf16"]
    assert shown.stages == {"read": 0.25, "photos": 0.0, "encode": 0.75, "write": 0.0}
    assert shown.events == {"indexed": 5.0}
    assert shown.lag_p50_s is None


def test_routes_have_their_failures() -> None:
    """Statuses from 500 up; no latency where none was measured."""
    name = "nitamono_http_requests_total"
    statuses = {"200": 8, "404": 1, "503": 2}
    samples = [Sample(name, {"route": "/x", "status": status}, n) for status, n in statuses.items()]
    (route,) = routes(Samples(samples))
    assert (route.name, route.requests, route.failures, route.p50_ms) == ("/x", 11, 2, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.25, "0.25 s"),
        (9, "9 s"),
        (95, "95 s"),
        (300, "5 min"),
        (9000, "2 h"),
        (400_000, "5 d"),
    ],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    """In the largest unit of which there are two."""
    assert duration(seconds) == text


def test_what_there_is_not_is_a_dash() -> None:
    """Rather than 0."""
    assert (number(None), share(None), number(1234.5, 1), share(0.956)) == ("–", "–", "1,234.5", "95.6%")

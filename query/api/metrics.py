"""Metrics of the API: requests, failures, the cache, and what answers hold."""

from __future__ import annotations

import time
from typing import Final

from flask import Response, g, request

from cache.answers import LookUp
from monitoring.reasons import reason_label
from query.search.similar import SimilarItems
from telemetry.metrics import Counter, Histogram, Metric

REQUESTS: Final = Counter(
    "nitamono_http_requests_total",
    "Requests by route, method and status.",
    ("route", "method", "status"),
    "500: a fault of the server; see its log. 503: `nitamono_http_problems_total` has the cause.",
)
REQUEST_SECONDS: Final = Histogram(
    "nitamono_http_request_seconds",
    "Time until a response is ready to be sent.",
    ("route", "method"),
    "Slow `/similar` with a good cache: Elasticsearch is busy, or has many segments. Slow everywhere: the "
    "machine is busy; add NITAMONO_API_WORKERS.",
)
PROBLEMS: Final = Counter(
    "nitamono_http_problems_total",
    "Requests that were answered with a problem, by its type.",
    ("type",),
    "`too-many-requests`: a client is above its rate limit. `invalid-key`: a key has ended, or somebody "
    "tries keys. `search-unavailable` and `no-live-index`: see Elasticsearch. `queue-unavailable`: see "
    "Redis.",
)
LOOKUPS: Final = Counter(
    "nitamono_cache_lookups_total",
    "Requests for similar items by the result of looking for a stored answer.",
    ("result",),
    "`none` are answers that are not kept: the cache is off or unavailable, or the request asks for an "
    "explanation or a later page. Few hits: NITAMONO_CACHE_TTL_S is short, or listings change all the "
    "time.",
)
ANSWERS: Final = Counter(
    "nitamono_similar_answers_total",
    "Searched answers by whether they are full, short or empty, and why they fall back to the category.",
    ("result", "fallback"),
    "Many `empty`: the floor of similarity or the price band is too narrow for the catalogue. "
    "`not_encoded` falls back because items have no vector: see the coverage. Stored answers are counted "
    "once, when searched.",
)
METRICS: Final[tuple[Metric, ...]] = (REQUESTS, REQUEST_SECONDS, PROBLEMS, LOOKUPS, ANSWERS)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def begin_request() -> None:
    """Note the time. It is the first `before_request` function."""
    g.begun = time.perf_counter()


def count_request(answer: Response) -> Response:
    """Count the current request. It is the last `after_request` function."""
    rule = request.url_rule
    route = rule.rule if rule else "none"
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.add(route, method, str(answer.status_code))
    REQUEST_SECONDS.observe(time.perf_counter() - g.begun, route, method)
    return answer


def count_look_up(found: LookUp) -> None:
    """Count a request for similar items."""
    kept = "miss" if found.started_ms is not None else "none"
    LOOKUPS.add(kept if found.content is None else "hit")


def count_answer(items: SimilarItems, size: int) -> None:
    """Count a searched answer, of which `size` items were wanted."""
    count = len(items.hits)
    result = "full" if count >= size else "short" if count else "empty"
    ANSWERS.add(result, reason_label(items.fallback_reason))

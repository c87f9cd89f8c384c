"""The page for operators: what needs attention, then indices, queues, workers, drift and the API itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from flask import Blueprint, render_template

from cache.answers import CacheCounts
from mappings.remedies import remedy
from monitoring.findings import findings
from monitoring.samples import Samples
from monitoring.state import StateReader
from monitoring.workers import WorkerReport

STAGES: Final = ("read", "photos", "encode", "write")
"""The stages of a chunk, in order; `fetch` and `decode` are parts of `photos`."""

_REQUESTS: Final = "nitamono_http_requests_total"
_SECONDS: Final = "nitamono_http_request_seconds"


@dataclass(frozen=True)
class Route:
    """The requests to a route."""

    name: str
    requests: int
    failures: int
    """Responses with a status from 500 up."""
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True)
class Worker:
    """A worker as the page shows it."""

    report: WorkerReport
    encoders: Sequence[str]
    events: dict[str, float]
    """By outcome, since it started."""
    per_chunk: float | None
    batch: float | None
    lag_p50_s: float | None
    lag_p95_s: float | None
    stages: dict[str, float]
    """Share of the time of all stages."""


def operator_blueprint(
    reader: StateReader, prefix: str, own_samples: Callable[[], Samples], cache: Callable[[], CacheCounts]
) -> Blueprint:
    """Return the page.

    own_samples: the metrics of this server. cache: the state of the cache in this process.
    """
    operator = Blueprint("operator", __name__)
    for name, function in _FILTERS.items():
        operator.add_app_template_filter(function, name)

    @operator.get("/operator")
    def page() -> str:
        state, samples = reader.state(), own_samples()
        return render_template(
            "operator.html",
            state=state,
            findings=findings(state, prefix),
            workers=[shown_worker(report) for report in state.workers],
            letters=[(reason, count, remedy(reason)) for reason, count in state.dead_letters.items()],
            routes=routes(samples),
            problems=samples.by("nitamono_http_problems_total", "type"),
            lookups=samples.by("nitamono_cache_lookups_total", "result"),
            answers=samples.by("nitamono_similar_answers_total", "result"),
            fallbacks=samples.by("nitamono_similar_answers_total", "fallback"),
            cache=cache(),
            now=datetime.now(UTC),
        )

    return operator


def routes(samples: Samples) -> list[Route]:
    """Return the routes, the most used first."""
    return [
        Route(
            name,
            int(count),
            int(
                sum(n for status, n in samples.by(_REQUESTS, "status", route=name).items() if status >= "500")
            ),
            _ms(samples.quantile(_SECONDS, 0.5, route=name)),
            _ms(samples.quantile(_SECONDS, 0.95, route=name)),
        )
        for name, count in samples.by(_REQUESTS, "route").items()
    ]


def shown_worker(report: WorkerReport) -> Worker:
    """Return what the page shows of a worker."""
    samples = report.samples
    seconds = {stage: samples.total("nitamono_stage_seconds_sum", stage=stage) for stage in STAGES}
    total = sum(seconds.values())
    is_listings = report.kind == "listings"
    return Worker(
        report,
        encoders=[
            " ".join(filter(None, (each.labels["encoder"], each.labels["backend"], each.labels["precision"])))
            for each in samples.samples
            if each.name == "nitamono_encoder_info"
        ],
        events=samples.by(f"nitamono_{'listing' if is_listings else 'shopping'}_events_total", "outcome"),
        per_chunk=samples.mean("nitamono_chunk_events"),
        batch=samples.mean("nitamono_encoder_batch_photos"),
        lag_p50_s=samples.quantile("nitamono_message_lag_seconds", 0.5),
        lag_p95_s=samples.quantile("nitamono_message_lag_seconds", 0.95),
        stages={stage: value / total for stage, value in seconds.items()} if total else {},
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with separators, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """Return a percentage, or a dash."""
    return "–" if value is None else f"{value:.1%}"


def duration(seconds: float | None) -> str:
    """Return `12 s`, `3 min`, `5 h` or `2 d`, or a dash."""
    if seconds is None:
        return "–"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.2g} s" if seconds < 10 else f"{seconds:,.0f} s"


def since(moment: float | datetime | None) -> str:
    """Return how long ago a Unix time or moment was, or a dash."""
    if moment is None:
        return "–"
    then = moment.timestamp() if isinstance(moment, datetime) else moment
    return duration(max(0.0, time.time() - then))


def size(count: int | None) -> str:
    """Return bytes in MB, or a dash."""
    return "–" if count is None else f"{count / 1e6:,.1f} MB"


_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "number": number,
    "share": share,
    "duration": duration,
    "since": since,
    "size": size,
}

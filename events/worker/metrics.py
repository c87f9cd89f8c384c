"""Metrics of the worker of events."""

from __future__ import annotations

from typing import Final

from events.worker.store import StoreSummary
from telemetry.metrics import BoundedValues, Counter, Metric

EVENTS: Final = Counter(
    "nitamono_shopping_events_total",
    "Impressions, taps, item views, purchases and complaints by outcome.",
    ("outcome", "reason"),
    "`rejected`: `nitamono events rejected list` shows the events with their reasons. `repeated` events "
    "were sent or delivered twice, and stored once.",
)
METRICS: Final[tuple[Metric, ...]] = (EVENTS,)

_REASONS: Final = BoundedValues()


def count_events(summary: StoreSummary) -> None:
    """Count the events of a message."""
    for outcome, count in (("stored", summary.stored), ("repeated", summary.repeated)):
        if count:
            EVENTS.add(outcome, "", by=count)
    for reason, count in summary.rejected.items():
        EVENTS.add("rejected", _REASONS.of(reason), by=count)

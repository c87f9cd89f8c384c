"""The tables of docs/metrics.md: `python -m docs.metrics_table` writes them from the declarations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from events.worker import metrics as of_events
from indexer.worker import metrics as of_listings
from monitoring import readings
from query.api import metrics as of_api
from queues import metrics as of_both
from telemetry.metrics import Metric

PAGE: Final = Path(__file__).with_name("metrics.md")
START: Final = "<!-- Written by `python -m docs.metrics_table`. -->\n"
END: Final = "<!-- End of the tables. -->\n"

SECTIONS: Final[dict[str, tuple[Metric, ...]]] = {
    "Worker of listings": of_listings.METRICS,
    "Worker of events": of_events.METRICS,
    "Both workers": of_both.METRICS,
    "API": of_api.METRICS,
    "State of the deployment, served by the API": readings.METRICS,
}
"""All metrics, by the process that serves them."""

_UNITS: Final = {"seconds": "seconds", "ratio": "0 to 1", "total": "count", "info": "1"}


def all_metrics() -> list[Metric]:
    """Return all metrics."""
    return [metric for metrics in SECTIONS.values() for metric in metrics]


def tables() -> str:
    """Return the Markdown of all sections."""
    return "\n".join(f"### {title}\n\n{_table(metrics)}" for title, metrics in SECTIONS.items())


def page_with_tables(page: str) -> str:
    """Return the page with the tables between its marks replaced."""
    before, _, rest = page.partition(START)
    return f"{before}{START}\n{tables()}\n{END}{rest.partition(END)[2]}"


def unit(metric: Metric) -> str:
    """Return the unit, which ends the name of a metric that is no plain count."""
    return _UNITS.get(metric.name.rpartition("_")[2], "count")


def _table(metrics: Sequence[Metric]) -> str:
    head = ["| metric | type | labels | unit | what it says | when it is off |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *map(_row, metrics)]) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    cells = (f"`{metric.name}`", metric.kind, labels, unit(metric), metric.meaning, metric.when_off)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

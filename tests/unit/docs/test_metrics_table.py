"""The tables of docs/metrics.md."""

from __future__ import annotations

import re
from pathlib import Path

from docs.metrics_table import PAGE, all_metrics, page_with_tables, tables
from telemetry.metrics import Counter, Histogram

ROOT = Path(__file__).parents[3]


def test_the_page_has_the_tables_of_the_code() -> None:
    """If this fails, run `python -m docs.metrics_table`."""
    page = PAGE.read_text(encoding="utf-8")
    assert page_with_tables(page) == page


def test_each_metric_has_one_row_that_says_what_to_do() -> None:
    """No cell is empty but that of labels."""
    rows = [line.strip("| ").split(" | ") for line in tables().splitlines() if line.startswith("| `")]
    assert [row[0].strip("`") for row in rows] == [metric.name for metric in all_metrics()]
    assert all(len(row) == 6 and row[4].endswith(".") and row[5].endswith(".") for row in rows)


def test_names_follow_the_rules_of_prometheus() -> None:
    """Counters end with `_total`, times with `_seconds`, and each name is used once."""
    names = [metric.name for metric in all_metrics()]
    assert len(set(names)) == len(names)
    for metric in all_metrics():
        assert re.fullmatch(r"nitamono_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == isinstance(metric, Counter)
        if isinstance(metric, Histogram):
            assert list(metric.buckets) == sorted(metric.buckets)


def test_every_metric_that_the_code_declares_is_in_a_table() -> None:
    """A declaration that is in no `METRICS` would be served and not documented."""
    code = "".join(
        path.read_text()
        for package in ("telemetry", "queues", "monitoring", "indexer", "events", "query")
        for path in (ROOT / package).rglob("*.py")
    )
    declared = set(re.findall(r'(?:Counter|Histogram|Gauge|Reading)\(\s*"(nitamono_\w+)"', code))
    assert declared == {metric.name for metric in all_metrics()}

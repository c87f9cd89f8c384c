"""Counts of events by day, and deletion of old days."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from elasticsearch import Elasticsearch

from events.indices import drop_event_days, event_days
from events.log_tables import TABLES
from events.names import event_index
from events.worker.rejected import RejectedEvents
from mappings.scan import delete_as_read


@dataclass(frozen=True)
class DayCount:
    """The number of events of each type on a day."""

    day: date
    kinds: Mapping[str, int]


def count_events(es: Elasticsearch, prefix: str) -> Iterator[DayCount]:
    """Yield each day that has an index, oldest first."""
    for day in event_days(es, prefix):
        index = event_index(prefix, day)
        es.indices.refresh(index=index)
        aggregations = {"kinds": {"terms": {"field": "type", "size": 20}}}
        answer = es.search(index=index, size=0, aggregations=aggregations)
        buckets = answer["aggregations"]["kinds"]["buckets"]
        yield DayCount(day, {bucket["key"]: bucket["doc_count"] for bucket in buckets})


def drop_stored(es: Elasticsearch, prefix: str, before: date) -> list[date]:
    """Delete the indices of the days before one, and rejected events that are as old; return the days."""
    old = [day for day in event_days(es, prefix) if day < before]
    drop_event_days(es, prefix, old)
    for hits in RejectedEvents(es, prefix).index.pages(before=datetime.combine(before, time(), UTC)):
        delete_as_read(es, hits)
    return old


def drop_logged(log: Path, before: date) -> list[date]:
    """Delete the files of the days before one from a log, and return the days."""
    old = {path: day for path, day in _day_folders(log) if day < before}
    for path in old:
        shutil.rmtree(path)
    return sorted(set(old.values()))


def first_kept(today: date, days: int) -> date:
    """Return the oldest day to keep."""
    return today - timedelta(days=days)


def _day_folders(log: Path) -> Iterator[tuple[Path, date]]:
    for folder in (folder for table in TABLES for folder in (log / table).glob("date=*")):
        try:
            yield folder, date.fromisoformat(folder.name.removeprefix("date="))
        except ValueError:  # not a folder of the log
            continue

"""The kill switch: which experiments are stopped, read from Elasticsearch and applied within five seconds.

If Elasticsearch has not answered for half a minute, the state is unknown and no experiment runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from elasticsearch import Elasticsearch, NotFoundError

from mappings.creation import ensure_index, read_mapping
from mappings.names import written_through
from mappings.refreshed import Refreshed

SWITCHES_BODY: Final = read_mapping(Path(__file__).with_name("switches.v1.json"))
"""Settings and mappings of the index of switches."""

MAX_AGE_S: Final = 3.0
TIMEOUT_S: Final = 0.5
"""Together with MAX_AGE_S well below the promised five seconds."""

STALE_AFTER_S: Final = 30.0
"""Ten requests without an answer: longer than a node restart or an election takes, and the longest that
a stop may go unnoticed."""

MOST_EXPERIMENTS: Final = 1000  # stopped at the same time in one deployment


def switch_index(prefix: str) -> str:
    """The index of the kill switch, with one document for each experiment that was ever stopped."""
    return f"{prefix}-switches"


def stop(es: Elasticsearch, prefix: str, name: str, now: datetime) -> None:
    """Stop an experiment: from now on no response is attributed to one of its arms."""
    _switch(es, prefix, name, now, stopped=True)


def resume(es: Elasticsearch, prefix: str, name: str, now: datetime) -> None:
    """Let an experiment run again, with each user in the same arm as before."""
    _switch(es, prefix, name, now, stopped=False)


def read_stopped(es: Elasticsearch, prefix: str) -> frozenset[str]:
    """The names of the stopped experiments; none if the index does not exist yet."""
    try:
        found = es.search(
            index=switch_index(prefix),
            query={"term": {"stopped": True}},
            size=MOST_EXPERIMENTS,
            source=False,
            allow_partial_search_results=False,
        )
    except NotFoundError:
        return frozenset()
    return frozenset(hit["_id"] for hit in found["hits"]["hits"])


class Switches:
    """The stopped experiments, cached between requests. Thread-safe.

    At most one request in MAX_AGE_S reads Elasticsearch, for at most TIMEOUT_S; concurrent requests use the
    previous state. If Elasticsearch does not answer, the last known state holds for STALE_AFTER_S.
    """

    def __init__(self, es: Elasticsearch, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        impatient = es.options(request_timeout=TIMEOUT_S, max_retries=0, retry_on_timeout=False)
        self._names = Refreshed(
            lambda: read_stopped(impatient, prefix),
            "which experiments are stopped",
            max_age_s=MAX_AGE_S,
            wait_after_s=STALE_AFTER_S,
            stale_after_s=STALE_AFTER_S,
            clock=clock,
        )

    def stopped(self) -> frozenset[str] | None:
        """The names of the stopped experiments, or None while unknown: never read, or too long ago."""
        return self._names.value()

    def age_s(self) -> float | None:
        """Seconds since the state was last read from Elasticsearch, or None if it never was."""
        return self._names.age_s()


def _switch(es: Elasticsearch, prefix: str, name: str, now: datetime, *, stopped: bool) -> None:
    ensure_index(es, switch_index(prefix), SWITCHES_BODY)
    document = {"experiment": name, "stopped": stopped, "changed_at": now.isoformat()}
    index = written_through(switch_index(prefix))
    es.index(index=index, id=name, document=document, refresh=True, require_alias=True)

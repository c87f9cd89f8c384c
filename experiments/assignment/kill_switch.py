"""The kill switch: which experiments are stopped, told by Elasticsearch and heeded within five seconds.

Where Elasticsearch has not told it for half a minute, nobody knows it, and no experiment runs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError

from mappings.creation import ensure_index, read_mapping
from mappings.names import written_through

logger = logging.getLogger(__name__)

SWITCHES_BODY: Final = read_mapping(Path(__file__).with_name("switches.v1.json"))
"""Settings and mappings of the index of switches."""

MAX_AGE_S: Final = 3.0
TIMEOUT_S: Final = 0.5
"""With MAX_AGE_S well below the five seconds that are promised."""

STALE_AFTER_S: Final = 30.0
"""Ten questions without an answer: more than a restart of a node or an election takes, and no longer than a
stop may go unheard."""

MOST_EXPERIMENTS: Final = 1000  # stopped at once, of one deployment


def switch_index(prefix: str) -> str:
    """The index of the kill switches: one document for each experiment that was ever stopped."""
    return f"{prefix}-switches"


def stop(es: Elasticsearch, prefix: str, name: str, now: datetime) -> None:
    """Stops an experiment: from now on nobody is told an arm of it."""
    _switch(es, prefix, name, now, stopped=True)


def resume(es: Elasticsearch, prefix: str, name: str, now: datetime) -> None:
    """Lets an experiment run again, with everybody in the arm of before."""
    _switch(es, prefix, name, now, stopped=False)


def read_stopped(es: Elasticsearch, prefix: str) -> frozenset[str]:
    """The names of the stopped experiments. An index that is not there was never written: none."""
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
    """What is stopped, known without asking for each request. Safe to share between threads.

    At most one request in MAX_AGE_S asks Elasticsearch, for TIMEOUT_S at most; those beside it go on with
    what was known before. If Elasticsearch does not answer, what was known last holds for STALE_AFTER_S.
    """

    def __init__(self, es: Elasticsearch, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._es = es.options(request_timeout=TIMEOUT_S, max_retries=0, retry_on_timeout=False)
        self._prefix = prefix
        self._clock = clock
        self._asking = threading.Lock()
        self._stopped: frozenset[str] | None = None
        self._asked_at = self._learned_at = -math.inf

    def stopped(self) -> frozenset[str] | None:
        """The names of the stopped experiments, or None while they are unknown: never learned, or too long
        ago.

        Requests wait for one another here only where nobody has asked for as long: the first of a process,
        and the first after a quiet time.
        """
        since = self._since(self._asked_at)
        if since >= MAX_AGE_S and self._asking.acquire(blocking=since >= STALE_AFTER_S):
            try:
                if self._since(self._asked_at) >= MAX_AGE_S:
                    self._ask()
            finally:
                self._asking.release()
        return self._stopped if self._since(self._learned_at) < STALE_AFTER_S else None

    def age_s(self) -> float | None:
        """Seconds since Elasticsearch last told what is stopped, or None if it never did."""
        age = self._since(self._learned_at)
        return age if math.isfinite(age) else None

    def _since(self, moment: float) -> float:
        return self._clock() - moment

    def _ask(self) -> None:
        begun = self._clock()
        try:
            self._stopped = read_stopped(self._es, self._prefix)
            self._learned_at = begun  # after what was learned, for those who read both meanwhile
        except (ApiError, TransportError) as error:
            logger.warning("which experiments are stopped cannot be learned: %s", error)
        self._asked_at = self._clock()


def _switch(es: Elasticsearch, prefix: str, name: str, now: datetime, *, stopped: bool) -> None:
    ensure_index(es, switch_index(prefix), SWITCHES_BODY)
    document = {"experiment": name, "stopped": stopped, "changed_at": now.isoformat()}
    index = written_through(switch_index(prefix))
    es.index(index=index, id=name, document=document, refresh=True, require_alias=True)

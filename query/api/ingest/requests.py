"""Writing listings: checked, queued once, and waited for where that is asked for."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import redis
from pydantic import BaseModel
from redis.backoff import NoBackoff
from redis.retry import Retry

from mappings.listing import isoformat
from query.api.errors import InvalidListings, KeyReused, QueueFull, QueueUnavailable, UnknownJob
from query.api.events import REDIS_TIMEOUT_S
from query.api.ingest.events import CheckedItems
from query.api.ingest.models import BatchAccepted, JobAnswer, RejectedItem, WriteAccepted
from query.api.responses import ListingProblem
from query.api.settings import QuerySettings
from queues.lanes import LIVE, list_of
from queues.listings.backpressure import Backpressure
from queues.listings.jobs import Job
from queues.listings.names import listing_queue
from queues.listings.sending import KeptAnswer, ListingSender, NewJob

LONGEST_WAIT_S: Final = 10.0
"""Below the timeouts of usual proxies and clients."""

FIRST_LOOK_S: Final = 0.01
SLOWEST_LOOK_S: Final = 0.1


@dataclass(frozen=True)
class Once:
    """The key that makes a repeated request harmless, and the fingerprint of the request."""

    key: str
    fingerprint: str

    @classmethod
    def of(cls, caller: str, key: str, *request: str) -> Once:
        """Return the key of a caller's own, for a request of method, path, parameters and body."""
        return cls(_digest(caller, key), _digest(*request))


@dataclass(frozen=True)
class Written:
    """The answer to a request, with its status and the path to ask later."""

    status: HTTPStatus
    body: BaseModel
    location: str


class ListingRequests:
    """The queue of listings as the API uses it. Thread-safe."""

    def __init__(self, settings: QuerySettings) -> None:
        """Redis is not called yet."""
        client = redis.Redis.from_url(
            settings.redis_url,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            socket_timeout=REDIS_TIMEOUT_S,
            # Perhaps a connection from before a restart of Redis; events are queued twice at worst.
            retry=Retry(NoBackoff(), 1),
        )
        self.client = client
        self._sender = ListingSender(client, listing_queue(settings.elasticsearch.prefix))
        self._backpressure = Backpressure(settings.queue_limit)

    def write_one(self, items: CheckedItems, once: Once | None, *, wait: bool, location: str) -> Written:
        """Queue one event.

        Raises:
            InvalidListings: with all its problems.
            KeyReused, QueueFull, QueueUnavailable
        """
        if items.invalid:
            raise InvalidListings(items.invalid[0])
        event = items.events[0]
        if wait:
            return self._wait(self._queue_job(items, once))
        accepted = WriteAccepted(item_id=str(event["item_id"]), updated_at=str(event["updated_at"]))
        kept = self._queue(items, None, once, accepted)
        body = WriteAccepted.model_validate(kept.body) if kept else accepted
        return Written(HTTPStatus.ACCEPTED, body, location)

    def write_batch(self, items: CheckedItems, once: Once | None, *, wait: bool) -> Written:
        """Queue the valid events as a job.

        Raises:
            InvalidListings: none is valid; with all their problems.
            KeyReused, QueueFull, QueueUnavailable
        """
        if not items.events:
            raise InvalidListings(
                tuple(problem for problems in items.invalid.values() for problem in problems)
            )
        accepted = self._queue_job(items, once)
        if wait:
            return self._wait(accepted)
        return Written(HTTPStatus.ACCEPTED, accepted, job_path(accepted.job_id))

    def job(self, job_id: str) -> JobAnswer:
        """Return a job.

        Raises:
            UnknownJob: there is none, or it has expired.
            QueueUnavailable
        """
        found = self._read(job_id)
        if found is None:
            raise UnknownJob(job_id)
        return JobAnswer.of(found)

    def _queue_job(self, items: CheckedItems, once: Once | None) -> BatchAccepted:
        job = NewJob(uuid.uuid4().hex, isoformat(datetime.now(UTC)), items.item_ids, items.rejected())
        rejected = tuple(
            RejectedItem(
                index=position,
                item_id=items.item_ids[position],
                problems=tuple(map(ListingProblem.of, problems)),
            )
            for position, problems in items.invalid.items()
        )
        accepted = BatchAccepted(job_id=job.id, accepted=len(items.events), rejected=rejected)
        kept = self._queue(items, job, once, accepted)
        return BatchAccepted.model_validate(kept.body) if kept else accepted

    def _queue(
        self, items: CheckedItems, job: NewJob | None, once: Once | None, answer: BaseModel
    ) -> KeptAnswer | None:
        """Queue the events, or return the answer that an earlier request with the same key has."""
        with redis_errors():
            kept = self._sender.kept(once.key) if once else None
            if kept is None:
                self._require_room()
                new = KeptAnswer(once.key, once.fingerprint, answer.model_dump(mode="json")) if once else None
                kept = self._sender.send(items.events, job, new)
        if once and kept and kept.fingerprint != once.fingerprint:
            raise KeyReused(
                "Idempotency-Key: found that of another request, expected one of its own for each request"
            )
        return kept

    def _require_room(self) -> None:
        queued = int(self.client.llen(list_of(self._sender.queue, LIVE)))
        wait_s = self._backpressure.wait_s(queued)
        if wait_s is not None:
            raise QueueFull(
                f"{queued:,} messages wait in the queue of listings, of at most "
                f"{self._backpressure.limit:,} (NITAMONO_QUEUE_LIMIT)",
                wait_s,
            )

    def _wait(self, accepted: BatchAccepted) -> Written:
        """Return the job once it is done, or what it is after LONGEST_WAIT_S."""
        path = job_path(accepted.job_id)
        end, pause_s = time.monotonic() + LONGEST_WAIT_S, FIRST_LOOK_S
        while (job := self._read(accepted.job_id)) is not None and not job.is_done:
            if time.monotonic() > end:
                return Written(HTTPStatus.ACCEPTED, JobAnswer.of(job), path)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, SLOWEST_LOOK_S)
        if job is None:  # a repeated request, after the job has expired
            return Written(HTTPStatus.ACCEPTED, accepted, path)
        return Written(HTTPStatus.OK, JobAnswer.of(job), path)

    def _read(self, job_id: str) -> Job | None:
        with redis_errors():
            return self._sender.jobs.read(job_id)


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise the errors of Redis as QueueUnavailable."""
    try:
        yield
    except redis.RedisError as error:
        raise QueueUnavailable(
            "the queue of listings does not answer; send the request again later"
        ) from error


def job_path(job_id: str) -> str:
    """Return the path of a job."""
    return f"/v1/jobs/{job_id}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()

"""The base class of the tasks of both workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import redis
from celery import Task
from celery.exceptions import Ignore, Reject
from kombu.exceptions import OperationalError

from mappings.failures import TransientFailure
from queues.backoff import wait_before
from queues.messages import Arguments, MessageRefused, TaskMessage, bind
from queues.work_queue import WorkQueue
from telemetry.logs import line

log = logging.getLogger(__name__)

WORKER_LOST: Final = "worker_lost"
TASK_FAILED: Final = "task_failed"
OUT_OF_MEMORY: Final = "out_of_memory"
"""The reason codes of events whose workers died too often, whose task failed, or that alone need more memory
than there is."""


class OutOfMemory(Exception):
    """A task needed more memory than there is."""


class QueueTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task that starts only with valid arguments, and whose events are kept if it fails."""

    abstract = True
    arguments: type[Arguments]

    def work_queue(self) -> WorkQueue:
        """Return the queue that the task's messages come from."""
        raise NotImplementedError

    def give_up(self, args: Sequence[Any], kwargs: Mapping[str, Any], detail: str) -> None:
        """Store the events of a call that failed, with the reason TASK_FAILED.

        Raises:
            TransientFailure: they cannot be stored now.
        """
        raise NotImplementedError

    def describe(self, error: Exception) -> str:
        """Return what is stored of an error; its text may hold personal data."""
        return type(error).__name__

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Check the arguments: those of a call that came over no queue are not checked yet.

        Raises:
            MessageRefused: with what is wrong.
        """
        del task_id
        bind(self.arguments, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the task's result.

        Raises:
            OutOfMemory: it raised MemoryError, at which Celery 5.6 ends the whole worker.
        """
        try:
            return self.run(*args, **kwargs)
        except MemoryError as error:
            raise OutOfMemory(f"{self.name}: {error}") from error

    def on_failure(
        self, exc: Exception, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], *_: object
    ) -> None:
        """Keep what Celery would drop after logging the traceback."""
        detail = f"task {task_id} failed: {self.describe(exc)}"
        refusal = exc if isinstance(exc, MessageRefused) else None
        try:
            if refusal is None:
                self.give_up(args, kwargs, detail)
        except TransientFailure:
            # Not back to the queue: there it would break the task again and again.
            refusal = MessageRefused(TASK_FAILED, detail)
        if refusal is not None:
            call = TaskMessage(self.name, args, kwargs, task_id)
            self.work_queue().refused.keep_call(call, refusal)

    @contextmanager
    def delivery(self) -> Iterator[int]:
        """Yield how often the current message was delivered without coming to an end, this time included.

        Raises:
            Reject: of a passing failure inside; it puts the message back into the queue.
        """
        message = f"{self.request.id}:{self.request.retries}"
        try:
            with self.work_queue().deliveries.counted(message) as count:
                yield count
        except (TransientFailure, redis.RedisError) as error:
            log.warning(line("waiting", detail=str(error)[:300]))
            raise Reject(str(error), requeue=True) from error

    def retry_as(self, successor: Task, args: Sequence[Any], longest_wait_s: float) -> NoReturn:
        """Send the next attempt under the same id, so that its result is this call's result.

        Celery's own `retry` drops the message where Redis does not accept the next one; this keeps it.

        Raises:
            Ignore: it is sent.
            Reject: Redis did not accept it; this message goes back into the queue.
        """
        retries = self.request.retries + 1
        signature = successor.signature_from_request(
            self.request,
            args,
            {},
            countdown=wait_before(retries, longest_wait_s),
            retries=retries,
            ignore_result=bool(self.request.ignore_result),
        )
        try:
            signature.apply_async()
        except OperationalError as error:
            raise Reject(str(error), requeue=True) from error
        raise Ignore

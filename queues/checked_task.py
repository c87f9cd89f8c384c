"""What the tasks of both workers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from celery import Task

from queues.messages import Arguments, bind

LOST: Final = "worker_lost"
BROKEN: Final = "task_failed"
MEMORY: Final = "out_of_memory"
"""The reason codes of entries that ended each worker that took them, broke their task, or need more memory
than there is, each by itself."""


class OutOfMemory(Exception):
    """A task needed more memory than there is."""


class CheckedTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task that begins only with valid arguments."""

    abstract = True
    arguments: type[Arguments]

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Nothing, if the arguments are valid: those of a call that came over no queue are not checked yet.

        Raises:
            MessageRefused: with what is wrong.
        """
        del task_id
        bind(self.arguments, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the task returns.

        Raises:
            OutOfMemory: it raised MemoryError, at which Celery 5.6 ends the whole worker.
        """
        try:
            return self.run(*args, **kwargs)
        except MemoryError as error:
            raise OutOfMemory(f"{self.name}: {error}") from error

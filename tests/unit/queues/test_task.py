"""A task that fails loses nothing: its events are stored, or its message is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import Reject

from mappings.failures import ElasticsearchUnavailable
from queues.messages import Arguments, Entries, MessageRefused, TaskMessage
from queues.task import QueueTask

AWAY = ElasticsearchUnavailable("elasticsearch_unavailable", "away")


class EntriesArguments(Arguments):
    """A list of anything."""

    entries: Entries


class Queue:
    """A queue that records what is refused and counts nothing."""

    def __init__(self) -> None:
        self.refused = self.deliveries = self
        self.kept: list[tuple[TaskMessage, MessageRefused]] = []
        self.counted_messages: list[str] = []
        self.away = False

    def keep_call(self, call: TaskMessage, refusal: MessageRefused) -> None:
        self.kept.append((call, refusal))

    def counted(self, message: str) -> Any:
        self.counted_messages.append(message)
        if self.away:
            raise redis.ConnectionError("away")
        return self

    def __enter__(self) -> int:
        return 1

    def __exit__(self, *_: object) -> None:
        pass


class RecordingTask(QueueTask):
    """A task whose given-up events are recorded, or cannot be stored."""

    abstract = True
    queue = Queue()
    given_up: list[tuple[Any, str]]
    store_is_away = False

    def work_queue(self) -> Any:
        return self.queue

    def give_up(self, args: Sequence[Any], kwargs: Mapping[str, Any], detail: str) -> None:
        del kwargs
        if self.store_is_away:
            raise AWAY
        self.given_up.append((args, detail))


@pytest.fixture
def task() -> RecordingTask:
    """A task of an app of its own."""
    app = Celery(set_as_current=False)

    @app.task(base=RecordingTask, name="t", arguments=EntriesArguments)  # type: ignore[untyped-decorator]
    def process(entries: Sequence[Any]) -> int:
        return len(entries)

    process.queue, process.given_up = Queue(), []
    found: RecordingTask = process
    return found


def test_events_of_a_failed_task_are_stored_without_the_error_text(task: RecordingTask) -> None:
    """The text may hold personal data."""
    task.on_failure(ValueError("alice@example.com"), "t1", [["e1"]], {})
    assert task.given_up == [([["e1"]], "task t1 failed: ValueError")]
    assert task.queue.kept == []


def test_a_failed_task_keeps_its_message_if_its_events_cannot_be_stored(task: RecordingTask) -> None:
    """In the queue it would fail again and again."""
    task.store_is_away = True
    task.on_failure(ValueError(), "t1", [["e1"]], {})
    ((call, refusal),) = task.queue.kept
    assert (call.task, call.id, call.args, refusal.reason) == ("t", "t1", [["e1"]], "task_failed")


def test_a_call_with_invalid_arguments_is_kept_as_a_message(task: RecordingTask) -> None:
    """And does nothing."""
    result = task.apply(args=["no list"])
    ((call, refusal),) = task.queue.kept
    assert (call.args, refusal.reason) == (["no list"], "arguments_invalid")
    assert isinstance(result.result, MessageRefused)


@pytest.mark.parametrize("error", [AWAY, redis.ConnectionError("away")])
def test_a_passing_failure_puts_the_message_back(task: RecordingTask, error: Exception) -> None:
    """Elasticsearch's and Redis's alike; retries of one message are counted each by itself."""
    task.push_request(id="m1", retries=2)
    with pytest.raises(Reject) as caught, task.delivery():
        raise error
    assert caught.value.requeue
    assert task.queue.counted_messages == ["m1:2"]


def test_without_a_count_the_message_goes_back(task: RecordingTask) -> None:
    """A message that kills its workers must never be processed uncounted."""
    task.queue.away = True
    with pytest.raises(Reject), task.delivery():
        pytest.fail("it was processed")

"""Events from browsers and servers: validated, their user ids hashed, and queued."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from celery import Celery
from flask import Flask, Response, request
from kombu.exceptions import OperationalError
from pydantic import Field

from events.names import STORE_EVENTS, event_queue
from events.schema import EVENT_TYPES, Complaint, Event, Impression, ItemView, Purchase, Tap, parse_event
from mappings.errors import InvalidEvent, Problem
from mappings.json_problems import NOT_JSON, not_json
from query.api.errors import EventsOff, NoValidEvent, QueueUnavailable, TooManyEvents
from query.api.json_bodies import json_bytes
from query.api.responses import Model, ParameterProblem
from query.api.settings import QuerySettings
from queues.origin import stamp_messages

logger = logging.getLogger(__name__)

MAX_EVENTS: Final = 500
MAX_BYTES: Final = 256 * 1024
_EXPECTED: Final = '{"events": [{…}, …]}'

# What a problem may be named for in the log. Any other field has its name from the sender.
_FIELDS: Final = {
    "event",
    "type",
    *(field.alias or name for model in EVENT_TYPES.values() for name, field in model.model_fields.items()),
}

# For Redis to take a connection, or to answer. A request tries twice.
REDIS_TIMEOUT_S: Final = 2.0


class EventBatch(Model):
    """Events of any kind, in any order."""

    events: Annotated[
        tuple[
            Annotated[Impression | Tap | ItemView | Purchase | Complaint, Field(discriminator="type")], ...
        ],
        Field(min_length=1, max_length=MAX_EVENTS),
    ]


class RejectedEvent(Model):
    """An event that was rejected, with all its problems."""

    index: Annotated[int, Field(ge=0, description="Its place in the batch, from 0.")]
    event_id: str | None
    problems: tuple[ParameterProblem, ...]


class EventsAccepted(Model):
    """The result of a batch."""

    accepted: Annotated[int, Field(ge=1, description="How many were queued. They are stored in seconds.")]
    rejected: tuple[RejectedEvent, ...]


@dataclass(frozen=True)
class EventQueue:
    """The queue of valid events."""

    producer: Celery
    name: str

    @classmethod
    def of(cls, settings: QuerySettings) -> EventQueue:
        """Create the queue of the settings. Nothing is sent yet."""
        stamp_messages()
        producer = Celery("nitamono-api", broker=settings.redis_url, set_as_current=False)
        producer.conf.update(
            task_serializer="json",
            task_ignore_result=True,
            broker_transport_options={
                "socket_connect_timeout": REDIS_TIMEOUT_S,
                "socket_timeout": REDIS_TIMEOUT_S,
                # Without it kombu connects again and again, for as long as Redis is away.
                "max_retries": 0,
            },
        )
        return cls(producer, event_queue(settings.elasticsearch.prefix))

    def put(self, events: Sequence[Event]) -> None:
        """Queue the events as one message.

        Raises:
            QueueUnavailable: Redis did not accept it in time.
        """
        messages = [event.to_message() for event in events]
        try:
            self._send(messages)
        except OperationalError:  # perhaps a connection from before a restart of Redis
            try:
                self._send(messages)
            except OperationalError as error:
                raise QueueUnavailable(
                    "the queue of events does not answer; send them again later, under the same event ids"
                ) from error

    def _send(self, messages: Sequence[Any]) -> None:
        self.producer.send_task(STORE_EVENTS, args=[messages], queue=self.name, retry=False)


def add_events(app: Flask, settings: QuerySettings) -> None:
    """Add the route that accepts events."""
    queue = EventQueue.of(settings)

    @app.post("/v1/events")
    def events_route() -> Response:
        if settings.user_salt is None:
            raise EventsOff("events are off: the server has no NITAMONO_USER_SALT to hash user ids with")
        body = _body(json_bytes(request, MAX_BYTES))
        try:
            answer = take(_batch(body), settings.user_salt, queue)
        except RecursionError as error:
            raise _misshapen(
                "events", "events_too_deep", "a thousand levels of nesting", "a flat list"
            ) from error
        return Response(answer.model_dump_json(), HTTPStatus.ACCEPTED, mimetype="application/json")


def take(batch: Sequence[Any], salt: str, queue: EventQueue) -> EventsAccepted:
    """Queue the valid events of the batch and return what became of all of them.

    Raises:
        NoValidEvent: none is valid.
        QueueUnavailable: none was queued.
    """
    events, invalid = sorted_out(batch, salt, datetime.now(UTC))
    _log_refused(_reason(problem) for error in invalid.values() for problem in error.problems)
    if not events:
        raise NoValidEvent(tuple(_all_problems(invalid)))
    queue.put(events)
    return EventsAccepted(
        accepted=len(events), rejected=tuple(_rejected(index, error) for index, error in invalid.items())
    )


def sorted_out(
    batch: Sequence[Any], salt: str, now: datetime
) -> tuple[list[Event], Mapping[int, InvalidEvent]]:
    """Sort a batch into its valid events and, by index, the errors of the others.

    now: the time of events that have none.
    """
    events: list[Event] = []
    invalid: dict[int, InvalidEvent] = {}
    for index, data in enumerate(batch):
        try:
            events.append(parse_event(_timed(data, now), salt=salt, now=now))
        except InvalidEvent as error:
            invalid[index] = error
    return events, invalid


def _timed(data: Any, now: datetime) -> Any:
    """The event, with its time of arrival where it has none: not every sender's clock is right."""
    return {"time": now.isoformat(), **data} if isinstance(data, dict) else data


def _rejected(index: int, error: InvalidEvent) -> RejectedEvent:
    problems = tuple(ParameterProblem.of(problem) for problem in error.problems)
    return RejectedEvent(index=index, event_id=error.id, problems=problems)


def _all_problems(invalid: Mapping[int, InvalidEvent]) -> Iterator[Problem]:
    for index, error in invalid.items():
        yield from (replace(problem, field=f"events[{index}].{problem.field}") for problem in error.problems)


def _body(data: bytes) -> Any:
    """The value of a request's body.

    Raises:
        NoValidEvent: it is not JSON.
    """
    try:
        return json.loads(data)
    except NOT_JSON as error:
        raise _misshapen("body", "invalid_json", not_json(error), _EXPECTED) from error


def _batch(body: Any) -> list[Any]:
    """The events of a request's body, not yet validated.

    Raises:
        NoValidEvent: it is not a list of at least one event.
        TooManyEvents
    """
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or not events:
        raise _misshapen("events", "events_missing", "no such list", _EXPECTED)
    if len(events) > MAX_EVENTS:
        _log_refused(["events_too_many"])
        raise TooManyEvents(f"{len(events):,} events in one request, expected at most {MAX_EVENTS}")
    return events


def _misshapen(field: str, reason: str, found: str, expected: str) -> NoValidEvent:
    """The error for a body that holds no events."""
    _log_refused([reason])
    return NoValidEvent((Problem(field, reason, found, expected),))


def _reason(problem: Problem) -> str:
    return problem.reason if problem.field in _FIELDS else "field_unknown"


def _log_refused(reasons: Iterable[str]) -> None:
    """Log the number of rejected events by reason, and nothing that came from the sender."""
    counts = sorted(Counter(reasons).items())
    if counts:
        logger.warning("events refused: %s", ", ".join(f"{count} {reason}" for reason, count in counts))

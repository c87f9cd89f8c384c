"""Validation of the messages on a queue before a worker processes them.

Redis holds whatever was pushed. Celery trusts it: a missing property, a body of another shape or an unknown
task ends a worker's main process or makes it drop the message. So each message is parsed here first, and
Celery gets only the canonical form of what was understood.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mappings.errors import ContractError
from mappings.json_problems import NOT_JSON, not_json
from mappings.listing import Instant, isoformat
from mappings.problems import form
from queues.lanes import LIVE, list_of
from queues.origin import Origin

MALFORMED: Final = "message_malformed"
TOO_LARGE: Final = "message_too_large"
EXPIRED: Final = "message_expired"
TOO_LATE: Final = "eta_too_late"
UNKNOWN_TASK: Final = "task_unknown"
INVALID_ARGUMENTS: Final = "arguments_invalid"
"""The reason codes of refused messages."""

MOST_BYTES: Final = 64 * 2**20
"""A chunk of a thousand listings with twenty photo references each has at most about 40 MB."""

MOST_DEPTH: Final = 200
"""Levels of nesting. Celery pickles the arguments for its processes, and pickle recurses with each."""

PLAIN_JSON: Final = "application/x-plain-json"
"""The content type of the canonical form. kombu's decoder for JSON would make Python objects of
`{"__type__": …, "__value__": …}`, or refuse the whole message."""

MOST_ENTRIES: Final = 10_000
"""Events or ids in one message."""


class MessageRefused(ContractError):
    """A message that no worker can process. `reason` is a stable code for counts and lists."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Arguments(BaseModel):
    """The arguments of a task, in the order of its parameters."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


Tasks = Mapping[str, type[Arguments]]
"""The arguments of each task of a queue."""

Entries = Annotated[list[Any], Field(max_length=MOST_ENTRIES)]
"""Events or ids. Each is validated by itself later, so that an invalid one does not reject the others."""


def bind(arguments: type[Arguments], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Validate the arguments of a call.

    Raises:
        MessageRefused: with every problem found.
    """
    names = list(arguments.model_fields)
    given: dict[str, Any] = dict(zip(names, args, strict=False))
    repeated = given.keys() & kwargs.keys()
    if len(args) > len(names) or repeated:
        found = f"{len(args)} in order and {', '.join(map(_name, sorted(kwargs))) or 'none'} by name"
        raise MessageRefused(INVALID_ARGUMENTS, f"arguments: found {found}, expected {', '.join(names)}")
    try:
        return arguments.model_validate({**given, **kwargs})
    except ValidationError as error:
        # Its own text repeats names from the message, and Celery logs the traceback.
        raise MessageRefused(INVALID_ARGUMENTS, _problems(error)) from None


@dataclass(frozen=True)
class TaskMessage:
    """A call of a task in a message."""

    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    retries: int = 0
    eta: datetime | None = None
    priority: int = LIVE
    """That of the list which the message came from, or goes to."""
    wants_result: bool = True
    """Whether the task's result is stored. A sender that passes `ignore_result=True` wants none."""
    origin: Origin = field(default_factory=Origin.here)

    def list_in(self, queue: str) -> str:
        """Return the key of the list of a queue that the message belongs to."""
        return list_of(queue, self.priority)

    def to_bytes(self, queue: str, delivery_tag: str | None = None) -> bytes:
        """Return the message in Celery's protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html).

        The delivery tag is new unless one is given: two messages with one tag would overwrite each other
        among the unacknowledged ones. The route is this queue, so a restored message cannot go elsewhere.
        """
        body = json.dumps([self.args, self.kwargs, {}]).encode()
        headers = {
            "lang": "py",
            "task": self.task,
            "id": self.id,
            "root_id": self.id,
            "parent_id": None,
            "group": None,
            "retries": self.retries,
            "eta": self.eta and isoformat(self.eta),
            "expires": None,
            "timelimit": [None, None],
            "ignore_result": not self.wants_result,
            "argsrepr": "[…]",
            "kwargsrepr": "{…}",
            **self.origin.to_headers(),
        }
        properties = {
            "correlation_id": self.id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": self.priority,
            "body_encoding": "base64",
            "delivery_tag": delivery_tag or str(uuid.uuid4()),
        }
        envelope = {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": PLAIN_JSON,
            "headers": headers,
            "properties": properties,
        }
        return json.dumps(envelope).encode()


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Properties(_Part):
    body_encoding: Literal["base64"]


class _Id(_Part):
    # It becomes part of Redis keys and log lines.
    id: Annotated[
        str,
        StringConstraints(pattern=r"^[!-~]{1,255}$"),
        form("Input should be 1 to 255 characters of ASCII without spaces"),
    ]


class _Identified(_Part):
    headers: _Id


class _Headers(_Id):
    task: str
    retries: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    eta: Instant | None = None
    expires: Instant | None = None
    ignore_result: Any = None
    # Anything: what only logs and metrics use never makes a message invalid.
    traceparent: Any = None
    enqueued_at: Any = None


class _Envelope(_Part):
    body: str
    content_type: Annotated[
        Literal["application/json", "application/x-plain-json"], Field(alias="content-type")
    ]
    content_encoding: Annotated[Literal["utf-8", "us-ascii"], Field(alias="content-encoding")]
    headers: _Headers
    properties: _Properties


def parse_message(
    raw: bytes,
    tasks: Tasks,
    *,
    longest_wait: timedelta,
    priority: int = LIVE,
    now: datetime | None = None,
    replayed: bool = False,
) -> TaskMessage:
    """Parse the call in a message. A replayed message neither expires nor waits.

    priority: that of the list which the message was in; what the message says of itself does not count.

    Raises:
        MessageRefused: with the reason code and what is wrong.
    """
    if len(raw) > MOST_BYTES:
        raise MessageRefused(TOO_LARGE, f"found {len(raw):,} bytes, expected at most {MOST_BYTES:,}")
    envelope = _envelope(raw)
    headers = envelope.headers
    if not replayed:
        _check_times(headers, now or datetime.now(UTC), longest_wait)
    if headers.task not in tasks:
        raise MessageRefused(
            UNKNOWN_TASK, f"task: found {_name(headers.task)}, expected one of {', '.join(sorted(tasks))}"
        )
    args, kwargs = _call(envelope)
    bind(tasks[headers.task], args, kwargs)
    eta = None if replayed else headers.eta
    wants_result = headers.ignore_result is not True
    origin = Origin.of(headers.traceparent, headers.enqueued_at)
    return TaskMessage(
        headers.task, args, kwargs, headers.id, headers.retries, eta, priority, wants_result, origin
    )


def _envelope(raw: bytes) -> _Envelope:
    found = _json(raw, "message")
    expected = "expected a Celery message: protocol 2, JSON in UTF-8, the body in base64"
    if not isinstance(found, dict):
        raise MessageRefused(MALFORMED, f"message: found {kind(found)}, {expected}")
    try:
        return _Envelope.model_validate(found)
    except ValidationError as error:
        raise MessageRefused(MALFORMED, f"{_problems(error)}; {expected}") from None  # as in `bind`


def _check_times(headers: _Headers, now: datetime, longest_wait: timedelta) -> None:
    if headers.expires is not None and headers.expires <= now:
        raise MessageRefused(EXPIRED, f"expired at {isoformat(headers.expires)}, found at {isoformat(now)}")
    if headers.eta is not None and headers.eta > now + longest_wait:
        # Its worker would hold it beyond the visibility timeout, and another worker would get it too.
        raise MessageRefused(TOO_LATE, f"eta {isoformat(headers.eta)}, expected within {longest_wait}")


def _call(envelope: _Envelope) -> tuple[list[Any], dict[str, Any]]:
    try:
        decoded = base64.b64decode(envelope.body, validate=True)
    except ValueError as error:
        found = f"{len(envelope.body):,} characters"
        raise MessageRefused(MALFORMED, f"body: found {found}, expected base64") from error
    match _json(decoded, "body"):
        case [list(args), dict(kwargs), (dict() | None) as embed]:
            pass
        case other:
            raise MessageRefused(
                MALFORMED,
                f"body: found {kind(other)}, expected [args, kwargs, embed], a list and two objects",
            )
    if embed and any(embed.values()):
        raise MessageRefused(
            MALFORMED,
            f"embed: found {', '.join(map(_name, embed))}, expected no callbacks, errbacks, chain or chord",
        )
    return args, kwargs


def task_id_in(raw: bytes) -> str | None:
    """Return the task id of a message that may be invalid otherwise; None if it cannot be read."""
    try:
        return None if len(raw) > MOST_BYTES else _Identified.model_validate(_json(raw, "message")).headers.id
    except (MessageRefused, ValidationError):
        return None


def _json(data: bytes, name: str) -> Any:
    try:
        found = json.loads(data.decode("utf-8"))
    except NOT_JSON as error:
        problem = f"found {not_json(error)}, expected JSON in UTF-8"
        raise MessageRefused(MALFORMED, f"{name}: {problem}") from error
    if is_deeper(found, MOST_DEPTH):
        raise MessageRefused(MALFORMED, f"{name}: found more than {MOST_DEPTH} levels of nesting")
    return found


def is_deeper(value: Any, depth: int) -> bool:
    """Return whether lists and objects nest deeper than `depth`."""
    level: list[list[Any] | dict[str, Any]] = [[value]]
    for _ in range(depth + 1):
        children = (child for node in level for child in (node.values() if isinstance(node, dict) else node))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _problems(error: ValidationError) -> str:
    """Return `headers.id: Field required, found an object` for each problem."""
    return "; ".join(
        f"{'.'.join(map(_name, detail['loc']))}: {detail['msg']}, found {kind(detail['input'])}"
        for detail in error.errors(include_url=False)
    )


def kind(value: object) -> str:
    """Return the kind of a decoded value. Its content may be personal data, which details and logs omit."""
    return _KINDS.get(type(value), type(value).__name__)


_KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _name(part: object) -> str:
    """Return a name from a message if it looks like one: keys can hold personal data as well as values."""
    return str(part) if re.fullmatch(r"[\w.-]{1,64}", str(part), re.ASCII) else "(another name)"

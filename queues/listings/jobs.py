"""Jobs: what became of each item of a request, kept in Redis for an hour."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Self

import redis
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from redis.client import Pipeline

from console.text import cut
from mappings.problems import form
from queues.listings.outcomes import OutcomeKind, ToldOutcome
from queues.messages import MOST_ENTRIES

JOB_EXPIRES_S: Final = 3600
"""After its last change. Long enough to ask for it, short enough not to fill Redis."""

MOST_DETAIL: Final = 300
_HEAD: Final = "job"

JobId = Annotated[
    str, StringConstraints(pattern="^[0-9a-f]{32}$"), form("Input should be 32 hex digits in lower case")
]


class JobPart(BaseModel):
    """The events of a message as part of a job: their positions in it, in the order of the events."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: JobId
    positions: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, le=MOST_ENTRIES)], ...],
        Field(max_length=MOST_ENTRIES, min_length=1, strict=False),
    ]

    def without(self, settled: Iterable[int]) -> Self | None:
        """Return the part of the events that remain, given the indices of the settled ones; None if none
        remains."""
        gone = set(settled)
        rest = tuple(position for index, position in enumerate(self.positions) if index not in gone)
        return self.model_copy(update={"positions": rest}) if rest else None

    def to_json(self) -> dict[str, Any]:
        """Return the part as an argument of a task."""
        return {"id": self.id, "positions": list(self.positions)}


@dataclass(frozen=True)
class Job:
    """A request with its items, in their order."""

    id: str
    created_at: str
    outcomes: tuple[ToldOutcome | None, ...]
    """None: the item is queued, or a worker has it."""
    item_ids: tuple[str | None, ...]

    @property
    def is_done(self) -> bool:
        """Whether each item has an outcome."""
        return None not in self.outcomes


@dataclass(frozen=True)
class Jobs:
    """The jobs of a queue: each is a Redis hash of a head and what workers reported, message by message."""

    client: redis.Redis
    queue: str

    def create(
        self,
        pipe: Pipeline,
        job_id: str,
        created_at: str,
        item_ids: Sequence[str | None],
        rejected: Mapping[int, ToldOutcome],
    ) -> None:
        """Add a job to the commands of a pipeline.

        rejected: the outcome of the items that are not queued, by position.
        """
        head = {"created_at": created_at, "item_ids": list(item_ids), "rejected": _compact(rejected)}
        pipe.hset(self._key(job_id), _HEAD, json.dumps(head))
        pipe.expire(self._key(job_id), JOB_EXPIRES_S)

    def report(self, pipe: Pipeline, part: JobPart, outcomes: Mapping[int, ToldOutcome]) -> None:
        """Add the outcomes of events to the commands of a pipeline.

        outcomes: by index in the message. A message that is delivered again reports in the same place.
        """
        if not outcomes:
            return
        of_job = {part.positions[index]: outcome for index, outcome in outcomes.items()}
        pipe.hset(self._key(part.id), _place(part), json.dumps(_compact(of_job)))
        pipe.expire(self._key(part.id), JOB_EXPIRES_S)

    def read(self, job_id: str) -> Job | None:
        """Return a job, or None if it is unknown or has expired.

        Raises:
            RedisError: Redis does not answer.
        """
        stored: Any = self.client.hgetall(self._key(job_id))
        parts = {name.decode(): json.loads(value) for name, value in stored.items()}
        head = parts.pop(_HEAD, None)
        if head is None:
            return None
        found = _expanded(head["rejected"])
        for part in parts.values():
            found |= _expanded(part)
        item_ids = tuple(head["item_ids"])
        outcomes = (
            replace(found[position], item_id=item_id) if position in found else None
            for position, item_id in enumerate(item_ids)
        )
        return Job(job_id, head["created_at"], tuple(outcomes), item_ids)

    def _key(self, job_id: str) -> str:
        return f"{self.queue}:job:{job_id}"


def _compact(outcomes: Mapping[int, ToldOutcome]) -> dict[str, list[int] | list[list[Any]]]:
    """Return the outcomes as JSON: the positions of each kind, or each with its reason and detail."""
    compact: dict[str, Any] = {}
    for position, each in outcomes.items():
        entry = [position, each.reason, cut(each.detail, MOST_DETAIL) if each.detail else None]
        compact.setdefault(each.outcome.value, []).append(entry if each.reason else position)
    return compact


def _expanded(compact: Mapping[str, Sequence[int | Sequence[Any]]]) -> dict[int, ToldOutcome]:
    found: dict[int, ToldOutcome] = {}
    for kind, entries in compact.items():
        for entry in entries:
            position, reason, detail = (entry, None, None) if isinstance(entry, int) else entry
            found[position] = ToldOutcome(OutcomeKind(kind), reason=reason, detail=detail)
    return found


def _place(part: JobPart) -> str:
    """Return where the outcomes of a message are reported: its later attempts have fewer positions, and so
    another place."""
    return f"{part.positions[0]}:{len(part.positions)}"

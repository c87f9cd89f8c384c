"""The outcomes of listing events, and the Redis stream that tells producers of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.client import Pipeline


class OutcomeKind(StrEnum):
    """The kinds of outcome of an event."""

    INDEXED = "indexed"
    WITHOUT_VECTOR = "indexed_without_vector"
    UNCHANGED = "unchanged"
    OUTDATED = "outdated"
    REJECTED = "rejected"


@dataclass(frozen=True)
class ToldOutcome:
    """The outcome of an event as its producer is told, with the fields of the event that name it."""

    outcome: OutcomeKind
    item_id: str | None = None
    updated_at: str | None = None
    reason: str | None = None
    """The reason code of a rejected event, or of one without a vector."""
    detail: str | None = None


@dataclass(frozen=True)
class OutcomeStream:
    """The stream of the outcomes of a deployment. Each entry is of one event."""

    queue: str
    length: int
    """About how many entries are kept; 0 turns the stream off."""

    @property
    def key(self) -> str:
        """The Redis key of the stream."""
        return f"{self.queue}:outcomes"

    def add(
        self, pipe: Pipeline, outcomes: Iterable[ToldOutcome], encoder_id: str, encoder_ids: Sequence[str]
    ) -> None:
        """Add an entry for each outcome to the commands of a pipeline. Absent fields are left out.

        An event that is delivered again has a second entry: consumers see each outcome at least once.

        encoder_id: the worker's own. encoder_ids: those of all indices that the events are in now, but for
            rejected ones.
        """
        if not self.length:
            return
        for each in outcomes:
            written = None if each.outcome is OutcomeKind.REJECTED else ",".join(encoder_ids) or None
            fields = {
                "item_id": each.item_id,
                "outcome": each.outcome.value,
                "updated_at": each.updated_at,
                "reason": each.reason,
                "detail": each.detail,
                "encoder_id": encoder_id,
                "encoder_ids": written,
            }
            given: dict[Any, Any] = {name: value for name, value in fields.items() if value is not None}
            pipe.xadd(self.key, given, maxlen=self.length, approximate=True)

"""The closing account: given = indexed + indexed without a vector + unchanged + older + rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field


class Verdict(StrEnum):
    """What became of an event."""

    INDEXED = "indexed"
    WITHOUT_VECTOR = "indexed_without_vector"
    UNCHANGED = "unchanged"
    OLDER = "older"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Outcome:
    """The verdict on one event, and the reason code where it was rejected or has no vector."""

    verdict: Verdict
    reason: str | None = None


INDEXED = Outcome(Verdict.INDEXED)
UNCHANGED = Outcome(Verdict.UNCHANGED)
OLDER = Outcome(Verdict.OLDER)


def rejected(reason: str) -> Outcome:
    """The outcome of an event that is not indexed, for this reason."""
    return Outcome(Verdict.REJECTED, reason)


def without_vector(reason: str) -> Outcome:
    """The outcome of an event whose document is written, but whose photo cannot be used for this reason."""
    return Outcome(Verdict.WITHOUT_VECTOR, reason)


Count = Annotated[int, Field(strict=True, ge=0, le=10**12)]
Reasons = Annotated[
    Mapping[Annotated[str, Field(strict=True, max_length=200)], Count], Field(max_length=1_000)
]


@dataclass(frozen=True)
class Account:
    """How many events had which outcome. Adding two accounts gives the account of both."""

    # What pydantic expects of an account in a message; building one here checks nothing.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    indexed: Count = 0
    unchanged: Count = 0
    older: Count = 0
    rejected: Reasons = field(default_factory=dict)
    """Events that were not indexed, by reason. Their status and price are applied where they are valid."""
    without_vector: Reasons = field(default_factory=dict)
    """Events by reason whose document was written without a vector."""

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """The account of these outcomes."""
        counts = Counter(outcomes)
        return cls(
            counts[INDEXED],
            counts[UNCHANGED],
            counts[OLDER],
            _reasons(counts, Verdict.REJECTED),
            _reasons(counts, Verdict.WITHOUT_VECTOR),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Self:
        """The account that `to_json` gave; an empty one for None."""
        fields = dict(data or {})
        fields.pop("given", None)
        return cls(**fields)

    @property
    def given(self) -> int:
        """The number of events in the account."""
        return self.indexed + self.unchanged + self.older + self.failed

    @property
    def failed(self) -> int:
        """The number of events that were rejected or whose document has no vector: each has a dead letter."""
        return sum(self.rejected.values()) + sum(self.without_vector.values())

    def to_json(self) -> dict[str, Any]:
        """`{"given": n, "indexed": n, "without_vector": {reason: n}, "unchanged": n, "older": n,
        "rejected": {reason: n}}`."""
        return {
            "given": self.given,
            "indexed": self.indexed,
            "without_vector": dict(sorted(self.without_vector.items())),
            "unchanged": self.unchanged,
            "older": self.older,
            "rejected": dict(sorted(self.rejected.items())),
        }

    def __add__(self, other: Account) -> Account:
        """The account of both."""
        return Account(
            self.indexed + other.indexed,
            self.unchanged + other.unchanged,
            self.older + other.older,
            Counter(self.rejected) + Counter(other.rejected),
            Counter(self.without_vector) + Counter(other.without_vector),
        )

    def __str__(self) -> str:
        """`9 given = 5 indexed + 1 indexed without a vector + …`, then a line for each reason."""
        head = (
            f"{self.given:,} given = {self.indexed:,} indexed "
            f"+ {sum(self.without_vector.values()):,} indexed without a vector "
            f"+ {self.unchanged:,} unchanged + {self.older:,} older "
            f"+ {sum(self.rejected.values()):,} rejected"
        )
        return "\n".join(
            [
                head,
                *_lines("indexed without a vector", self.without_vector),
                *_lines("rejected", self.rejected),
            ]
        )


def _reasons(counts: Mapping[Outcome, int], verdict: Verdict) -> dict[str, int]:
    return {o.reason or "unknown": n for o, n in counts.items() if o.verdict is verdict}


def _lines(title: str, reasons: Mapping[str, int]) -> list[str]:
    """A line for each reason, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return [f"  {title} {count:,}: {reason}" for reason, count in ordered]

"""The closing account: given = indexed + unchanged + older + rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Verdict(StrEnum):
    """What became of an event."""

    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    OLDER = "older"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Outcome:
    """The verdict on one event, and the reason code where it was rejected."""

    verdict: Verdict
    reason: str | None = None


INDEXED = Outcome(Verdict.INDEXED)
UNCHANGED = Outcome(Verdict.UNCHANGED)
OLDER = Outcome(Verdict.OLDER)


def rejected(reason: str) -> Outcome:
    """The outcome of an event that is set aside under a reason code."""
    return Outcome(Verdict.REJECTED, reason)


@dataclass(frozen=True)
class Account:
    """How many events had which outcome. Adding two accounts gives the account of both."""

    indexed: int = 0
    unchanged: int = 0
    older: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """The account of these outcomes."""
        counts = Counter(outcomes)
        reasons = {o.reason or "unknown": n for o, n in counts.items() if o.verdict is Verdict.REJECTED}
        return cls(counts[INDEXED], counts[UNCHANGED], counts[OLDER], reasons)

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Self:
        """The account that `to_json` gave; an empty one for None."""
        fields = dict(data or {})
        fields.pop("given", None)
        return cls(**fields)

    @property
    def given(self) -> int:
        """The number of events in the account."""
        return self.indexed + self.unchanged + self.older + sum(self.rejected.values())

    def to_json(self) -> dict[str, Any]:
        """`{"given": n, "indexed": n, "unchanged": n, "older": n, "rejected": {reason: n}}`."""
        return {
            "given": self.given,
            "indexed": self.indexed,
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
        )

    def __str__(self) -> str:
        """`30 given = 20 indexed + 0 unchanged + 0 older + 10 rejected`, then a line for each reason."""
        total = sum(self.rejected.values())
        head = (
            f"{self.given:,} given = {self.indexed:,} indexed + {self.unchanged:,} unchanged "
            f"+ {self.older:,} older + {total:,} rejected"
        )
        reasons = sorted(self.rejected.items(), key=lambda item: (-item[1], item[0]))
        return "\n".join([head, *(f"  rejected {n:,}: {reason}" for reason, n in reasons)])

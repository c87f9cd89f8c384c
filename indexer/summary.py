"""The outcome of an event, and the summary of many: how many were indexed, unchanged, outdated, rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field

from console.counts import count_of
from console.text import cut
from mappings.problems import printable
from mappings.remedies import remedy
from queues.listings.outcomes import OutcomeKind

Example = tuple[
    Annotated[str, Field(strict=True, max_length=700)], Annotated[str, Field(strict=True, max_length=400)]
]
"""The row of an event, or its item id, and what is wrong with it."""


@dataclass(frozen=True)
class EventOutcome:
    """The outcome of an event, with the reason code if it was rejected or has no vector."""

    kind: OutcomeKind
    reason: str | None = None
    example: Example | None = field(default=None, compare=False)
    """The event's item id and what is wrong with it."""


INDEXED = EventOutcome(OutcomeKind.INDEXED)
UNCHANGED = EventOutcome(OutcomeKind.UNCHANGED)
OUTDATED = EventOutcome(OutcomeKind.OUTDATED)


def rejected(reason: str) -> EventOutcome:
    """Return the outcome of an event that is not indexed."""
    return EventOutcome(OutcomeKind.REJECTED, reason)


def without_vector(reason: str) -> EventOutcome:
    """Return the outcome of an event whose document is written, but whose photo cannot be used."""
    return EventOutcome(OutcomeKind.WITHOUT_VECTOR, reason)


Count = Annotated[int, Field(strict=True, ge=0, le=10**12)]
Reasons = Annotated[
    Mapping[Annotated[str, Field(strict=True, max_length=200)], Count], Field(max_length=1_000)
]


@dataclass(frozen=True)
class IndexingSummary:
    """The number of events by outcome. Summaries can be added."""

    # For pydantic, which validates a summary in a message; the constructor validates nothing.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    indexed: Count = 0
    unchanged: Count = 0
    outdated: Count = 0
    """Events that are older than the stored listing, or than another event of the same chunk."""
    rejected: Reasons = field(default_factory=dict)
    """By reason, events that were not indexed. A valid status and price are applied all the same."""
    without_vector: Reasons = field(default_factory=dict)
    """By reason, events whose document was written without a vector."""
    examples: Annotated[
        Mapping[Annotated[str, Field(strict=True, max_length=200)], Sequence[Example]],
        Field(max_length=1_000),
    ] = field(default_factory=dict, compare=False)
    """By reason, the first of the events that were rejected or have no vector."""

    @classmethod
    def of(cls, outcomes: Iterable[EventOutcome]) -> Self:
        """Return the summary of the outcomes."""
        outcomes = list(outcomes)
        counts = Counter(outcomes)
        examples = [{each.reason or "unknown": [each.example]} for each in outcomes if each.example]
        return cls(
            counts[INDEXED],
            counts[UNCHANGED],
            counts[OUTDATED],
            _reasons(counts, OutcomeKind.REJECTED),
            _reasons(counts, OutcomeKind.WITHOUT_VECTOR),
            first_of(*examples),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Self:
        """Return the summary that `to_json` returned; an empty one for None."""
        fields = dict(data or {})
        fields.pop("total", None)
        return cls(**fields)

    @property
    def total(self) -> int:
        """The number of all events."""
        return self.indexed + self.unchanged + self.outdated + self.failed

    @property
    def failed(self) -> int:
        """The number of events that were rejected or have no vector. Each has a dead letter."""
        return sum(self.rejected.values()) + sum(self.without_vector.values())

    def to_json(self) -> dict[str, Any]:
        """Return `{"total": n, "indexed": n, "without_vector": {reason: n}, "unchanged": n, "outdated": n,
        "rejected": {reason: n}, "examples": {reason: [["listings.csv line 7 (m7)", "price: …"]]}}`."""
        return {
            "total": self.total,
            "indexed": self.indexed,
            "without_vector": dict(sorted(self.without_vector.items())),
            "unchanged": self.unchanged,
            "outdated": self.outdated,
            "rejected": dict(sorted(self.rejected.items())),
            "examples": {reason: list(map(list, each)) for reason, each in sorted(self.examples.items())},
        }

    def __add__(self, other: IndexingSummary) -> IndexingSummary:
        """Return the sum of both."""
        return IndexingSummary(
            self.indexed + other.indexed,
            self.unchanged + other.unchanged,
            self.outdated + other.outdated,
            Counter(self.rejected) + Counter(other.rejected),
            Counter(self.without_vector) + Counter(other.without_vector),
            first_of(self.examples, other.examples),
        )

    def with_rows(self, rows: Mapping[str, str]) -> Self:
        """Return the summary with the rows of its examples, by item id."""
        examples = {
            reason: [(row_name(rows.get(item, ""), item), detail) for item, detail in each]
            for reason, each in self.examples.items()
        }
        return replace(self, examples=first_of(examples))

    def __str__(self) -> str:
        """Return `9 listings: 5 indexed, 4 rejected.`, then a line for each kind of failure with reasons."""
        counts = {
            "indexed": self.indexed,
            "indexed without a vector": sum(self.without_vector.values()),
            "unchanged": self.unchanged,
            "outdated": self.outdated,
            "rejected": sum(self.rejected.values()),
        }
        parts = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        lines = [f"{count_of(self.total, 'listing')}: {parts}." if parts else "0 listings."]
        if self.without_vector:
            lines.append(f"Indexed without a vector: {by_reason(self.without_vector)}. {NOT_IN_RESULTS}")
            lines += explained(self.without_vector, self.examples)
        if self.rejected:
            lines.append(f"Rejected: {by_reason(self.rejected)}. {NOT_INDEXED}")
            lines += explained(self.rejected, self.examples)
        return "\n".join(lines)


MAX_EXAMPLES = 3
MAX_DETAIL = 300


def first_of(*examples: Mapping[str, Sequence[Example]]) -> dict[str, tuple[Example, ...]]:
    """Return the first examples of each reason."""
    found: dict[str, tuple[Example, ...]] = {}
    for each in examples:
        for reason, rows in each.items():
            merged = (*found.get(reason, ()), *(_example(*each) for each in rows))
            found[reason] = merged[:MAX_EXAMPLES]
    return found


def row_name(location: str, item_id: str) -> str:
    """Return `shop.csv line 7 (m7)`; one of the two where the other is absent or the same."""
    if item_id in ("", location):
        return location
    return f"{location} ({item_id})" if location else item_id


def problem_in(detail: str) -> str:
    """Return what is wrong with an event, without its id and the rule by which its status is applied."""
    return detail.partition(" is not valid: ")[2] or detail


def _example(row: str, detail: str) -> Example:
    return printable(row[:300]), cut(printable(cut(detail, MAX_DETAIL)), MAX_DETAIL)


NOT_IN_RESULTS = (
    "Price and status are current, but they appear only in the category-based answers to items that have no "
    "vector."
)
NOT_INDEXED = "They are not indexed; a valid status and price still update a stored listing."


def _reasons(counts: Mapping[EventOutcome, int], kind: OutcomeKind) -> dict[str, int]:
    return {outcome.reason or "unknown": count for outcome, count in counts.items() if outcome.kind is kind}


def by_reason(reasons: Mapping[str, int]) -> str:
    """Return `31 (photo_gone 29, no_photo 2)`, the most frequent reason first."""
    listed = ", ".join(f"{reason} {reasons[reason]:,}" for reason in _by_frequency(reasons))
    return f"{sum(reasons.values()):,} ({listed})"


def explained(reasons: Mapping[str, int], examples: Mapping[str, Sequence[Example]]) -> Iterator[str]:
    """Yield lines with the first rows of each reason, and what to do about it."""
    for reason in _by_frequency(reasons):
        found = examples.get(reason, ())
        if found:
            yield f"  {reason}: {remedy(reason)}"
        yield from (f"    {row}: {detail}" for row, detail in found)


def _by_frequency(reasons: Mapping[str, int]) -> list[str]:
    return sorted(reasons, key=lambda reason: (-reasons[reason], reason))

"""What can be wrong with the contract: a listing, an index, a photo path, a connection."""

from __future__ import annotations

from dataclasses import dataclass


class ContractError(Exception):
    """Something breaks the contract between writer and reader."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one field: a stable reason code, and words for a person."""

    field: str
    reason: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}, expected {self.expected}"


class InvalidListing(ContractError):
    """A listing event breaks the schema. Every problem is named, not the first alone."""

    def __init__(self, item_id: str | None, problems: tuple[Problem, ...]) -> None:
        self.item_id = item_id
        self.problems = problems
        listed = "; ".join(str(problem) for problem in problems)
        super().__init__(f"listing {item_id or '(no id)'} is not valid: {listed}")

    @property
    def reason(self) -> str:
        """The reason code the event is counted under: its first problem's."""
        return self.problems[0].reason


class InvalidEvent(ContractError):
    """An event breaks the schema. Every problem is named, not the first alone."""

    def __init__(self, event_id: str | None, problems: tuple[Problem, ...]) -> None:
        self.event_id = event_id
        self.problems = problems
        listed = "; ".join(str(problem) for problem in problems)
        super().__init__(f"event {event_id or '(no id)'} is not valid: {listed}")

    @property
    def reason(self) -> str:
        """The reason code the event is counted under: its first problem's."""
        return self.problems[0].reason


class UnsafePhotoPath(ContractError):
    """A photo reference that must not, or can not, be read from this machine's disk."""

    def __init__(self, reference: str, reason: str, expected: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(f"photo {reference[:200]!r}: {reason}; expected {expected}")


class IndexMissing(ContractError):
    """No index behind a name, or none that is open."""


class MappingMismatch(ContractError):
    """An index was made for another encoder, dimension or schema than the process that opened it."""


class IndexInUse(ContractError):
    """An index cannot be dropped while an alias points at it."""


class SwapLosesListings(ContractError):
    """Far fewer listings could be found in the index that is to go live than in the one that is."""


class IndexExists(ContractError):
    """An index of that name was made already, within the same second."""


class InvalidIndexName(ContractError):
    """A name that is not `<prefix>-<encoder_id>-<YYYYMMDDHHMMSS>`."""


class InvalidSetting(ContractError):
    """An environment variable holds a value that cannot be used."""

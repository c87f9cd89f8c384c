"""Violations of the contract: by a listing, an event, an index, a photo path or a setting."""

from __future__ import annotations

from dataclasses import dataclass

from settings.errors import UserError


class ContractError(UserError):
    """A violation of the contract between writer and reader."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one field: a stable reason code, and words for a person."""

    field: str
    reason: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}, expected {self.expected}"


class SchemaViolation(ContractError):
    """An input does not match its schema. The message has every problem, not the first alone."""

    noun = "input"

    def __init__(self, id_: str | None, problems: tuple[Problem, ...]) -> None:
        self.id = id_
        self.problems = problems
        listed = "; ".join(str(problem) for problem in problems)
        super().__init__(f"{self.noun} {id_ or '(no id)'} is not valid: {listed}")

    @property
    def reason(self) -> str:
        """The reason code that the input is counted under: its first problem's."""
        return self.problems[0].reason


class InvalidListing(SchemaViolation):
    """A listing event that does not match the schema."""

    noun = "listing"


class InvalidEvent(SchemaViolation):
    """A shopping event that does not match the schema."""

    noun = "event"


class UnsafePhotoPath(ContractError):
    """A photo reference that must not, or cannot, be read from this machine's disk."""

    def __init__(self, reference: str, reason: str, expected: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(f"photo {reference[:200]!r}: {reason}; expected {expected}")


class IndexMissing(ContractError):
    """There is no index behind a name, or none that is open."""


class MappingMismatch(ContractError):
    """An index was created for another encoder, dimension or schema than this process has."""


class IndexInUse(ContractError):
    """An index cannot be dropped while an alias points at it."""


class SwapLosesListings(ContractError):
    """The index that is to go live has far fewer searchable listings than the live one."""


class IndexExists(ContractError):
    """An index of this name was created within the same second."""


class InvalidIndexName(ContractError):
    """An index name that is not `<prefix>-<encoder_id>-<YYYYMMDDHHMMSS>`."""

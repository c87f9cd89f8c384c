"""Violations of the contract by a listing, an event, an index, a photo path or a setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from settings.errors import UserError


class ContractError(UserError):
    """A violation of the contract between writer and reader."""


@dataclass(frozen=True)
class Problem:
    """A problem with a field: a stable reason code, what was found and what was expected."""

    field: str
    reason: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}, expected {self.expected}"

    def without_value(self) -> str:
        """Return the message without what was found, which may be personal data."""
        return f"{self.field}: expected {self.expected}"


@dataclass(frozen=True)
class UnknownField(Problem):
    """A field that the input cannot have; `expected` lists those it can have."""

    noun: ClassVar[str] = "field"

    def __str__(self) -> str:
        return f"Unknown {self.noun} `{self.field}`. Allowed: {self.expected or 'none'}"

    def without_value(self) -> str:
        """Return the message: it has no value."""
        return str(self)


class SchemaViolation(ContractError):
    """An input does not match its schema. The message lists all problems."""

    noun = "input"

    def __init__(self, id_: str | None, problems: tuple[Problem, ...]) -> None:
        self.id = id_
        self.problems = problems
        listed = "; ".join(str(problem) for problem in problems)
        super().__init__(f"{self.noun} {id_ or '(no id)'} is not valid: {listed}")

    @property
    def reason(self) -> str:
        """The reason code that the input is counted under: that of its first problem."""
        return self.problems[0].reason


class InvalidListing(SchemaViolation):
    """A listing event does not match the schema."""

    noun = "listing"


class InvalidEvent(SchemaViolation):
    """An interaction event does not match the schema."""

    noun = "event"


class UnsafePhotoPath(ContractError):
    """A photo reference must not, or cannot, be read from disk."""

    def __init__(self, reference: str, reason: str, expected: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(f"photo {reference[:200]!r}: {reason}; expected {expected}")


class IndexMissing(ContractError):
    """No open index exists with this name or alias."""


class MappingMismatch(ContractError):
    """An index was created for another encoder, dimension or schema version than those of this process."""


class IndexInUse(ContractError):
    """An index cannot be dropped while an alias points to it."""


class SwapLosesListings(ContractError):
    """The new index has far fewer searchable listings than the live one."""


class IndexExists(ContractError):
    """An index with this name exists: another one was created in the same second."""


class InvalidIndexName(ContractError):
    """An index name does not have the form `<prefix>-<encoder_id>-<YYYYMMDDHHMMSS>`."""


def failure_of(error: Exception) -> str:
    """Return what an error of reading a file or a document says, of which KeyError says the key alone."""
    if isinstance(error, KeyError):
        return f"`{error.args[0]}` is missing"
    return (isinstance(error, OSError) and error.strerror) or str(error)

"""Errors of a search. `query.api.failures` alone maps them to HTTP statuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mappings.errors import Problem, UnknownField
from settings.errors import ELASTICSEARCH, UserError


@dataclass(frozen=True)
class UnusableParameter(Problem):
    """A parameter with a value that cannot be used."""

    def __str__(self) -> str:
        return f"Parameter `{self.field}`: found {self.found}, expected {self.expected}."


@dataclass(frozen=True)
class UnknownParameter(UnknownField):
    """A parameter that the request cannot have; `expected` lists those it can have."""

    noun: ClassVar[str] = "parameter"

    def __str__(self) -> str:
        return f"{super().__str__()}."


class QueryError(UserError):
    """A request that cannot be answered."""


class UnknownItem(QueryError):
    """No listing with this id: it was never indexed, or its tombstone is gone."""

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        shown = item_id if len(item_id) <= 60 else f"{item_id[:60]}…"
        super().__init__(f"no listing {shown!r} in the index; check the id, or index the listing first")


class InvalidParameters(QueryError):
    """Request parameters that cannot be used; the message names all of them."""

    separator: ClassVar[str] = " "

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(self.separator.join(str(problem) for problem in problems))


class UnusableCursor(InvalidParameters):
    """A cursor that is of another request or index, has expired, or was changed."""


class NoLiveIndex(QueryError):
    """No index that can be read, although Elasticsearch answers."""


class SearchUnavailable(QueryError):
    """No answer from Elasticsearch, a late one, or one that is incomplete."""

    service = ELASTICSEARCH

"""The arguments of the indexer's tasks, checked before anything is done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from mappings.listing import CLOCK_SKEW, EARLIEST, Instant
from mappings.messages import Arguments, Entries

INDEX_TASK: Final = "indexer.index_listings"
REMOVE_TASK: Final = "indexer.remove_listings"


def _plausible(moment: datetime) -> datetime:
    latest = datetime.now(UTC) + CLOCK_SKEW
    if not EARLIEST <= moment <= latest:
        expected = f"from {EARLIEST} to {latest}"
        raise PydanticCustomError("moment", "Input should be a moment {expected}", {"expected": expected})
    return moment


Count = Annotated[int, Field(ge=0, le=10**12)]


class AccountArgument(BaseModel):
    """The account of the earlier attempts at a chunk, as `Account.to_json` gives it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    given: Count
    indexed: Count
    unchanged: Count
    older: Count
    rejected: Annotated[
        dict[Annotated[str, StringConstraints(max_length=200)], Count], Field(max_length=1_000)
    ]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.indexed + self.unchanged + self.older + sum(self.rejected.values())
        if self.given != total:
            raise PydanticCustomError("sum", "Input should add up to `given`")
        return self


class IndexArguments(Arguments):
    """Those of `index_listings`."""

    events: Entries
    account: AccountArgument | None = None


class RemoveArguments(Arguments):
    """Those of `remove_listings`."""

    item_ids: Entries
    at: Annotated[Instant, AfterValidator(_plausible)]


TASKS: Final[dict[str, type[Arguments]]] = {INDEX_TASK: IndexArguments, REMOVE_TASK: RemoveArguments}

"""The arguments of the indexer's tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from indexer.summary import IndexingSummary
from mappings.listing import CLOCK_SKEW, EARLIEST, Instant
from queues.messages import Arguments, Entries

INDEX_TASK: Final = "indexer.index_listings"
REMOVE_TASK: Final = "indexer.remove_listings"


def _plausible(moment: datetime) -> datetime:
    latest = datetime.now(UTC) + CLOCK_SKEW
    if not EARLIEST <= moment <= latest:
        expected = f"from {EARLIEST} to {latest}"
        raise PydanticCustomError("moment", "Input should be a moment {expected}", {"expected": expected})
    return moment


def _checked(found: object, parse: ValidatorFunctionWrapHandler) -> IndexingSummary:
    """Validate a summary as `IndexingSummary.to_json` writes it: `total` is the sum of the other counts."""
    fields = (
        {name: value for name, value in found.items() if name != "total"}
        if isinstance(found, dict)
        else found
    )
    summary: IndexingSummary = parse(fields)
    if not isinstance(found, dict) or found.get("total") != summary.total:
        raise PydanticCustomError("sum", "`summary.total` should be the sum of the other counts")
    return summary


SummaryArgument = Annotated[IndexingSummary, WrapValidator(_checked)]
"""The summary of the earlier attempts at a chunk. Its fields are those of `IndexingSummary` itself, so that a
retry carries whatever a worker counts."""


class IndexArguments(Arguments):
    """The arguments of `index_listings`."""

    events: Entries
    summary: SummaryArgument | None = None


class RemoveArguments(Arguments):
    """The arguments of `remove_listings`."""

    item_ids: Entries
    at: Annotated[Instant, AfterValidator(_plausible)]


TASKS: Final[dict[str, type[Arguments]]] = {INDEX_TASK: IndexArguments, REMOVE_TASK: RemoveArguments}

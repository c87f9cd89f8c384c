"""The arguments of the indexer's tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, ValidatorFunctionWrapHandler, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from indexer.summary import IndexingSummary
from indexer.worker.delivery import Delivery
from mappings.listing import CLOCK_SKEW, EARLIEST, Instant
from queues.listings.jobs import JobPart
from queues.listings.names import INDEX_TASK, REMOVE_TASK
from queues.messages import Arguments, Entries


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
    job: JobPart | None = None

    @model_validator(mode="after")
    def _a_position_for_each_event(self) -> Self:
        if self.job and len(self.job.positions) != len(self.events):
            raise PydanticCustomError("positions", "`job` should have a position for each event")
        return self


class RemoveArguments(Arguments):
    """The arguments of `remove_listings`."""

    item_ids: Entries
    at: Annotated[Instant, AfterValidator(_plausible)]


TASKS: Final[dict[str, type[Arguments]]] = {INDEX_TASK: IndexArguments, REMOVE_TASK: RemoveArguments}


def part_of(job: Any) -> JobPart | None:
    """Return the part of a job in the arguments of a task, which were validated."""
    return None if job is None else JobPart.model_validate(job)


def index_arguments(
    delivery: Delivery, summary: IndexingSummary, job: JobPart | None
) -> tuple[list[Any], dict[str, Any]] | tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Return the arguments of the next attempt at what remains of a message.

    summary: of all attempts so far.
    """
    arguments = (list(delivery.remaining), summary.to_json())
    rest = job and job.without(delivery.outcomes)
    return (*arguments, rest.to_json()) if rest else arguments

"""What the routes of listings in take and answer. The same models make the schemas of `/openapi.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mappings.listing import ListingId
from mappings.remedies import remedy_over_http
from query.api.parameters import Parameters
from query.api.responses import ListingProblem, Model
from queues.listings.jobs import Job
from queues.listings.outcomes import OutcomeKind, ToldOutcome
from queues.listings.status import IndexedAs, IndexingState, IndexingStatus, RejectedAs

MAX_ITEMS = 1_000

WAIT = "true answers after the outcome, where it is there within ten seconds."


class WriteParameters(Parameters):
    """Parameters of a request that writes a listing."""

    wait: Annotated[bool, Field(description=WAIT)] = False


class RemovalParameters(WriteParameters):
    """Parameters of the removal of a listing."""

    updated_at: Annotated[
        str | None, Field(max_length=64, description="When it was removed; without it, now.")
    ] = None


class WriteHeaders(Parameters):
    """Headers of a request that writes listings."""

    idempotency_key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            max_length=255,
            description="Chosen by the sender, such as a UUID. The same request with the same key has the "
            "same answer for a day, and is queued once.",
        ),
    ] = None


class JobPath(Parameters):
    """The job that a request is about."""

    job_id: Annotated[str, Field(description="Id of a job.")]


class ListingBody(Model):
    """A listing, as `/schemas/listing.json` has it, without `item_id` or with that of the path."""

    model_config = ConfigDict(extra="allow")

    item_id: ListingId | None = None
    updated_at: Annotated[
        str | None, Field(description="When this became true. Without it: the time of arrival.")
    ] = None


class ChangeBody(ListingBody):
    """Some fields of a listing; null clears one that may be absent."""


class ListingBatch(Model):
    """Listings, changes (`"op": "update"`), removals (`"op": "remove"`) and items to bring up to date
    (`"op": "refresh"`), in any order."""

    listings: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=MAX_ITEMS)]


class ItemOutcome(Model):
    """What became of one item of a request."""

    index: Annotated[int, Field(ge=0, description="Its place in the request, from 0.")]
    item_id: str | None
    outcome: Literal["queued"] | OutcomeKind
    reason: Annotated[str | None, Field(description="Why it was rejected or has no vector, as a code.")]
    detail: str | None
    remedy: Annotated[str | None, Field(description="What to do about it.")]

    @classmethod
    def of(cls, index: int, item_id: str | None, told: ToldOutcome | None) -> ItemOutcome:
        """The outcome of an item; None: it is queued or a worker has it."""
        return cls(
            index=index,
            item_id=item_id,
            outcome=told.outcome if told else "queued",
            reason=told.reason if told else None,
            detail=told.detail if told else None,
            remedy=remedy_over_http(told.reason) if told and told.reason else None,
        )


class JobAnswer(Model):
    """A job: whether it is done, and what became of each item."""

    job_id: str
    state: Literal["queued", "done"]
    created_at: str
    counts: Annotated[dict[str, int], Field(description="How many items have which outcome.")]
    items: tuple[ItemOutcome, ...]

    @classmethod
    def of(cls, job: Job) -> JobAnswer:
        """The answer for a job."""
        items = tuple(
            ItemOutcome.of(index, item_id, told)
            for index, (item_id, told) in enumerate(zip(job.item_ids, job.outcomes, strict=True))
        )
        counts: dict[str, int] = {}
        for item in items:
            counts[str(item.outcome)] = counts.get(str(item.outcome), 0) + 1
        return cls(
            job_id=job.id,
            state="done" if job.is_done else "queued",
            created_at=job.created_at,
            counts=counts,
            items=items,
        )


class RejectedItem(Model):
    """An item that is not queued, with all its problems."""

    index: Annotated[int, Field(ge=0, description="Its place in the request, from 0.")]
    item_id: str | None
    problems: tuple[ListingProblem, ...]


class WriteAccepted(Model):
    """A listing that is queued."""

    item_id: str
    updated_at: Annotated[str, Field(description="The place of this write among all of the item.")]
    state: Literal["queued"] = "queued"


class BatchAccepted(Model):
    """The job of a batch."""

    job_id: str
    accepted: Annotated[int, Field(ge=1, description="How many items are queued.")]
    rejected: tuple[RejectedItem, ...]


class NotUsedPhoto(Model):
    """A photo that could not be used, of an item that is found by its others."""

    photo: Annotated[int, Field(ge=0, description="Its place in `images`, from 0.")]
    reason: str
    detail: str
    remedy: str


class IndexedDocument(Model):
    """The stored document of an item."""

    status: str
    updated_at: str
    indexed_at: str
    encoder_id: str
    index: str
    has_vector: Annotated[bool, Field(description="Whether similar items are found by its photo.")]
    unused_photos: Annotated[
        tuple[NotUsedPhoto, ...],
        Field(description="Where several photos are searched: those that could not be used, and why."),
    ]

    @classmethod
    def of(cls, document: IndexedAs) -> IndexedDocument:
        """The document in a status."""
        return cls(
            status=document.status,
            updated_at=document.updated_at,
            indexed_at=document.indexed_at,
            encoder_id=document.encoder_id,
            index=document.index,
            has_vector=document.photo_problem is None and document.status != "removed",
            unused_photos=tuple(
                NotUsedPhoto(**asdict(each), remedy=remedy_over_http(each.reason))
                for each in document.unused_photos
            ),
        )


class IndexingProblem(Model):
    """Why the newest event of an item was rejected, or its photo not used."""

    reason: str
    detail: str
    failed_at: str
    remedy: str

    @classmethod
    def of(cls, problem: RejectedAs) -> IndexingProblem:
        """The problem in a status."""
        return cls(
            reason=problem.reason,
            detail=problem.detail,
            failed_at=problem.failed_at,
            remedy=remedy_over_http(problem.reason),
        )


class IndexingAnswer(Model):
    """Where an item is on its way into the index."""

    item_id: str
    state: IndexingState
    document: Annotated[IndexedDocument | None, Field(description="What is indexed now.")]
    problem: Annotated[
        IndexingProblem | None, Field(description="Of its newest event, or of its photo; null without one.")
    ]

    @classmethod
    def of(cls, status: IndexingStatus) -> IndexingAnswer:
        """The answer for a status."""
        return cls(
            item_id=status.item_id,
            state=status.state,
            document=IndexedDocument.of(status.document) if status.document else None,
            problem=IndexingProblem.of(status.problem) if status.problem else None,
        )

"""The operations of the API, as `/openapi.json` describes them."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from query.access.roles import Role
from query.api.events import EventBatch, EventsAccepted
from query.api.ingest.models import (
    BatchAccepted,
    ChangeBody,
    IndexingAnswer,
    JobAnswer,
    ListingBatch,
    ListingBody,
    RemovalParameters,
    WriteAccepted,
    WriteHeaders,
    WriteParameters,
)
from query.api.middleware.authorization import required_role
from query.api.parameters import ListingParameters, Parameters, UserHeader, VisitorParameters
from query.api.responses import (
    Health,
    ListingDetail,
    ListingPage,
    Readiness,
    SimilarAnswer,
)


@dataclass(frozen=True)
class Operation:
    """One operation of the API."""

    path: str
    operation_id: str
    summary: str
    answer: type[BaseModel]
    query: type[Parameters] | None = None
    errors: tuple[int, ...] = ()
    tag: str = "listings"
    headers: type[Parameters] | None = None
    body: type[BaseModel] | None = None
    """What is sent, by POST unless `verb` says otherwise; without one the operation is a GET."""
    body_types: tuple[str, ...] = ("application/json",)
    """The media types of the body. In those other than JSON each line is an item."""
    verb: str | None = None
    status: int = 200
    waited: type[BaseModel] | None = None
    """The answer, with status 200, to a request that waits."""
    revalidates: bool = False
    """Whether a client that has the answer already gets 304."""
    answer_without_key: type[BaseModel] | None = None
    """The answer to callers without the role read, where it is another."""

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return self.verb or ("POST" if self.body else "GET")

    @property
    def role(self) -> Role | None:
        """The role that it needs."""
        rule = self.path.replace("{item_id}", "<listing_id:item_id>").replace("{job_id}", "<job_id>")
        return required_role(self.method, rule)


def _write(verb: str, operation_id: str, summary: str, body: type[BaseModel] | None) -> Operation:
    return Operation(
        "/v1/listings/{item_id}",
        operation_id,
        summary,
        WriteAccepted,
        WriteParameters if body else RemovalParameters,
        (400, 422, 503, *((413, 415) if body else ())),
        tag="ingest",
        headers=WriteHeaders,
        body=body,
        verb=verb,
        status=202,
        waited=JobAnswer,
    )


INGEST_OPERATIONS = (
    _write("PUT", "put_listing", "Index a listing, or replace it", ListingBody),
    _write("PATCH", "patch_listing", "Change some fields of a listing", ChangeBody),
    _write("DELETE", "delete_listing", "Remove a listing", None),
    Operation(
        "/v1/listings:batch",
        "batch",
        "Take up to 1,000 listings, changes and removals as a job",
        BatchAccepted,
        WriteParameters,
        (400, 413, 415, 422, 503),
        tag="ingest",
        headers=WriteHeaders,
        body=ListingBatch,
        body_types=("application/json", "application/x-ndjson"),
        status=202,
        waited=JobAnswer,
    ),
    Operation(
        "/v1/jobs/{job_id}",
        "job",
        "What became of each item of a batch",
        JobAnswer,
        errors=(400, 404, 503),
        tag="ingest",
    ),
    Operation(
        "/v1/listings/{item_id}/indexing",
        "indexing",
        "Whether an item is queued, indexed, rejected or unknown",
        IndexingAnswer,
        errors=(400, 404, 503),
        tag="ingest",
    ),
)

OPERATIONS = (
    Operation(
        "/v1/listings/{item_id}/similar",
        "similar",
        "Items that look like one, are for sale, cost about as much and are of the same kind",
        SimilarAnswer,
        VisitorParameters,
        (400, 404, 503),
        headers=UserHeader,
        revalidates=True,
    ),
    Operation(
        "/v1/listings/{item_id}",
        "listing",
        "One listing",
        ListingDetail,
        errors=(400, 404, 503),
        revalidates=True,
    ),
    Operation(
        "/v1/listings",
        "listings",
        "Listings by the words of their titles, newest first",
        ListingPage,
        ListingParameters,
        (400, 503),
        revalidates=True,
    ),
    Operation(
        "/v1/events",
        "events",
        "Take impressions, taps, item views, purchases and complaints; user ids are hashed at once",
        EventsAccepted,
        errors=(400, 413, 415, 503),
        tag="events",
        body=EventBatch,
        status=202,
    ),
    *INGEST_OPERATIONS,
    Operation("/healthz", "healthz", "Whether the process runs", Health, tag="operation"),
    Operation(
        "/readyz",
        "readyz",
        "Whether Elasticsearch answers and an index is live",
        Readiness,
        errors=(401, 429, 503),
        tag="operation",
        answer_without_key=Health,
    ),
)

"""Elasticsearch as the commands and the worker of events use it: whole answers or one error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from elasticsearch import ApiError, Elasticsearch, TransportError

from experiments.errors import ExperimentError
from mappings.scan import Hit


class EventsUnavailable(ExperimentError):
    """Elasticsearch takes or gives no events now. None of it is the events' fault, so they wait."""


@contextmanager
def elasticsearch_errors() -> Iterator[None]:
    """Turns the client's errors into one.

    Raises:
        EventsUnavailable: no connection, no answer in time, or any refusal of a whole request.
    """
    try:
        yield
    except TransportError as error:
        raise EventsUnavailable(f"Elasticsearch does not answer: {error.message}") from error
    except ApiError as error:
        raise EventsUnavailable(f"Elasticsearch refuses: {error}") from error


def delete_as_read(es: Elasticsearch, hits: Sequence[Hit]) -> int:
    """How many of the hits were deleted; one that was written anew since it was read stays.

    Raises:
        EventsUnavailable: one could not be deleted for another reason.
    """
    if not hits:
        return 0
    operations = [
        {
            "delete": {
                "_index": hit["_index"],
                "_id": hit["_id"],
                "if_seq_no": hit["_seq_no"],
                "if_primary_term": hit["_primary_term"],
            }
        }
        for hit in hits
    ]
    results = [entry["delete"] for entry in es.bulk(operations=operations, refresh=True)["items"]]
    failed = [result for result in results if result["status"] not in {200, 404, 409}]
    if failed:
        raise EventsUnavailable(f"{len(failed):,} events could not be deleted: {failed[0].get('error')}")
    return sum(result["status"] == 200 for result in results)

"""Why an event was not processed, permanently or for now, and how answers of Elasticsearch are classified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

from elastic_transport import TransportError
from elasticsearch import ApiError

from mappings.errors import MappingMismatch
from settings.errors import ELASTICSEARCH, UserError

UNAVAILABLE: Final = "elasticsearch_unavailable"
DOCUMENT_REJECTED: Final = "document_rejected"
INDEX_MISSING: Final = "index_not_found_exception"
"""Elasticsearch's type of the error for an index or alias that does not exist."""

DOCUMENT_FAULTS: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
"""The statuses of a document that Elasticsearch will never accept (decision 141). Any other is a condition
that somebody ends: a full queue, a shard that moves, a write block, an index that was just dropped, a key
that expired."""


class Failure(UserError):
    """An event could not be processed. `reason` is a stable code for counts and lists."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class PermanentFailure(Failure):
    """A retry gives the same result: the event is counted as rejected and kept."""


class TransientFailure(Failure):
    """A later retry may succeed: the event waits."""


class DocumentRejected(PermanentFailure):
    """Elasticsearch rejects the document itself."""


class ElasticsearchUnavailable(TransientFailure):
    """Elasticsearch accepts no documents right now, whatever they contain."""

    service = ELASTICSEARCH


class VersionConflict(Failure):
    """The document is stored already, in this version or a newer one."""


def item_failure(result: Mapping[str, Any]) -> Failure | None:
    """Return why an item of a bulk response failed, or None.

    A deletion of a missing document has status 404, and no error.
    """
    status, error = result["status"], result.get("error")
    if error is None:
        return None
    if error.get("type") == INDEX_MISSING:
        return ElasticsearchUnavailable(
            UNAVAILABLE, f"no alias {error.get('index')}: its index was dropped; a retry looks it up again"
        )
    detail = f"{error.get('type')}: {error.get('reason')}"
    if status == HTTPStatus.CONFLICT:
        return VersionConflict("version_conflict", detail)
    if status not in DOCUMENT_FAULTS:
        return ElasticsearchUnavailable(UNAVAILABLE, detail)
    cause = error.get("caused_by", {}).get("reason")
    return DocumentRejected(DOCUMENT_REJECTED, f"{detail} ({cause})" if cause else detail)


@contextmanager
def elasticsearch_errors() -> Iterator[None]:
    """Raise the client's errors as ElasticsearchUnavailable.

    Raises:
        ElasticsearchUnavailable: no connection, no answer in time, or a whole request was refused. None of
            these is the events' fault, so they wait. So do those for an index whose mapping is wrong.
    """
    try:
        yield
    except TransportError as error:
        raise ElasticsearchUnavailable(UNAVAILABLE, f"no answer: {error.message}") from error
    except ApiError as error:
        raise ElasticsearchUnavailable(UNAVAILABLE, f"request refused: {error}") from error
    except MappingMismatch as error:
        raise ElasticsearchUnavailable(UNAVAILABLE, str(error)) from error

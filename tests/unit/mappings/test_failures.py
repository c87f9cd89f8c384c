"""What Elasticsearch answers decides whether an event waits or is rejected."""

from __future__ import annotations

import pytest

from mappings.failures import DocumentRejected, ElasticsearchUnavailable, VersionConflict, item_failure


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (409, VersionConflict),
        *((status, ElasticsearchUnavailable) for status in (401, 403, 404, 429, 500, 503)),
        (400, DocumentRejected),
        (413, DocumentRejected),
    ],
)
def test_each_answer_to_a_document_has_its_meaning(status: int, failure: type[Exception]) -> None:
    """Conflicts are older events; only of two answers the document is at fault; all else passes."""
    answer = {"status": status, "error": {"type": "t", "reason": "r", "caused_by": {"reason": "why"}}}

    assert type(item_failure(answer)) is failure
    assert item_failure({"status": 201}) is None
    assert item_failure({"status": 404, "result": "not_found"}) is None

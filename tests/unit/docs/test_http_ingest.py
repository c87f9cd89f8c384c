"""The page of listings over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

from query.api.failures import FAILURES
from query.api.openapi import openapi_document

PAGE = Path(__file__).parents[3] / "docs" / "http-ingest.md"


def test_the_table_has_each_status_that_is_an_error() -> None:
    """Those of the description, but for faults of the server's; each type is one that is sent."""
    rows = re.findall(r"^\| (\d{3}) \| (`[^|]*`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    paths = openapi_document()["paths"].values()
    ingest = [each for operations in paths for each in operations.values() if each["tags"] == ["ingest"]]
    described = {status for each in ingest for status in each["responses"] if status >= "400"}
    assert [status for status, _ in rows] == sorted(described - {"500"})
    types = {name for _, names in rows for name in re.findall(r"`(.*?)`", names)}
    assert types - {failure.type for failure in FAILURES.values()} == {"about:blank"}

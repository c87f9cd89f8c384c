"""`nitamono index` of a file in a bucket, with photos in the bucket, on real services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from tests.conftest import WorkerFactory
from tests.indexing import BLUE, Shop, photo_bytes, unit
from tests.s3_server import s3_server


def test_a_listing_of_a_bucket_is_indexed_with_its_photo_beside_it(
    es: Elasticsearch,
    index_prefix: str,
    tmp_path: Path,
    worker: WorkerFactory,
    elasticsearch_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The processes of the worker read the photos, those that an operator allowed."""
    shop = Shop.open(es, index_prefix, tmp_path)
    environ = shop.set_environ(
        monkeypatch, elasticsearch_url, redis_url, NITAMONO_PHOTO_BUCKETS="s3://shop/exports"
    )
    with s3_server() as s3:
        worker(**environ, **s3.environ)
        s3.put("exports/photos/m1.png", photo_bytes(BLUE))
        s3.put("private/m2.png", photo_bytes(BLUE))
        rows = [
            shop.event("m1", images=["photos/m1.png"]),
            shop.event("m2", images=["s3://shop/private/m2.png"]),
            shop.event("m3", images=["photos/none.png"]),
        ]
        file = s3.put("exports/listings.jsonl", "\n".join(map(json.dumps, rows)).encode())
        done = CliRunner().invoke(main, ["index", file, "--wait", "--json"])

    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (summary["indexed"], summary["without_vector"]) == (
        1,
        {"photo_bucket_not_allowed": 1, "photo_gone": 1},
    )
    assert summary["examples"]["photo_gone"][0][0] == "listings.jsonl line 3 (m3)"
    assert shop.documents()["m1"]["vector"] == pytest.approx(unit(BLUE), abs=0.01)

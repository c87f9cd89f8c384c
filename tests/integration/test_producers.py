"""The code on docs/producers.md, as it stands, on real services."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from elasticsearch import Elasticsearch

from tests.conftest import WorkerFactory
from tests.indexing import Shop

PAGE = Path(__file__).parents[2] / "docs" / "producers.md"


def blocks() -> list[str]:
    """Return the programs of the page."""
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(code: str, environ: dict[str, str]) -> str:
    """Return what a program prints that has nothing of nitamono."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environ
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        env=bare,
        capture_output=True,
        text=True,
        timeout=90,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_producers_of_the_page_index_what_they_send(
    es: Elasticsearch,
    index_prefix: str,
    tmp_path: Path,
    worker: WorkerFactory,
    elasticsearch_url: str,
    redis_url: str,
) -> None:
    """With Celery, then by bare JSON: a listing, its new price, its removal, its sale; each with a result."""
    shop = Shop.open(es, index_prefix, tmp_path)
    environ = shop.environ(elasticsearch_url, redis_url, NITAMONO_PHOTO_MAX_RETRIES="0")
    worker(**environ)
    in_python, in_any_language = blocks()

    printed = run(in_python, environ)
    assert re.fullmatch(r"0 \{'photo_\w+': 1\} \{\} \{'photo_\w+': .*\}", printed), printed
    sold = run(in_any_language, environ)
    assert re.match(r"SUCCESS \{'total': 1, 'indexed': 0, 'without_vector': \{'photo_\w+': 1\}", sold), sold
    document = shop.documents()["m10001"]
    assert (document["title"], document["price"], document["status"]) == ("Red wool skirt", 990, "sold_out")


FLOOD = """
listings = [listing | {"item_id": str(number)} for number in range(40)]
results = [producer.send_task("indexer.index_listings", args=[[each]]) for each in listings]
print(sum(result.get(timeout=20)["total"] for result in reversed(results)))
"""


def test_a_result_arrives_although_messages_are_gathered(
    es: Elasticsearch,
    index_prefix: str,
    tmp_path: Path,
    worker: WorkerFactory,
    elasticsearch_url: str,
    redis_url: str,
) -> None:
    """Celery's client listens for results, also for those of messages that another one's task processed."""
    shop = Shop.open(es, index_prefix, tmp_path)
    environ = shop.environ(elasticsearch_url, redis_url)
    worker(**environ)
    sending = blocks()[0].partition("result = producer")[0].replace('"images"', '"ignored"')

    assert run(sending + FLOOD, environ) == "40"

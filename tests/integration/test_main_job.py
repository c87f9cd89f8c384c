"""The main job, whole: a marketplace goes in through Celery and Redis, similar items come out of the API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from demo.contact_sheet import draw_contact_sheet, find_rows
from demo.marketplace.folder import write_marketplace
from mappings.client import ElasticsearchSettings
from mappings.identity import EncoderIdentity
from mappings.image_roots import ImageRoots
from mappings.lifecycle import ensure_live_index
from ml.artifact import DEFAULT_ARTIFACT
from query.api.app import create_app
from query.api.settings import QuerySettings
from tests.conftest import WorkerFactory

COUNT = 240
SIZE = 12
WIDEST_RATIO = 10  # of the ladder in docs/decisions; prices within it of the item's own can always be reached


@dataclass(frozen=True)
class Shop:
    """An indexed marketplace and the two ways to look at it."""

    events: dict[str, dict[str, Any]]
    summary: dict[str, Any]
    again: dict[str, Any]
    environ: dict[str, str]
    api: FlaskClient
    prefix: str
    roots: ImageRoots

    def similar(self, item_id: str) -> dict[str, Any]:
        answer = self.api.get(f"/v1/listings/{item_id}/similar?size={SIZE}&explain=true")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json
        return body


def nitamono(environ: dict[str, str], *arguments: str) -> Any:
    """What the installed command prints with --json, run as a person runs it."""
    command = [Path(sys.executable).with_name("nitamono"), *arguments, "--json"]
    done = subprocess.run(
        command, env=os.environ | environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def shop(
    tmp_path: Path,
    worker: WorkerFactory,
    elasticsearch_url: str,
    redis_url: str,
    index_prefix: str,
    es: Elasticsearch,
) -> Shop:
    """A small marketplace, indexed twice by `nitamono index` and a real worker."""
    write_marketplace(tmp_path / "shop", COUNT, seed=11, photo_size=160, processes=1)
    listings = tmp_path / "shop" / "listings.jsonl"
    environ = {
        "ELASTICSEARCH_URL": elasticsearch_url,
        "NITAMONO_REDIS_URL": redis_url,
        "NITAMONO_INDEX_PREFIX": index_prefix,
        "NITAMONO_IMAGE_ROOTS_FILE": str(tmp_path / "image-roots"),
    }
    ensure_live_index(es, index_prefix, EncoderIdentity.from_artifact(DEFAULT_ARTIFACT))
    worker(**environ)

    def index() -> dict[str, Any]:
        summary: dict[str, Any] = nitamono(environ, "index", str(listings), "--wait")
        return summary

    events = [json.loads(line) for line in listings.read_text(encoding="utf-8").splitlines()]
    return Shop(
        events={event["item_id"]: event for event in events},
        summary=index(),
        again=index(),
        environ=environ,
        api=create_app(QuerySettings.from_environ(environ), es).test_client(),
        prefix=index_prefix,
        roots=ImageRoots.from_environ(environ),
    )


def test_listings_in_similar_listings_out(shop: Shop, es: Elasticsearch) -> None:
    """Every event is accounted for, and every answer holds what a shopper was promised."""
    assert (shop.summary["total"], shop.summary["indexed"]) == (COUNT, COUNT)
    assert (shop.again["total"], shop.again["unchanged"]) == (COUNT, COUNT)
    same_leaf, several = [], 0
    for event in shop.events.values():
        answer = shop.similar(event["item_id"])
        items = answer["items"]
        check_promises(shop, event, answer)
        several += len(items) >= 3
        if event["status"] != "removed":
            same_leaf += [item["category"] == event["category"] for item in items[:3]]
    # By chance a pair shares its leaf category in about one of thirty cases.
    assert sum(same_leaf) / len(same_leaf) > 0.5
    # About six listings of each kind are drawn, and what is unlike is not shown.
    assert several / COUNT > 0.5
    sheet = draw_contact_sheet(find_rows(es, shop.prefix, rows=4, columns=5), shop.roots)
    assert sheet.width > sheet.height > 4 * 128
    check_shell(shop)


def check_promises(shop: Shop, event: dict[str, Any], answer: dict[str, Any]) -> None:
    """For sale, another item, no item twice, at a like price, and as many as there can be, or the reason."""
    items = answer["items"]
    ids = [item["item_id"] for item in items]
    assert event["item_id"] not in ids
    assert len(set(ids)) == len(ids)
    assert all(shop.events[found]["status"] == "on_sale" for found in ids)
    within = [
        other["item_id"]
        for other in shop.events.values()
        if other["status"] == "on_sale"
        and other["item_id"] != event["item_id"]
        and event["price"] / WIDEST_RATIO <= other["price"] <= event["price"] * WIDEST_RATIO
    ]
    removed_by_rules = sum(answer["removed"].values())
    assert len(ids) >= min(SIZE, len(within)) or (removed_by_rules and answer["short"]), event["item_id"]


def check_shell(shop: Shop) -> None:
    """The shell gives the API's answer."""
    item_id = next(key for key, event in shop.events.items() if event["status"] == "sold_out")
    answer = nitamono(shop.environ, "similar", item_id, "--size", str(SIZE))
    by_shell = [item["item_id"] for item in answer["items"]]
    assert by_shell == [item["item_id"] for item in shop.similar(item_id)["items"]]


def test_settings_of_the_api_are_those_of_the_contract(elasticsearch_url: str) -> None:
    """API and indexer read the same variables for the same cluster."""
    environ = {"ELASTICSEARCH_URL": elasticsearch_url, "NITAMONO_INDEX_PREFIX": "shop"}
    assert QuerySettings.from_environ(environ).elasticsearch == ElasticsearchSettings.from_environ(environ)

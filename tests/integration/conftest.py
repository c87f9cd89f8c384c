"""Marks every test of this folder, so that `pytest -m "not integration"` needs no service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from tests.indexing import Shop, ShopFactory

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the marker `integration` to the tests below this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def shop_of_commands(
    es: Elasticsearch,
    index_prefix: str,
    tmp_path: Path,
    redis_url: str,
    elasticsearch_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> ShopFactory:
    """A function that opens a shop whose environment the commands of this process find.

    `shop_of_commands(photos_per_listing=2, NITAMONO_USER_SALT="…")`: capitals are for its environment.
    """

    def opened(**options: Any) -> Shop:
        further = {name: str(options.pop(name)) for name in list(options) if name.isupper()}
        shop = Shop.open(es, index_prefix, tmp_path, **options)
        shop.set_environ(monkeypatch, elasticsearch_url, redis_url, **further)
        return shop

    return opened

"""The benchmarks of the service, on a small catalogue in a real Elasticsearch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from elasticsearch import Elasticsearch

from bench.catalogue import synthetic_catalogue
from bench.drawn_photos import DrawnPhotos
from bench.load import Asked, api_of, measured
from bench.peers.__main__ import compare
from bench.photo_representations import KINDS
from bench.query import sampled
from bench.several_photos import measured as photos_measured


@pytest.mark.soak
def test_nitamono_and_three_stages_are_compared_with_the_exact_answer(
    elasticsearch_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One finds all of it; the other filters afterwards and misses some. Changes show in both."""
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    names = ["nitamono", "three-stages"]
    comparison = compare(synthetic_catalogue(2000, dims=32), 20, names, tmp_path)
    ours, stages = comparison.peers
    assert ours.best.recall >= 0.99
    assert ours.best.short == 0
    assert stages.points[0].recall < ours.best.recall
    for peer in comparison.peers:
        assert peer.price_change_s is not None
        assert peer.new_listing_s is not None
        assert peer.bytes > 2000 * 32 * 4


def test_loads_on_an_api_of_the_benchmark(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request of an open and of a closed loop is answered."""
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    catalogue = synthetic_catalogue(500, dims=32)
    items = sampled(catalogue, 20)
    with api_of(catalogue, items, {}, cache=False) as (url, bare):
        closed_loop, open_loop = measured(url, items, Asked(rates=(10,), clients=2, seconds=2, rules={}))
    assert (open_loop.requests, open_loop.errors) == (20, 0)
    assert closed_loop.requests > 2
    assert closed_loop.errors == 0
    assert bare.p50_ms > 0


@pytest.mark.soak  # eight indices, each merged
def test_every_way_to_hold_several_photos_gives_the_exact_answer(
    es: Elasticsearch, index_prefix: str
) -> None:
    """By the largest cosine with any photo of a listing; all are compared in so small an index."""
    catalogue = synthetic_catalogue(300, dims=32)
    first = catalogue.vectors
    photos = DrawnPhotos(first, (np.roll(first, 7, axis=0), np.roll(first, 99, axis=0)), (first, first))

    rows = photos_measured(es, index_prefix, catalogue, photos, 4)

    assert [row.name for row in rows] == [kind.name for kind in KINDS]
    assert min(np.mean(row.overlaps) for row in rows) > 0.99
    assert all(row.bytes > rows[0].bytes for row in rows[1:])

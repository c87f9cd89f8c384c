"""A shop, and logs of its buyers."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.analysis.offline.vectors import ItemVectors, read_vectors
from tests.unit.experiments.analysis.offline.click_model import (
    Buyers,
    Shop,
    make_shop,
    simulate,
    write_vectors,
)


@pytest.fixture(scope="session")
def shop() -> Shop:
    return make_shop()


@pytest.fixture(scope="session")
def vectors(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The .npy of each encoder."""
    return write_vectors(shop, tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="session")
def encoders(vectors: dict[str, Path]) -> list[ItemVectors]:
    return [read_vectors(name, path) for name, path in vectors.items()]


@pytest.fixture(scope="session")
def shuffled_log(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slates in five in a shuffled order."""
    return simulate(shop, Buyers(slates=60_000, shuffled=0.4), tmp_path_factory.mktemp("shuffled"))


@pytest.fixture(scope="session")
def production_log(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every slate in the production order; what is in stock changes."""
    return simulate(shop, Buyers(shuffled=0.0), tmp_path_factory.mktemp("production"))


@pytest.fixture(scope="session")
def watched_log(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The truth: the same buyers, who look at every position."""
    return simulate(shop, Buyers(shuffled=0.0, eta=0.0, seed=2), tmp_path_factory.mktemp("watched"))

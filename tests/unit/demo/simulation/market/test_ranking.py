"""The ranking of the simulation is that of production."""

from __future__ import annotations

import numpy as np
import pytest

from demo.simulation.columns import NOTHING
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.catalogue import drawn_catalogue
from demo.simulation.market.rankers import artifact_vectors, calibrated_ranker, noisy_vectors
from demo.simulation.market.ranking import bands, columns_of, highest, rank
from demo.simulation.market.stock import Stock
from ml.artifact import DEFAULT_ARTIFACT
from query.search.price_band import price_band
from query.search.ranking import weights_with

TRUTH = GroundTruth()


@pytest.fixture(scope="module")
def stock() -> Stock:
    """Three hundred listings, none arriving."""
    return Stock.opening(drawn_catalogue(300, 7, TRUTH), TRUTH, 1.7e9, 0, 7)


def test_scores_are_those_of_production(stock):
    """Each answer is what the ranking terms of production put first, within the price band."""
    ranker = calibrated_ranker("noisy", noisy_vectors(stock.catalogue, 0.5, 7))
    queries = np.array([3, 50, 120])
    answers = rank(ranker, stock, stock.shelf(1.7e9), queries, size=5, depth=8)
    for query, answer in zip(queries, answers, strict=True):
        band = price_band(stock.price[query], 2.0)
        every = ranker.calibration.scores(
            columns_of(ranker, stock, np.array([query])), columns_of(ranker, stock, np.arange(300))
        )[0]
        scores = {row: every[row] for row in range(300) if row != query and stock.price[row] in band}
        best = sorted(scores, key=lambda row: -scores[row])[:8]
        assert [scores[row] for row in answer] == pytest.approx([scores[row] for row in best], abs=1e-5)


def test_the_band_widens_only_as_far_as_it_must():
    """Twice the price holds two others; who asks for three gets three times the price."""
    shelf = np.array([500.0, 1000.0, 1500.0, 2900.0])
    itself = np.array([1])
    assert np.subtract(*bands(np.array([1000.0]), itself, shelf, 2)[::-1]) == 3
    assert np.subtract(*bands(np.array([1000.0]), itself, shelf, 3)[::-1]) == 4
    assert np.subtract(*bands(np.array([1000.0]), itself, shelf, 9)[::-1]) == 4


def test_nothing_on_sale_gives_an_empty_slate(stock):
    """A query item may be all that there is."""
    ranker = calibrated_ranker("perfect", stock.catalogue.truth)
    assert (rank(ranker, stock, stock.shelf(0.0), np.array([1, 2]), size=3, depth=4) == NOTHING).all()


def test_highest_orders_the_best_and_skips_excluded_ones():
    """Excluded scores are infinite below; ties at the end do not overflow the slate."""
    scores = np.array([[1, 3, 2, -np.inf], [5, 5, 5, 5], [-np.inf] * 4], dtype=np.float32)
    assert highest(scores, 3).tolist() == [[1, 2, 0], [0, 1, 2], [NOTHING] * 3]
    assert highest(scores, 5)[0].tolist() == [1, 2, 0, NOTHING, NOTHING]


def test_noise_has_the_stated_length(stock):
    """The cosine with the true vectors falls as the stated length says: 1 / sqrt(1 + noise²)."""
    for noise in (0.0, 0.5, 1.0):
        vectors = noisy_vectors(stock.catalogue, noise, 7)
        cosine = np.einsum("nd,nd->n", vectors, stock.catalogue.truth).mean()
        assert cosine == pytest.approx((1 + noise**2) ** -0.5, abs=0.02)


def test_a_copied_photo_has_the_same_vector():
    """A copied photo has the vector of the original."""
    catalogue = drawn_catalogue(300, 7, TRUTH)
    (copies,) = np.nonzero(catalogue.photo != np.arange(300))
    vectors = noisy_vectors(catalogue, 1.0, 7)
    assert len(copies) > 3
    assert np.allclose(vectors[copies], vectors[catalogue.photo[copies]])


def test_an_arm_may_weigh_the_terms_differently(stock):
    """In spreads; what the arm leaves open is production's."""
    vectors = stock.catalogue.truth
    usual = calibrated_ranker("x", vectors).calibration
    heavy = calibrated_ranker("x", vectors, weights_with({"price": 1.0})).calibration
    assert heavy.weights["category"] == usual.weights["category"]
    assert heavy.weights["price"] == pytest.approx(4 * usual.weights["price"], abs=2e-6)


def test_an_artifact_encodes_the_drawn_photos():
    """Its similarity correlates with the true one, and a copied photo has the vector of the original."""
    catalogue = drawn_catalogue(40, 7, TRUTH)
    encoder_id, vectors = artifact_vectors(catalogue, DEFAULT_ARTIFACT, 7)
    assert encoder_id.startswith("siglip-lite")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(vectors, vectors[catalogue.photo])
    pairs = np.triu_indices(40, 1)
    found, true = (vectors @ vectors.T)[pairs], (catalogue.truth @ catalogue.truth.T)[pairs]
    assert np.corrcoef(found, true)[0, 1] > 0.3

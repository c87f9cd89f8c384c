"""Scores and similarities by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.data.pairs import Labels
from ml.data.unit_vectors import normalize
from ml.evaluation.check import agreement
from ml.evaluation.check.agreement import best_scores, frozen_packages_missing, measure, method, similarities
from ml.evaluation.check.sample import read_sample
from ml.metrics.relevance import LabelRelevance
from tests.unit.ml.conftest import draw_photo, make_event, write_listings


def test_agreement_of_two_clusters() -> None:
    """Six neighbours to choose from: one of the other category is nearer than the last of its own."""
    vectors = normalize(np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [0.1, 1], [1, 0.05]], np.float32))
    categories = ["a", "a", "a", "b", "b", "b"]
    found = method("any", vectors, LabelRelevance([Labels(category) for category in categories]))
    assert found.scores.tolist() == [0.4] * 6, "five neighbours are all the others"
    assert found.ranking[3].tolist()[0] == 4


def test_best_scores_count_the_others_of_a_category() -> None:
    """Three listings: two others of five; alone: not a query; seven: all five."""
    scores = best_scores(["a"] * 3 + ["b"] + ["c"] * 7)
    assert np.array_equal(scores, [0.4] * 3 + [np.nan] + [1.0] * 7, equal_nan=True)


def test_random_pairs_never_are_a_listing_with_itself() -> None:
    """Of orthogonal vectors only a listing with itself has a cosine above 0."""
    vectors = np.eye(40, dtype=np.float32)
    itself = np.arange(40)[:, None]
    found = similarities(vectors, np.hstack([itself, itself, (itself + 1) % 40]))
    assert not found.random.any()
    assert found.neighbours.mean() == pytest.approx(2 / 3)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the command can say what to install."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "torch" in frozen_packages_missing()


@pytest.mark.parametrize("installed", [False, True])
def test_the_frozen_network_is_measured_where_it_is_installed(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere there is no such row; an encoder of the demo measures the rest."""
    events = []
    for number in range(24):
        kind = ("Skirts", "Ties", "Belts")[number % 3]
        draw_photo(tmp_path / "images" / f"m{number}.png", "Red", kind, number)
        events.append(make_event(f"m{number}", category=["Apparel", kind]))
    sample = read_sample([write_listings(tmp_path, events)], 24)
    monkeypatch.setattr(agreement, "frozen_packages_missing", lambda: [] if installed else ["torch"])
    monkeypatch.setattr(
        agreement, "frozen_vectors", lambda sample, _threads: normalize(np.eye(len(sample.pairs)))
    )
    measured = measure(sample, load_artifact(DEFAULT_ARTIFACT))
    names = [one.name for one in measured.methods]
    assert ("EfficientNet-Lite 0, frozen" in names) == installed
    assert names[:2] == ["random order", "colour alone"]
    assert measured.encoder.mean > measured.random.mean
    assert measured.similarities.neighbours.mean() > measured.similarities.random.mean()

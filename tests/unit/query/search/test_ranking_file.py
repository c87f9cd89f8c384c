"""Ranking files: what they say, and why one cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from query.search.duplicates import DuplicateThresholds
from query.search.ranking import DEFAULT_WEIGHTS, Ranking
from query.search.ranking_file import Pair, RankingFile, UnusableRanking, read_ranking
from query.search.result_policy import ResultPolicy
from tests.factories import make_identity

FIELDS = {"version": 1, "encoder_id": "colour-00000001", "weights": {"category": 4, "freshness": 0.5}}


def write(folder: Path, **changes: Any) -> Path:
    """Write a valid ranking file, with `changes` over the defaults."""
    path = folder / "ours.json"
    path.write_text(json.dumps({**FIELDS, **changes}), encoding="utf-8")
    return path


def test_a_file_says_how_candidates_are_ranked(tmp_path: Path) -> None:
    """What it leaves out is the default; its name has the hash of its content."""
    path = write(
        tmp_path,
        min_similarity=0.55,
        duplicates={"cosine": 0.9},
        categories=[{"item": ["A", "B"], "other": ["C"], "similarity": 0.4}],
        freshness_half_life_days=7,
        fitted={"on": "labels", "queries": 300},
    )
    ranking = read_ranking(path)
    assert ranking.weights == {**DEFAULT_WEIGHTS, "category": 4.0, "freshness": 0.5}
    assert (ranking.min_similarity, ranking.half_life_days, ranking.full_popularity) == (0.55, 7, 100)
    assert ranking.duplicates == DuplicateThresholds(cosine=0.9)
    assert ranking.learned == {("A", "B"): {("C",): 0.4}}
    assert ranking.name.startswith("ours-")
    assert ranking.name != read_ranking(write(tmp_path)).name


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Numbers and Japanese names alike."""
    pair = Pair(item=("服", "靴"), other=("服",), similarity=0.5)
    file = RankingFile(encoder_id="e", weights={"price": 0.1}, categories=(pair,), min_similarity=0.625)
    path = tmp_path / "ranking.json"
    path.write_text(file.to_json(), encoding="utf-8")
    read = read_ranking(path)
    assert read == file.ranking(read.name)
    assert "服" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2, "weight": {}}, "version: found 2, expected 1; docs/result-policy.md has the fields"),
        ({"version": "1"}, "version: found '1', expected 1;"),
        ({"weight": {}}, "Unknown field `weight`. Allowed: version, encoder_id, weights, "),
        ({"encoder_id": ""}, "encoder_id: found '', expected the encoder_id of an encoder, as text"),
        ({"encoder_id": 7}, "encoder_id: found 7, expected the encoder_id"),
        (
            {"weights": {"freshnes": 1}},
            "weights: found 'freshnes', expected a ranking term with a weight, one of category, price",
        ),
        ({"weights": {"similarity": 1}}, "weights: found 'similarity', expected a ranking term"),
        ({"weights": {"price": -1}}, "weights.price: found -1, expected a number from 0 to 10"),
        ({"weights": {"price": 11}}, "weights.price: found 11, expected a number from 0 to 10"),
        ({"weights": {"price": "3"}}, "weights.price: found '3', expected a number from 0 to 10"),
        ({"weights": {"price": True}}, "weights.price: found true, expected a number from 0 to 10"),
        ({"weights": {"price": float("nan")}}, "weights.price: found NaN, expected a number from 0 to 10"),
        ({"weights": [1]}, "weights: found [1], expected an object"),
        ({"min_similarity": 1.5}, "min_similarity: found 1.5, expected a number from 0 to 1"),
        ({"duplicates": {"hash": 1}}, "Unknown field `duplicates.hash`. Allowed: overlap, cosine, "),
        ({"duplicates": {"cosine": "0.9"}}, "duplicates.cosine: found '0.9', expected a number from 0 to 1"),
        ({"freshness_half_life_days": 0}, "found 0, expected a number of days from 0.01 to 10,000"),
        ({"popularity_full": 0}, "popularity_full: found 0, expected a number above 0"),
        ({"categories": {}}, "categories: found {}, expected a list"),
        (
            {"categories": [{"item": ["A"], "other": "B", "similarity": 2}]},
            "categories[0].other: found 'B', expected a list of one to five names of categories, from the "
            "root; categories[0].similarity: found 2, expected a number from 0 to 1",
        ),
        ({"categories": [{"item": ["A"]}]}, "categories[0].other: found nothing, expected a value"),
        (
            {"categories": [{"item": ["A"], "other": ["B"], "similarity": share} for share in (0, 1)]},
            "categories: the similarity of 'A' to 'B' is given more than once",
        ),
        (
            {
                "categories": [
                    {"item": ["A"], "other": ["B"], "similarity": 0},
                    {"item": ["A"], "other": ["B", "C"], "similarity": 1},
                ]
            },
            "categories: to 'A', 'B > C' lies below 'B'",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """With the path, the place, what was found and what was expected, in plain words."""
    path = write(tmp_path, **changes)
    with pytest.raises(UnusableRanking) as error:
        read_ranking(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "Input should" not in str(error.value)


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    """Unknown and repeated names, wrong types, ranges and pairs of categories."""
    path = tmp_path / "ours.json"
    pair = '{"item": ["A"], "other": ["B"], "similarity": 1, "similarity": 0}'
    path.write_text(
        '{"version": 1, "weights": {"price": 1, "prise": 2, "price": "3"}, "encoder_id": "e", '
        f'"encoder_id": "f", "categories": [{pair}, {pair}], "floor": 1}}'
    )
    with pytest.raises(UnusableRanking) as error:
        read_ranking(path)
    for problem in (
        "encoder_id: found twice, expected once",
        "weights.price: found twice, expected once",
        "categories[0].similarity: found twice, expected once",
        "weights.price: found '3', expected a number from 0 to 10",
        "weights: found 'prise', expected a ranking term",
        "categories: the similarity of 'A' to 'B' is given more than once",
        "Unknown field `floor`",
    ):
        assert problem in str(error.value)


def test_a_repeated_field_alone_is_refused(tmp_path: Path) -> None:
    """JSON readers keep one of the two values, and not all the same."""
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(FIELDS).replace('{"category": 4', '{"category": 8, "category": 4'))
    with pytest.raises(UnusableRanking, match=r"weights\.category: found twice, expected once"):
        read_ranking(path)


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"version": 1}'])
def test_a_file_that_is_no_ranking_is_named(tmp_path: Path, content: str) -> None:
    """JSON or not."""
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UnusableRanking, match=str(path)):
        read_ranking(path)
    with pytest.raises(UnusableRanking, match=r"away\.json"):
        read_ranking(tmp_path / "away.json")


def test_another_encoder_is_named(tmp_path: Path) -> None:
    """Both encoders, and the next step."""
    ranking = read_ranking(write(tmp_path))
    assert ranking.objection("listings", make_identity()) is None
    objection = ranking.objection("listings", make_identity(encoder_id="other-1"))
    assert objection is not None
    assert "is for the encoder colour-00000001, listings has other-1" in objection
    assert Ranking().objection("listings", make_identity(encoder_id="other-1")) is None


def test_weights_that_are_set_hold_for_another_encoder_too(tmp_path: Path) -> None:
    """Only what was fitted does not."""
    ranking = read_ranking(write(tmp_path)).with_weights({"popularity": 2})
    assert ranking.otherwise == Ranking().with_weights({"popularity": 2})
    assert (ranking.weights["popularity"], ranking.weights["category"]) == (2, 4)


def test_a_request_weighs_over_the_ranking() -> None:
    """`attribute_boost` multiplies gender, colour and brand; freshness and popularity replace the weights."""
    ranking = Ranking().with_weights({"freshness": 1.0, "brand": 0.5})
    spread = make_identity(similarity_spread=0.1)
    own = ranking.calibrated(spread).weights
    assert (own["gender"], own["brand"], own["freshness"], own["popularity"]) == (0.2, 0.05, 0.1, 0)
    asked = ranking.calibrated(spread, ResultPolicy(attribute_boost=2, freshness=0, popularity=3)).weights
    assert (asked["gender"], asked["brand"], asked["freshness"], asked["popularity"]) == (0.4, 0.1, 0, 0.3)
    assert asked["category"] == own["category"]
    assert ranking.calibrated(spread, ResultPolicy(attribute_boost=0)).weights["gender"] == 0


def test_a_fitted_floor_replaces_the_encoders() -> None:
    """Without one it is 0.4 spreads above the mean."""
    identity = make_identity(similarity_mean=0.6, similarity_spread=0.1)
    assert Ranking().calibrated(identity).min_similarity == pytest.approx(0.64)
    assert Ranking(min_similarity=0.5).calibrated(identity).min_similarity == 0.5

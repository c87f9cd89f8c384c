"""From judgments to a ranking file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from calibration.calibrate import Calibrated, calibrate, check_encoder
from calibration.documents import Live
from calibration.errors import NotWritten, OtherEncoder, TooLittleData
from calibration.floor import Floor
from calibration.output import check_writable, write
from calibration.report import text
from cli import main
from query.search.duplicates import DuplicateThresholds
from query.search.ranking import Ranking, weights_with
from query.search.ranking_file import read_ranking
from tests.factories import make_document, make_identity
from tests.unit.calibration.index import reader_of

BRANDS = ("Aki", "Haru", "Natsu")
NOW = Ranking(
    weights=weights_with({"price": 3.5, "freshness": 1.0}),
    duplicates=DuplicateThresholds(0.8, 0.95, 0.999),
    learned={("A",): {("B",): 0.5}},
    half_life_days=7,
    name="ours-1",
)


def shop(items: int) -> Live:
    """An index of listings of three brands, all else at random."""
    rng = np.random.default_rng(2)
    documents = []
    for number in range(items):
        angle = rng.uniform(0, math.pi / 2)
        documents.append(
            make_document(
                item_id=f"m{number:03}",
                vector=(math.cos(angle), math.sin(angle), 0.0, 0.0),
                price=int(rng.integers(500, 2000)),
                attributes={"brand": BRANDS[number % 3]},
            )
        )
    return Live(reader_of(*documents), "listings-1", make_identity())


def judgments(items: int) -> dict[str, dict[str, float]]:
    """Shoppers who want an item's own brand, of the next twelve listings."""
    return {
        f"m{item:03}": {f"m{item + step:03}": float(step % 3 == 0) for step in range(1, 13)}
        for item in range(items - 12)
    }


def done(**changes: object) -> Calibrated:
    """A calibration on 60 listings."""
    return calibrate(shop(60), judgments(60), NOW, **{"fixed": {}, "folds": 4, "seed": 0, **changes})  # type: ignore[arg-type]


def test_a_file_is_written_that_the_api_reads(tmp_path: Path) -> None:
    """Planted preferences get their weight; what was not fitted stays as it was."""
    path = tmp_path / "ranking.json"
    found = done()
    write(found.file("judged.csv"), path)
    ranking = read_ranking(path)
    assert ranking.weights["brand"] >= 1
    others = {name: ranking.weights[name] for name in ("price", "freshness", "colour", "popularity")}
    assert set(others.values()) == {0}
    assert (ranking.duplicates, ranking.learned) == (NOW.duplicates, NOW.learned)
    assert (ranking.half_life_days, ranking.encoder_id) == (7, "colour-00000001")
    assert ranking.min_similarity is None
    floor = Floor(0.55, 0.125, 0.8)
    assert replace(found, floor=floor).file("judged.csv").min_similarity == 0.55
    assert "0.55 (now the encoder's); below it are 12 % of the pairs" in text(replace(found, floor=floor))
    assert found.file("judged.csv").fitted["items"] == 48


def test_the_report_names_every_term() -> None:
    """Kept, removed or not fitted, with the current weights."""
    lines = text(done(fixed=dict.fromkeys(("category", "gender"), "the labels judge by it"))).splitlines()
    assert lines[0] == "48 items, 576 judged pairs"
    verdicts = {line.split()[0]: line for line in lines if line}
    assert verdicts["brand"].endswith("kept")
    assert verdicts["price"].split()[1:3] == ["3.5", "0"]
    assert verdicts["price"].endswith("removed")
    assert verdicts["category"].endswith("not fitted: the labels judge by it")
    assert verdicts["gain"].split()[1].startswith("+")
    assert (
        verdicts["Floor"]
        == "Floor of similarity: unchanged (the encoder's); no cosine separates the judged pairs"
    )


def test_too_few_items_are_refused() -> None:
    """With what was left out."""
    with pytest.raises(
        TooLittleData, match=r"^17 items .* expected 20 or more; left out: 40 ids .*3 items whose"
    ):
        calibrate(shop(20), judgments(60), NOW, fixed={}, folds=5, seed=0)


def test_a_ranking_for_another_encoder_is_refused() -> None:
    """Its weights are in other spreads."""
    with pytest.raises(
        OtherEncoder, match=r"encoder other-1, listings-1 has colour-00000001.*--forget-settings.*unset"
    ):
        check_encoder(shop(1), Ranking(encoder_id="other-1"))
    check_encoder(shop(1), NOW)


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    """And its folder must exist, which is checked before the work."""
    path = tmp_path / "ranking.json"
    check_writable(path, force=False)
    path.touch()
    check_writable(path, force=True)
    with pytest.raises(NotWritten, match="--force"):
        check_writable(path, force=False)
    with pytest.raises(NotWritten, match="no folder"):
        check_writable(tmp_path / "none" / "a.json", force=False)
    with pytest.raises(NotWritten, match="cannot be written"):
        write(done().file("a"), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "one of --judgments, --labels and --log"),
        (["--judgments", "a.csv", "--labels", "a.jsonl"], "one of --judgments, --labels and --log"),
        (["--judgments", "a.csv", "--log", "."], "one of --judgments, --labels and --log"),
        (["--log", "."], "no impressions can be read"),
        (["--labels", "a.jsonl"], "--labels needs --label"),
        (["--judgments", "a.csv", "--label", "fit"], "--label needs --labels"),
        (["--judgments", "a.csv", "--output", "a.csv"], "a.csv exists"),
        (["--judgments", "a.csv"], "no column"),
    ],
)
def test_options_are_checked_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    """No service is needed to learn of a mistake."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "a.jsonl"):
        Path(name).touch()
    result = CliRunner().invoke(
        main, ["query", "calibrate", *options], env={"ELASTICSEARCH_URL": "http://127.0.0.1:9"}
    )
    assert result.exit_code != 0
    assert message in result.output

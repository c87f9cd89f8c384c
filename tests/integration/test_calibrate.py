"""`nitamono query calibrate` on a real index."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch, helpers

from cli import main
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from query.search.ranking_file import read_ranking
from tests.factories import make_event, make_listing
from tests.integration.test_result_policy import HASHES, Shop
from tests.unit.calibration import tapped_shop

ITEMS = 45
FITS = ("slim", "wide", "loose")
RELISTED = {"again": 0.9, "anew": 0.9, "red": 0.8, "blue": 0.8}
"""Prefix of an id to the cosine with the skirt of that number; 0.9 for its photo."""


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, elasticsearch_url: str) -> Shop:
    """Skirts of three brands, each of which has a fit; photos say nothing of either."""
    shop = Shop(es, index_prefix, elasticsearch_url)
    helpers.bulk(es, (action(shop, number) for number in range(ITEMS)), refresh=True)
    return shop


def action(shop: Shop, number: int) -> dict[str, object]:
    """The indexing of one skirt."""
    angle = (number * 0.618 % 1) * math.pi / 2
    listing = make_listing(**event(number))
    vector = (math.cos(angle), math.sin(angle), 0.0, 0.0)
    document = to_document(listing, EncodedPhoto(vector, HASHES[number]), "colour-00000001")
    return {"_index": shop.index, "_id": listing.item_id, "_source": document.to_source()}


def event(number: int) -> dict[str, object]:
    """The event of one skirt, with a label that no term reads."""
    attributes = {"brand": f"Brand {number % 3}", "fit": FITS[number % 3]}
    price = 1000 + 37 * number % 300
    return make_event(item_id=f"m{number:02}", price=price, attributes=attributes)


def calibrated(shop: Shop, *options: object) -> Result:
    """The result of the command."""
    env = {"ELASTICSEARCH_URL": shop.url, "NITAMONO_INDEX_PREFIX": shop.prefix}
    return CliRunner().invoke(main, ["query", "calibrate", *map(str, options)], env=env)


def test_judgments_become_a_ranking_file_that_the_search_uses(shop: Shop, tmp_path: Path) -> None:
    """Shoppers want the item's own brand: it comes first, where the default ranks by photo and price."""
    path, output = tmp_path / "judged.csv", tmp_path / "ranking.json"
    pairs = [(item, (item + step) % ITEMS) for item in range(ITEMS) for step in range(1, 16)]
    rows = [f"m{item:02},m{other:02},{int(item % 3 == other % 3)}" for item, other in pairs]
    path.write_text("\n".join(["item_id,other_id,grade", *rows, "m00,unknown,1"]))
    result = calibrated(shop, "--judgments", path, "--output", output)
    assert result.exit_code == 0, result.output
    assert "45 items, 675 judged pairs\nLeft out: 1 id not in the live index" in result.output
    assert read_ranking(output).weights["brand"] >= 1
    first = CliRunner().invoke(
        main,
        ["similar", "m00", "--size", "5", "--min-similarity", "0", "--json"],
        env={
            "ELASTICSEARCH_URL": shop.url,
            "NITAMONO_INDEX_PREFIX": shop.prefix,
            "NITAMONO_RANKING_FILE": str(output),
        },
    )
    shown = [int(each["item_id"][1:]) % 3 for each in json.loads(first.stdout)["items"]]
    assert shown == [0] * 5
    assert "--force" in calibrated(shop, "--judgments", path, "--output", output).output


def test_labels_judge_what_the_service_finds(shop: Shop, tmp_path: Path) -> None:
    """The brand gains by the fit that it goes with; the category, by which all are judged, is not fitted."""
    path = tmp_path / "listings.jsonl"
    lines = [json.dumps(event(number)) for number in range(ITEMS + 5)]
    path.write_text("\n".join(lines))
    runs = [calibrated(shop, "--labels", path, "--label", "fit", "--items", 30) for _ in range(2)]
    assert runs[0].exit_code == 0, runs[0].output
    assert runs[0].output == runs[1].output
    assert runs[0].output.startswith("30 items, ")
    terms = {line.split()[0]: line.split() for line in runs[0].output.splitlines() if line}
    assert float(terms["brand"][2]) >= 1
    assert terms["brand"][-1] == "kept"
    assert terms["price"][-1] == "removed"
    assert terms["category"][1:3] == ["8", "8"]
    assert "same_photo" not in runs[0].output


def test_judged_photos_become_duplicate_thresholds(shop: Shop, tmp_path: Path) -> None:
    """Relistings that have a cosine of 0.9 only: the default shows them, the file does not."""
    for number in range(ITEMS):
        helpers.bulk(shop.es, relistings_and_look_alikes(shop, number), refresh=number == ITEMS - 1)
    path, output = tmp_path / "judged.csv", tmp_path / "ranking.json"
    graded = [
        f"m{item:02},m{(item + step) % ITEMS:02},{int(step % 3 == 0)},"
        for item in range(ITEMS)
        for step in range(1, 9)
    ]
    judged = [
        f"m{item:02},{kind}{item:02},,{str(cosine == 0.9).lower()}"
        for item in range(ITEMS)
        for kind, cosine in RELISTED.items()
    ]
    path.write_text("\n".join(["item_id,other_id,grade,same_photo", *graded, *judged]))
    result = calibrated(shop, "--judgments", path, "--output", output)
    assert result.exit_code == 0, result.output
    assert "180 pairs judged by same_photo, 90 of one photo" in result.output
    assert "now     recall 0.0000" in result.output
    fitted = read_ranking(output).duplicates
    assert 0.8 < fitted.cosine <= 0.9
    assert (fitted.overlap, fitted.same_cosine) == (0.9, 0.9995)


def relistings_and_look_alikes(shop: Shop, number: int) -> Iterator[dict[str, object]]:
    """The photo of a skirt at a cosine of 0.9 to it, and skirts of one cut and another colour at 0.8."""
    original = action(shop, number)["_source"]
    assert isinstance(original, dict)
    for kind, cosine in RELISTED.items():
        name, vector = f"{kind}{number:02}", np.array(original["vector"])
        turned = [*(cosine * vector[:2]), math.sqrt(1 - cosine**2), 0.0]
        source = original | {"item_id": name, "vector": turned}
        yield {"_index": shop.index, "_id": name, "_source": source}


def test_nothing_judged_in_the_index_is_said(shop: Shop, tmp_path: Path) -> None:
    """The ids may be of another marketplace."""
    path = tmp_path / "judged.jsonl"
    path.write_text('{"item_id": "x", "other_id": "y", "grade": 1}\n')
    result = calibrated(shop, "--judgments", path)
    assert result.exit_code == 1
    assert "0 items" in result.output
    assert "2 ids not in the live index" in result.output


def test_taps_become_a_ranking_file_that_the_search_uses(
    es: Elasticsearch, index_prefix: str, elasticsearch_url: str, tmp_path: Path
) -> None:
    """Who looks at skirts taps vases, which no path says: they are among the answers, where none were."""
    tapped, output = Shop(es, index_prefix, elasticsearch_url), tmp_path / "ranking.json"
    helpers.bulk(
        es,
        (
            {"_index": tapped.index, "_id": each.item_id, "_source": each.to_source()}
            for each in tapped_shop.documents()
        ),
        refresh=True,
    )
    log = tapped_shop.tapped_log(tmp_path / "log", tapped_shop.Buyers())
    result = calibrated(tapped, "--log", log, "--folds", 2, "--output", output)
    assert result.exit_code == 0, result.output
    assert "slates with a tap of 3" in result.output
    ranking = read_ranking(output)
    assert list(ranking.learned[tapped_shop.SKIRTS]) == [tapped_shop.VASES]
    answers = [
        CliRunner().invoke(
            main,
            [
                "similar",
                "m00",
                "--min-similarity",
                "0",
                "--seller-cap",
                "0",
                "--no-collapse-duplicates",
                "--json",
            ],
            env={"ELASTICSEARCH_URL": tapped.url, "NITAMONO_INDEX_PREFIX": tapped.prefix} | file,
        )
        for file in ({}, {"NITAMONO_RANKING_FILE": str(output)})
    ]
    leaves = [[each["category"][-1] for each in json.loads(each.stdout)["items"]] for each in answers]
    assert "Vases" not in leaves[0]
    assert "Vases" in leaves[1]
    few = calibrated(tapped, "--log", tmp_path)
    assert few.exit_code == 1
    assert f"{tmp_path}: no impressions can be read" in few.output

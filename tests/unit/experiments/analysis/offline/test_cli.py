"""`nitamono experiment offline` as typed, and what it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from events.log_tables import SIMULATED
from experiments.cli import group
from ml.inference.embed import Embedded, save_embedded
from tests.html_page import HtmlPage
from tests.unit.experiments.analysis.log.logs import (
    at,
    make_event,
    make_items,
    make_slate,
    make_tap,
    write_log,
)
from tests.unit.experiments.small_log import write_damaged

SHOWN = "abcdef"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Thirty users, each shown six items for q and tapping d, which is fourth; one buys it."""
    slates = [make_slate(f"u{n}", items=make_items(SHOWN), time=at(n / 30)) for n in range(30)]
    bought = make_event("u3", slates[3], item_id="d", price=900.0)
    taps = [make_tap(slate, "d") for slate in slates]
    return write_log(tmp_path / "log", [*slates, make_slate("v")], taps=taps, purchases=[bought])


@pytest.fixture
def vectors(tmp_path: Path) -> list[str]:
    """Options of two encoders: the one has the order shown, the other puts d first."""
    shown = {item: [1.0, 0.1 * place] for place, item in enumerate("q" + SHOWN)}
    better = shown | {"d": [1.0, 0.0]}
    options = []
    for name, rows in (("shown", shown), ("better", better)):
        path = tmp_path / f"{name}.npy"
        save_embedded(Embedded(np.array(list(rows.values()), dtype=np.float32), list(rows)), path)
        options += ["--vectors", f"{name}={path}"]
    return options


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["offline", *map(str, arguments)])


def test_the_table_says_which_encoder_put_the_tapped_item_first(log: Path, vectors: list[str]) -> None:
    """nDCG@5 is 1 for it, and 1 / log2(5) = 0.431 for the order shown; what was left out is counted."""
    result = call("--log", log, *vectors)
    assert result.exit_code == 0, result.output
    assert "log: 30 slates of 30 users, 2026-11-02 to 2026-11-02, 0 of them shuffled" in result.output
    assert "excluded of 31: 1 without a tap" in result.output
    assert re.search(r"^better +1\.000 \(1\.000–1\.000\)", result.output, re.MULTILINE)
    for row in ("production order", "shown"):
        assert re.search(rf"^{row} +0\.431 \(0\.431–0\.431\)", result.output, re.MULTILINE)
    assert re.search(r"^better .*\+132 % .*p 0\.000\d after Holm$", result.output, re.MULTILINE)
    assert "Simulated" not in result.output


def test_without_shuffled_slates_or_swaps_the_warning_says_so(log: Path, vectors: list[str]) -> None:
    """And nothing is weighted."""
    output = call("--log", log, *vectors).output
    assert "Slates could not be weighted." in output
    assert "Warning: no slates were shuffled and too few items changed positions" in output
    assert "Weighted, gains over" not in output


def test_the_json_has_every_figure(log: Path, vectors: list[str], tmp_path: Path) -> None:
    """As a strict reader takes it: no NaN."""
    out = tmp_path / "out"
    result = call(
        "--log", log, *vectors, "--baseline", "production order", "--gain", "purchases", "--out", out
    )
    assert result.exit_code == 0, result.output
    found = json.loads((out / "offline.json").read_text(), parse_constant=pytest.fail)
    rows = {row["encoder"]: row for row in found["as_logged"]}
    assert list(rows) == ["random", "production order", "popularity", "shown", "better"]
    assert rows["better"]["means"]["ndcg@5"] == 1
    assert (found["baseline"], found["gain"], found["simulated"]) == ("production order", "purchases", False)
    assert found["counts"]["untapped"] == 1
    assert (found["weighted"], found["weighting"]) == ([], None)
    assert found["warning"].startswith("Warning: no slates were shuffled")


def test_the_page_shows_photos_and_is_self_contained(log: Path, vectors: list[str], tmp_path: Path) -> None:
    """Twelve slates with five items in each of five orders; d is marked wherever shown; e has no photo."""
    Image.new("RGB", (80, 80), "red").save(tmp_path / "red.jpg")
    listings = tmp_path / "listings.jsonl"
    items = [{"item_id": item, "images": ["red.jpg" if item != "e" else "gone.jpg"]} for item in "q" + SHOWN]
    listings.write_text("".join(json.dumps(item) + "\n" for item in items))
    (log / SIMULATED).write_text("{}")
    result = call("--log", log, *vectors, "--listings", listings, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Simulated: ")
    html = (tmp_path / "out" / "offline.html").read_text(encoding="utf-8")
    page = HtmlPage(html)
    kinds = [attrs.get("class") for tag, attrs in page.tags if tag == "figure"]
    assert len(kinds) == 12 * 5 * 5
    assert 12 * 4 <= kinds.count("hit") <= 12 * 5, "the random and the popular order may put d sixth"
    sources = {attrs.get("src") for tag, attrs in page.tags if tag == "img"}
    assert len(sources) == 2, "the red photo and the grey square"
    assert all(str(source).startswith("data:image/jpeg;base64,") for source in sources)
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert "http" not in html
    assert "Simulated: the users, taps and purchases of this log are simulated." in page.text
    assert "0.431" in page.text
    assert "nan" not in page.text


def test_an_encoder_without_the_items_is_reported(log: Path, vectors: list[str], tmp_path: Path) -> None:
    """No slate is left, and why."""
    path = tmp_path / "other.npy"
    save_embedded(Embedded(np.eye(2, dtype=np.float32), ["x", "y"]), path)
    result = call("--log", log, *vectors, "--vectors", f"other={path}")
    assert result.exit_code == 1
    assert "no slate of 31 can be used: 1 without a tap, 30 with an item that lacks a vector" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baseline", "nobody"], "no row 'nobody' to compare with; there are random, production order"),
        (["--vectors", "random=v.npy"], "v.npy: cannot be read as .npy"),
        (["--vectors", "v.npy"], "'v.npy' is not NAME=FILE.npy"),
        (["--clip", "0.5"], "0.5 is not in the range x>=1"),
    ],
)
def test_invalid_options_are_reported(
    log: Path, vectors: list[str], options: list[str], message: str
) -> None:
    """In one sentence, with what to do."""
    result = call("--log", log, *vectors, *options)
    assert result.exit_code != 0
    assert message in result.output


def test_two_rows_of_one_name_are_refused(log: Path, vectors: list[str]) -> None:
    """Also that of a reference row."""
    result = call("--log", log, *vectors, "--vectors", vectors[1])
    assert "two rows would be called 'shown'" in result.output
    random = vectors[1].replace("shown=", "random=")
    assert "two rows would be called 'random'" in call("--log", log, "--vectors", random).output


def test_a_damaged_file_of_the_log_is_named_and_excluded(log: Path, vectors: list[str]) -> None:
    """The rest is evaluated."""
    (log / "taps" / "half.parquet").write_bytes(b"PAR1")
    result = call("--log", log, *vectors)
    assert result.exit_code == 0, result.output
    assert re.search(r"excluded: .*half\.parquet: cannot be read as parquet", result.output)
    assert "30 slates of 30 users" in result.output


def test_damaged_data_are_excluded_too(log: Path, vectors: list[str]) -> None:
    """Though the file's footer is sound, so that only reading shows it."""
    damaged = write_damaged(log, "taps")
    result = call("--log", log, *vectors)
    assert result.exit_code == 0, result.output
    assert f"excluded: {damaged}: cannot be read as parquet" in result.output
    assert "30 slates of 30 users" in result.output


def test_a_log_marked_as_simulated_is_reported_as_such(tmp_path: Path, vectors: list[str]) -> None:
    """Also without the marker file."""
    slate = make_slate("u", items=make_items(SHOWN), simulated=True)
    result = call("--log", write_log(tmp_path / "made-up", [slate], taps=[make_tap(slate, "d")]), *vectors)
    assert result.output.startswith("Simulated: "), result.output

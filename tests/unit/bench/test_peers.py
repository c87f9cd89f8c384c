"""The comparison with other stores of vectors, on a few hundred listings."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.catalogue import synthetic_catalogue
from bench.peers.__main__ import compare, main, with_twins
from bench.peers.measure import Measured, Point
from bench.peers.page import Comparison, front, ratio, write_page
from bench.peers.peer import Market
from bench.peers.registry import NAMES, NotInstalled, peer_class

COUNT, ITEMS = 400, 10
WITHOUT_A_SERVER = [name for name in NAMES if name not in {"nitamono", "three-stages"}]


@pytest.mark.parametrize("name", WITHOUT_A_SERVER)
def test_a_peer_answers_as_exactly_as_it_can_and_shows_changes(name: str, tmp_path: Path) -> None:
    """Among so few listings, the widest search of each peer compares the item with all of them."""
    try:
        peer_class(name)
    except NotInstalled as error:
        pytest.skip(str(error))
    comparison = compare(synthetic_catalogue(COUNT, dims=32), ITEMS, [name], tmp_path)
    (peer,) = comparison.peers
    assert peer.best.recall >= (0.99 if peer.filters else 0.9)  # post-filters do not widen the price band
    assert peer.price_change_s is not None
    assert peer.new_listing_s is not None
    assert list(tmp_path.iterdir()) == []


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason stands in the comparison, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "bench.peers.faiss_store", raising=False)
    comparison = compare(synthetic_catalogue(100, dims=8), 3, ["faiss"], tmp_path)
    assert comparison.peers == ()
    assert comparison.missing == (
        "faiss needs the library faiss, which the extra `peers` installs: `make peers`",
    )


def test_an_unknown_peer_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message lists those that exist."""
    monkeypatch.setattr("sys.argv", ["peers", "--peers", "annoy", "--output", "folder"])
    with pytest.raises(SystemExit):
        main()
    assert "unknown peers: annoy; the peers are nitamono, three-stages" in capsys.readouterr().err


def test_the_command_writes_the_page_and_the_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the exact search, which needs no library."""
    argv = ["peers", "--synthetic", "200", "--items", "5", "--peers", "exact", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", argv)
    main()
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["listings"] == 200
    assert figures["peers"][0]["points"][0]["recall"] == 1.0
    assert "exact NumPy" in (tmp_path / "index.html").read_text()


def test_listings_held_back_are_in_no_answer_until_they_are_added() -> None:
    """A copy of the first listing, at its price."""
    market = Market(with_twins(synthetic_catalogue(300, dims=16), 1), 1)
    assert market.offer(300) == "-"
    first = market.oracle.ids[0]
    assert f"new-{first}" not in market.oracle.answer(first)
    market.oracle.on_sale[300] = True
    assert market.oracle.answer(first)[0] == f"new-{first}"


def test_the_price_of_a_change_is_in_the_offer() -> None:
    """A price a million times as high is in no band of the item."""
    market = Market(synthetic_catalogue(300, dims=16), 0)
    row = int(market.oracle.on_sale.argmax())
    assert market.offer(row) in market.offers(row, 2.0)
    band = market.offers(row, 10.0)
    market.set_price(row, float(market.oracle.prices[row]) * 1e6)
    assert market.offer(row) not in band


def a_point(recall: float, p50_ms: float) -> Point:
    """A point with these figures."""
    return Point("K=50", recall, p50_ms, 2 * p50_ms, 0.0, 100)


def a_peer(name: str, *points: Point) -> Measured:
    """A peer with these points."""
    return Measured(name, "A note.", True, True, 1.0, 2**20, points, 0.5, None)


COMPARISON = Comparison(
    1000,
    100,
    "2 cores",
    (
        a_peer("nitamono", a_point(0.96, 2.0), a_point(0.99, 4.0)),
        a_peer("Other", a_point(0.90, 1.0), a_point(0.97, 20.0)),
    ),
    ("milvus needs the library pymilvus",),
)


def test_peers_are_compared_at_equal_recall() -> None:
    """A faster answer of less recall does not count."""
    other = COMPARISON.peers[1]
    assert ratio(COMPARISON, other, 0.95) == 10.0
    assert ratio(COMPARISON, other, 0.98) is None
    assert ratio(replace(COMPARISON, peers=(other,)), other, 0.95) is None


def test_a_curve_joins_the_settings_worth_choosing() -> None:
    """One that is slower than another of the same or more recall is not."""
    quick, slow, best = a_point(0.9, 1.0), a_point(0.9, 2.0), a_point(0.99, 3.0)
    assert front([best, slow, quick, a_point(0.95, 4.0)]) == [quick, best]


class Cells(HTMLParser):
    """The texts of a page's table rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002  the base class's
        """Open a row or a cell."""
        if tag == "tr":
            self.rows.append([])
        self._open = tag in {"td", "th"}
        if self._open:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Add the text of a cell."""
        if self._open:
            self.rows[-1][-1] += data.strip()


def test_the_page_begins_with_the_table_at_equal_recall(tmp_path: Path) -> None:
    """Then the curves, the changes and every setting; no script, nothing from elsewhere."""
    path = tmp_path / "index.html"
    write_page(COMPARISON, path)
    page = path.read_text()
    cells = Cells()
    cells.feed(page)
    assert cells.rows[1] == ["nitamono", "2.0", "1.0", "4.0", "1.0", "0.990", "yes", "yes"]
    assert cells.rows[2] == ["Other", "20.0", "10.0", "not reached", "–", "0.970", "yes", "yes"]
    assert "not seen" in page
    assert "milvus needs the library pymilvus" in page
    assert page.index("At equal recall") < page.index("<svg") < page.index("Every setting")
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"<script|https?://", page)

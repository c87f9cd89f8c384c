"""The steps of `make demo`."""

from __future__ import annotations

import os

import click
import pytest

from demo import run
from demo.marketplace.folder import LISTINGS
from tests.unit.demo.test_examples import SKIRT, make_answer


def test_the_marketplace_is_drawn_once(tmp_path, monkeypatch, capsys):
    """The first call draws the listings and photos, the second finds them."""
    monkeypatch.setattr(run, "MARKETPLACE_LISTINGS", 3)
    file = run.drawn_marketplace(tmp_path)
    assert len(file.read_text().splitlines()) == 3
    assert list((tmp_path / "images").glob("*.jpg"))
    assert "Drawing 3 listings" in capsys.readouterr().out
    written = file.stat().st_mtime_ns
    assert run.drawn_marketplace(tmp_path).stat().st_mtime_ns == written
    assert capsys.readouterr().out == ""


def test_a_drawing_that_was_interrupted_is_done_again(tmp_path, monkeypatch):
    """Photos without their listings are not a marketplace yet."""
    monkeypatch.setattr(run, "MARKETPLACE_LISTINGS", 2)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "d0000001-1.jpg").write_bytes(b"half a photo")
    assert run.drawn_marketplace(tmp_path) == tmp_path / LISTINGS
    assert (tmp_path / "images" / "d0000001-1.jpg").read_bytes() != b"half a photo"


def test_listings_that_cannot_be_indexed_end_with_where_to_look(tmp_path, capfd):
    """`nitamono index` says what is wrong, then the sentence says where the reasons are kept."""
    (tmp_path / "listings.txt").write_text("no listings")
    with pytest.raises(click.ClickException, match=r"dead-letters list.*demo logs worker"):
        run.index(tmp_path / "listings.txt", os.environ)
    assert ".jsonl" in capfd.readouterr().err


def test_three_answers_are_shown(tmp_path, monkeypatch, capsys):
    """However many answers there are, three are printed."""
    answer = make_answer(SKIRT)
    monkeypatch.setattr(run, "example_items", lambda _: iter(()))
    monkeypatch.setattr(run, "example_answers", lambda *_: [answer] * 5)
    run.show_examples(tmp_path, "http://127.0.0.1:8000")
    said = "\nm1  ¥1,290  (no title)\nFor sale from ¥645 to ¥2,580\n"
    assert capsys.readouterr().out.count(said) == 3

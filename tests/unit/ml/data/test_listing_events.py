"""Pairs from listings: captions, labels, reasons for dropping, and the corpus they form."""

from collections import Counter
from pathlib import Path

import pytest

from ml.data.corpus import Corpus
from ml.data.pairs import Labels
from ml.training.read_corpus import read_pairs
from tests.unit.ml.conftest import make_event, write_listings


def test_a_listing_gives_its_title_and_its_description(tmp_path: Path) -> None:
    """The captions are the title, and the attributes in words, down to the type alone."""
    attributes = {"gender": "Women", "colour": "Red", "pattern": "dots", "season": "Summer"}
    path = write_listings(tmp_path, [make_event("m7", title="Yuki skirt", attributes=attributes)])
    (pair,) = read_pairs([path], Counter())
    assert pair.captions == ("Yuki skirt", "Women Red dots Skirts", "Women Skirts", "Skirts")
    assert pair.labels == Labels(type="Skirts", gender="Women", colour="Red")
    assert pair.photo == tmp_path / "images" / "m7.png"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "reserved"}, "reserved"),
        ({"status": "removed"}, "removed"),
        ({"title": "Reserved for aoi-sama"}, "reserved_title"),
        ({"title": "まりん様専用 スカート"}, "reserved_title"),
        ({"title": " "}, "no_title"),
        ({"images": []}, "no_photo"),
        ({"category": []}, "not_a_listing"),
    ],
)
def test_unsuitable_listings_are_dropped_with_a_reason(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    """What teaches nothing about pictures is counted, never silently lost."""
    dropped: Counter[str] = Counter()
    assert list(read_pairs([write_listings(tmp_path, [make_event(**changes)])], dropped)) == []
    assert dropped == {reason: 1}


def test_sold_listings_stay(tmp_path: Path) -> None:
    """A sold thing's photo still matches its title."""
    path = write_listings(tmp_path, [make_event(status="sold_out")])
    assert len(list(read_pairs([path], Counter()))) == 1


def test_attributes_that_are_no_text_are_left_aside(tmp_path: Path) -> None:
    """A size of 42 is in no caption, and the rest of the listing counts."""
    attributes = {"size": 42, "colour": True, "pattern": None, "gender": "Women"}
    (pair,) = read_pairs([write_listings(tmp_path, [make_event(attributes=attributes)])], Counter())
    assert pair.captions[1:] == ("Women Skirts", "Skirts")


def test_a_corpus_is_cut_and_fingerprinted(corpus: Corpus) -> None:
    """Rows of the splits make the whole; the fingerprint follows the content."""
    counts = [len(corpus.rows(split)) for split in ("train", "validation", "test")]
    assert sum(counts) == len(corpus.rows("all")) == 96
    part = corpus.part(corpus.rows("test"))
    assert len(part.pairs) == len(part.pixels) == counts[2]
    assert part.fingerprint != corpus.fingerprint == corpus.part(corpus.rows("all")).fingerprint

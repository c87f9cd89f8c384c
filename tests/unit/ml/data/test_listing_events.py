"""Pairs from listing events: captions, labels, reasons for dropping, and the corpus that they form."""

from collections import Counter
from pathlib import Path

import pytest

from ml.data.corpus import Corpus
from ml.data.pairs import Labels
from ml.training.read_corpus import read_pairs
from tests.unit.ml.conftest import make_event, write_listings


def test_a_listing_gives_its_title_and_its_description(tmp_path: Path) -> None:
    """The captions are the title, and the attributes in words, down to the type."""
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
    """They are counted by reason."""
    dropped: Counter[str] = Counter()
    assert list(read_pairs([write_listings(tmp_path, [make_event(**changes)])], dropped)) == []
    assert dropped == {reason: 1}


def test_sold_listings_are_used(tmp_path: Path) -> None:
    """The photo of a sold item still matches its title."""
    path = write_listings(tmp_path, [make_event(status="sold_out")])
    assert len(list(read_pairs([path], Counter()))) == 1


def test_attributes_that_are_not_strings_are_ignored(tmp_path: Path) -> None:
    """A size of 42 is in no caption, and the rest of the listing is used."""
    attributes = {"size": 42, "colour": True, "pattern": None, "gender": "Women"}
    (pair,) = read_pairs([write_listings(tmp_path, [make_event(attributes=attributes)])], Counter())
    assert pair.captions[1:] == ("Women Skirts", "Skirts")


def test_a_corpus_has_parts_and_a_fingerprint(corpus: Corpus) -> None:
    """The splits together have all rows; the fingerprint depends on the content."""
    counts = [len(corpus.rows(split)) for split in ("train", "validation", "test")]
    assert sum(counts) == len(corpus.rows("all")) == 96
    part = corpus.part(corpus.rows("test"))
    assert len(part.pairs) == len(part.pixels) == counts[2]
    assert part.fingerprint != corpus.fingerprint == corpus.part(corpus.rows("all")).fingerprint

"""Reading and decoding a corpus."""

import errno
import io
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from ml.data.json_lines import NotUtf8
from ml.data.listing_events import NoListings
from ml.data.pairs import Labels, NoPairs, Pair
from ml.inference.embed import photo_sources
from ml.training.read_corpus import DiskFull, read_class_folders, read_corpus, read_pairs
from tests.unit.ml.conftest import draw_photo, make_event, write_listings

EARLY, LATE = "2026-06-01T12:00:00Z", "2026-06-01T20:30:00+09:00"


@pytest.mark.parametrize(
    ("events", "titles"),
    [
        ([{"title": "New", "updated_at": EARLY}, {"title": "Old", "updated_at": LATE}], ["New"]),
        ([{"title": "First", "updated_at": EARLY}, {"title": "Last", "updated_at": EARLY}], ["Last"]),
        ([{"title": "First"}, {"title": "Last"}], ["Last"]),
        ([{"title": "Dated", "updated_at": EARLY}, {"title": "Undated"}], ["Dated"]),
        ([{"status": "removed", "updated_at": EARLY}, {"updated_at": LATE}], []),
        ([{"updated_at": EARLY}, {"status": "removed", "updated_at": LATE}], ["Plain red skirt m1"]),
    ],
)
def test_the_newest_event_of_an_item_is_used(
    tmp_path: Path, events: list[dict[str, object]], titles: list[str]
) -> None:
    """By updated_at, then by position; also if it removes the item."""
    dropped: Counter[str] = Counter()
    path = write_listings(tmp_path, [make_event(**event) for event in events])
    assert [pair.title for pair in read_pairs([path], dropped)] == titles
    assert dropped["earlier_event_of_item"] == 1


def test_an_item_is_read_once(shop: Path, tmp_path: Path) -> None:
    """If the same listings or class folders are given twice, photos are not their own best neighbours."""
    for folder in ("a", "b"):
        draw_photo(tmp_path / folder / "hat" / "1.png", "Red", "Skirts", 1)
    dropped: Counter[str] = Counter()
    pairs = list(read_pairs([shop, tmp_path / "a", shop, tmp_path / "b", tmp_path / "b"], dropped))
    assert len(pairs) == 98
    assert dropped == {"earlier_event_of_item": 97}


@pytest.mark.parametrize("name", ["listings.parquet", "listings.CSV"])
def test_listings_in_tables_are_rejected(tmp_path: Path, name: str) -> None:
    """They are not read as JSON lines or as a photo."""
    (tmp_path / name).write_text("item_id,title\n")
    with pytest.raises(NoListings, match=rf"{name}: .* convert it to a \.jsonl file"):
        read_corpus([tmp_path / name], 24)
    with pytest.raises(NoListings, match="convert it"):
        list(photo_sources([tmp_path / name]))


def test_invalid_lines_and_photos_are_counted(tmp_path: Path) -> None:
    """Invalid lines, missing files and damaged photos leave the rest usable."""
    draw_photo(tmp_path / "images" / "m1.png", "Red", "Skirts", 1)
    (tmp_path / "images" / "m2.png").write_bytes(b"<html>")
    path = write_listings(tmp_path, [make_event(f"m{number}") for number in (1, 2, 3)])
    path.write_text("no JSON\n" + path.read_text())
    corpus = read_corpus([path], 32)
    assert [pair.item_id for pair in corpus.pairs] == ["m1"]
    assert corpus.dropped == {"not_a_listing": 1, "photo_not_an_image": 1, "photo_unreadable": 1}


def test_nothing_usable_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    """The message counts what was dropped by reason."""
    path = write_listings(tmp_path, [make_event(status="removed")])
    with pytest.raises(NoPairs, match=r"no usable pair in .*listings\.jsonl: 1 removed"):
        read_corpus([path], 32)


def test_class_folders_are_captioned_by_class(tmp_path: Path) -> None:
    """Their pairs have no titles."""
    draw_photo(tmp_path / "hat" / "1.png", "Red", "Skirts", 1)
    (tmp_path / "hat" / "notes.txt").write_text("no photo")
    reason, pair = read_class_folders(tmp_path)
    assert reason == "not_a_photo"
    assert isinstance(pair, Pair)
    assert (pair.item_id, pair.title, pair.labels) == ("hat/1", "", Labels("hat"))
    assert pair.captions == ("a photo of a hat, people's own photo",)


def test_class_folders_may_have_names_in_any_bytes(tmp_path: Path) -> None:
    """Photos may have any name; a class name that is not UTF-8 cannot be a caption."""
    draw_photo(tmp_path / "hat" / os.fsdecode(b"\x83X.png"), "Red", "Skirts", 1)
    draw_photo(tmp_path / os.fsdecode(b"\x83J") / "1.png", "Blue", "Skirts", 2)
    corpus = read_corpus([tmp_path], 32)
    assert ([pair.labels.type for pair in corpus.pairs], len(corpus.fingerprint)) == (["hat"], 16)
    assert corpus.dropped == {"class_name_not_utf8": 1}


def test_a_byte_order_mark_does_not_hide_the_first_listing(tmp_path: Path) -> None:
    """As Excel and PowerShell write it."""
    draw_photo(tmp_path / "images" / "m1.png", "Red", "Skirts", 1)
    path = write_listings(tmp_path, [make_event("m1")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    corpus = read_corpus([path], 32)
    assert ([pair.item_id for pair in corpus.pairs], corpus.dropped) == (["m1"], {})


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_rejected(tmp_path: Path, encoding: str) -> None:
    """The message has the encoding."""
    path = write_listings(tmp_path, [make_event("m1")])
    path.write_bytes(("\ufeff" + path.read_text()).encode(encoding))
    with pytest.raises(NotUtf8, match=r"listings.jsonl: UTF-16, expected UTF-8; save it as UTF-8"):
        read_corpus([path], 32)


def test_splits_do_not_depend_on_the_size_of_pixels(shop: Path) -> None:
    """Encoders of other input sizes are trained and compared on the same splits."""
    small, large = read_corpus([shop], 24), read_corpus([shop], 40)
    assert (small.size, large.size) == (24, 40)
    assert small.splits.tolist() == large.splits.tolist()
    assert small.fingerprint == large.fingerprint


def test_the_fingerprint_depends_on_the_photos(tmp_path: Path) -> None:
    """Also if ids, captions and splits are equal."""
    path = write_listings(tmp_path, [make_event()])
    fingerprints = set()
    for seed in (1, 2, 1):
        draw_photo(tmp_path / "images" / "m1.png", "Red", "Skirts", seed)
        fingerprints.add(read_corpus([path], 24).fingerprint)
    assert len(fingerprints) == 2


def test_a_full_disk_while_decoding_is_named(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels are stored in a temporary file, which may be larger than its disk."""

    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
    with pytest.raises(DiskFull, match=r"No space left.*TMPDIR"):
        read_corpus([shop], 24)


def test_marketplaces_may_have_the_same_ids(tmp_path: Path) -> None:
    """Files of one folder share ids; those of another folder have their own."""
    paths = []
    for shop in ("one", "other"):
        draw_photo(tmp_path / shop / "images" / "m1.png", "Red", "Skirts", 1)
        paths.append(write_listings(tmp_path / shop, [make_event("m1")]))
    copy = paths[0].with_name("again.jsonl")
    copy.write_bytes(paths[0].read_bytes())
    corpus = read_corpus([*paths, copy], 24)
    assert len(corpus.pairs) == 2
    assert corpus.dropped == {"earlier_event_of_item": 1}

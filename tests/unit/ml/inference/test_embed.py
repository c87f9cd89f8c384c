"""Embedding of photos from files, folders and listings."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.artifact import EncoderArtifact, Preprocessing
from ml.atomic_files import NotWritten
from ml.data.corpus import Corpus
from ml.data.json_lines import json_lines
from ml.data.pairs import NoPairs
from ml.data.prefetch import PREFETCH
from ml.inference.embed import (
    Embedded,
    embed_photos,
    id_line,
    ids_path,
    photo_sources,
    read,
    read_ids,
    save_embedded,
)
from ml.inference.encoder import load_encoder
from ml.training.read_corpus import read_corpus
from ml.training.write_pair_shards import PairSettings, write_pairs
from tests.unit.ml.conftest import draw_photo, make_event, write_listings
from tests.unit.ml.test_cli import call


def test_more_photos_than_the_prefetch_limit(artifact: EncoderArtifact, corpus: Corpus, shop: Path) -> None:
    """Every photo has its own vector."""
    encoder = load_encoder(artifact)
    found = embed_photos(list(photo_sources([shop])), encoder, artifact.preprocessing, threads=2)
    assert len(found.ids) == 96 > PREFETCH
    assert found.ids == [pair.item_id for pair in corpus.pairs]
    assert np.allclose(found.vectors, encoder.encode(corpus.pixels), atol=1e-5)


def test_a_line_that_is_not_utf_8_is_left_out(tmp_path: Path) -> None:
    """The listings after it are read."""
    listings = write_listings(tmp_path, [make_event("m1")])
    listings.write_bytes(b"\xff\xfe\n" + listings.read_bytes())
    bad, good = photo_sources([listings])
    assert (bad.photo, good.item_id) == (None, "m1")


def test_a_folder_of_pairs_has_the_photos_of_its_listings(shop: Path, tmp_path: Path) -> None:
    """In any folder, under the ids of the listings."""
    write_pairs([shop], tmp_path / "pairs", PairSettings())
    ids = {source.item_id for source in photo_sources([tmp_path / "pairs"])}
    assert ids == {source.item_id for source in photo_sources([shop])}


def test_vectors_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    """Their folder is a file."""
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "v.npy", tmp_path / "file" / "deep" / "v.npy"):
        with pytest.raises(NotWritten, match=r"file.*: cannot be written"):
            save_embedded(Embedded(np.zeros((1, 2), np.float32), ["m1"]), out)


def test_an_invalid_path_is_left_out(tmp_path: Path) -> None:
    """Such as one with a null byte in a listing's images."""
    listings = write_listings(tmp_path, [make_event(images=["a\0b.png"])])
    (source,) = photo_sources([listings])
    assert str(read(source, Preprocessing(image_size=24))).startswith("photo_unreadable: ")
    with pytest.raises(NoPairs, match="1 photo_unreadable"):
        read_corpus([listings], 24)


def photo_bytes(tmp_path: Path) -> bytes:
    draw_photo(tmp_path / "drawn.png", "Red", "Ties", 1)
    return (tmp_path / "drawn.png").read_bytes()


NAMES = (b"\x83X\x83J.png", b"a\nb\nc.png", b"\xe2\x80\xa8.png", b"tab\t.png", b'"quoted".png', b"plain.png")
"""CP932, line breaks of two kinds, and what is easily taken for one."""


def test_photos_with_names_in_any_bytes_have_an_id_each(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """The ids are read back as the paths of the files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in NAMES:
        (folder / os.fsdecode(name)).write_bytes(photo_bytes(tmp_path))
    out = tmp_path / "v.npy"
    result = call("embed", folder, "--out", out, "--artifact", artifact.folder)
    assert result.exit_code == 0, result.output
    assert len(ids_path(out).read_bytes().splitlines()) == len(np.load(out)) == len(NAMES)
    found = read_ids(ids_path(out))
    assert sorted(os.fsencode(path) for path in found) == sorted(
        os.fsencode(folder) + b"/" + n for n in NAMES
    )
    assert str(folder / "plain.png") in ids_path(out).read_text().splitlines()


@given(st.lists(st.text(st.characters(exclude_categories=[]), min_size=1)))
def test_ids_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    """One per line, with any content."""
    path = tmp_path_factory.mktemp("ids") / "v.npy"
    save_embedded(Embedded(np.zeros((len(ids), 2), np.float32), ids), path)
    assert read_ids(ids_path(path)) == ids


def test_ids_of_other_programs_are_read_unchanged(tmp_path: Path) -> None:
    """Also with a byte order mark, or a quote that does not start a JSON string."""
    (tmp_path / "v.ids.txt").write_text('m1\n"half\nm"3"\n', encoding="utf-8-sig")
    assert read_ids(tmp_path / "v.ids.txt") == ["m1", '"half', 'm"3"']
    assert id_line('m"3"') == 'm"3"'


def test_every_file_of_a_folder_is_embedded_or_listed(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """Suffixes are compared without case; for unknown ones the first bytes decide."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    good = ("a.PNG", "b.jfif", "c.jpe", "d.heic", "deep/e", "f.upload", ".hidden")
    for name in good:
        (folder / name).write_bytes(photo_bytes(tmp_path))
    bad = {"broken.avif": "photo_not_an_image", "notes.txt": "not_a_photo", "empty": "not_a_photo"}
    for name in bad:
        (folder / name).write_bytes(b"" if name == "empty" else b"some words")
    (folder / "link").symlink_to(tmp_path)
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.jpg")
    reasons = bad | {"link": "link_to_folder", "gone.jpg": "photo_unreadable", "pipe.jpg": "not_a_photo"}
    out = tmp_path / "v.npy"
    result = call("embed", folder, "--out", out, "--artifact", artifact.folder, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output)
    assert (summary["given"], summary["embedded"]) == (len(good) + len(reasons), len(good))
    assert (summary["vectors"], summary["ids"]) == (str(out), str(ids_path(out)))
    left_out = {one["id"]: one["reason"].partition(":")[0] for one in summary["left_out"]}
    assert left_out == {str(folder / name): reason for name, reason in reasons.items()}
    assert read_ids(ids_path(out)) == sorted(str(folder / name) for name in good)


@pytest.mark.parametrize("name", ["l.jsonl", "l.JSONL", "l.ndjson"])
def test_listings_are_read_with_a_byte_order_mark_and_any_suffix_of_json_lines(
    tmp_path: Path, name: str
) -> None:
    """The first listing is not dropped."""
    (tmp_path / name).write_text(json.dumps(make_event("m1")) + "\n", encoding="utf-8-sig")
    (source,) = photo_sources([tmp_path / name])
    assert source.item_id == "m1"


def test_blank_lines_are_skipped(tmp_path: Path) -> None:
    """Line numbers in messages count them."""
    path = tmp_path / "listings.jsonl"
    path.write_text("\n" + json.dumps(make_event("m1")) + "\n  \n\n", encoding="utf-8")
    assert [number for number, _ in json_lines(path)] == [2]
    assert [source.item_id for source in photo_sources([path])] == ["m1"]


def test_lines_with_the_same_id_are_counted_separately(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """The number given is that embedded plus that left out."""
    listings = write_listings(tmp_path, [make_event("m1"), make_event("m1", images=["no.png"])])
    found = embed_photos(list(photo_sources([listings])), load_encoder(artifact), artifact.preprocessing)
    assert (len(found.ids), [item_id for item_id, _ in found.left_out]) == (0, ["m1", "m1"])


def test_vectors_and_ids_are_both_written_or_neither(tmp_path: Path) -> None:
    """The files of an earlier run are kept if the disk is full."""
    out = tmp_path / "v.npy"
    save_embedded(Embedded(np.zeros((1, 2), np.float32), ["old"]), out)
    (tmp_path / "v.ids.txt.partial").mkdir()
    with pytest.raises(NotWritten, match=r"v\.ids\.txt: cannot be written"):
        save_embedded(Embedded(np.ones((2, 2), np.float32), ["new", "newer"]), out)
    assert (np.load(out).tolist(), read_ids(ids_path(out))) == ([[0, 0]], ["old"])
    (fresh := tmp_path / "fresh").mkdir()
    (fresh / "v.ids.txt").mkdir()
    with pytest.raises(NotWritten, match=r"v\.ids\.txt: cannot be written"):
        save_embedded(Embedded(np.ones((1, 2), np.float32), ["new"]), fresh / "v.npy")
    assert [path.name for path in fresh.iterdir()] == ["v.ids.txt"]

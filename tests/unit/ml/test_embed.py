"""Photos of files, folders and listings to vectors with ids."""

from pathlib import Path

import numpy as np
import pytest

from ml.artifact import EncoderArtifact, Preprocessing
from ml.embed import Embedded, embed_photos, photo_sources, read, save_embedded
from ml.encoder import load_encoder
from ml.files import NotWritten
from ml.pair_shards import PairSettings, write_pairs
from ml.pairs import Corpus, NoPairs, read_corpus
from ml.prefetch import PREFETCH
from tests.unit.ml.conftest import make_event, write_listings


def test_more_photos_than_are_prefetched(artifact: EncoderArtifact, corpus: Corpus, shop: Path) -> None:
    """Every photo gets its own vector, also past the bound."""
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
    """Wherever they lie, under the ids of the listings."""
    write_pairs([shop], tmp_path / "pairs", PairSettings())
    ids = {source.item_id for source in photo_sources([tmp_path / "pairs"])}
    assert ids == {source.item_id for source in photo_sources([shop])}


def test_vectors_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    """A plain file stands where their folder should be."""
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "v.npy", tmp_path / "file" / "deep" / "v.npy"):
        with pytest.raises(NotWritten, match=r"file.*: cannot be written"):
            save_embedded(Embedded(np.zeros((1, 2), np.float32), ["m1"]), out)


def test_a_path_that_no_file_can_have_is_a_photo_left_out(tmp_path: Path) -> None:
    """A null byte in a listing's images is no end of the run."""
    listings = write_listings(tmp_path, [make_event(images=["a\0b.png"])])
    (source,) = photo_sources([listings])
    assert str(read(source, Preprocessing(image_size=24))).startswith("photo_unreadable: ")
    with pytest.raises(NoPairs, match="'photo_unreadable': 1"):
        read_corpus([listings], 24)

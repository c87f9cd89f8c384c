"""Photos from disk: only from allowed folders, only what is a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.image_roots import ImageRoots
from mappings.listing import ListingDocument
from query.api.errors import PhotoMissing
from query.api.photos import open_photo, sniff
from tests.factories import make_listing
from tests.pictures import encode, ftyp


def document_with(*images: str) -> ListingDocument:
    listing = make_listing(images=list(images))
    return to_document(listing, EncodedPhoto((1.0, 0.0, 0.0, 0.0), "0" * 16), "colour-00000001")


def picture(kind: str) -> bytes:
    return encode(Image.new("RGB", (32, 32), "red"), kind)


@pytest.mark.parametrize(
    ("kind", "mimetype"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("AVIF", "image/avif"),
        ("HEIC", "image/heic"),
    ],
)
def test_a_picture_is_known_by_its_bytes(tmp_path: Path, kind: str, mimetype: str) -> None:
    """Its name may say anything; the file comes from its first byte."""
    (tmp_path / "photo.dat").write_bytes(picture(kind))
    photo = open_photo(document_with("photo.dat"), 0, ImageRoots((tmp_path,)))
    with photo.stream as stream:
        assert stream.read() == picture(kind)
    assert photo.mimetype == mimetype


@pytest.mark.parametrize(
    "major", ["heic", "heix", "heim", "heis", "hevc", "hevx", "msf1", "mif1", "mif2", "miaf"]
)
def test_every_brand_that_is_indexed_is_served(major: str) -> None:
    """A HEIC whose brand is a general one may also be an AVIF, which its other brands say."""
    assert sniff(ftyp(major.encode())) == "image/heic"
    assert sniff(ftyp(major.encode(), [b"avif"])) == ("image/heic" if major[:2] == "he" else "image/avif")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html><script>", b"<svg onload='alert(1)'>", b"RIFF....WAVE", b"\xff\xd8", ftyp(b"isom")],
)
def test_what_is_no_picture_is_not_served(tmp_path: Path, content: bytes) -> None:
    """HTML, SVG or sound under a picture's name would run or play in our name."""
    (tmp_path / "photo.jpg").write_bytes(content)
    assert sniff(content) is None
    with pytest.raises(PhotoMissing, match="photo_not_an_image"):
        open_photo(document_with("photo.jpg"), 0, ImageRoots((tmp_path,)))


def test_a_changed_photo_has_another_tag(tmp_path: Path) -> None:
    """So that browsers fetch it anew."""
    tags = []
    for kind in ("PNG", "JPEG"):
        (tmp_path / "photo").write_bytes(picture(kind))
        photo = open_photo(document_with("photo"), 0, ImageRoots((tmp_path,)))
        photo.stream.close()
        tags.append(photo.etag)
    assert len(set(tags)) == 2


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("../secret.jpg", "photo_outside_roots"),
        ("/etc/passwd", "photo_outside_roots"),
        ("file:///etc/passwd", "photo_scheme_not_allowed"),
        ("link.jpg", "photo_outside_roots"),
        ("gone.jpg", "photo_not_found"),
        ("folder", "photo_not_a_file"),
        ("https://example.com/photo.jpg", "photo_is_elsewhere"),
    ],
)
def test_what_must_not_be_read_is_not_read(tmp_path: Path, reference: str, reason: str) -> None:
    """Paths out of the folder, links out of it, other schemes, and photos that live elsewhere."""
    roots = tmp_path / "roots"
    (roots / "folder").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(picture("JPEG"))
    (roots / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(PhotoMissing) as caught:
        open_photo(document_with(reference), 0, ImageRoots((roots,)))
    assert caught.value.reason == reason


def test_a_number_beyond_the_last_is_no_photo(tmp_path: Path) -> None:
    """A listing with one photo has no second."""
    with pytest.raises(PhotoMissing, match="photo_not_listed"):
        open_photo(document_with("photo.jpg"), 1, ImageRoots((tmp_path,)))


def test_a_file_that_cannot_be_read_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when another user owns it."""
    (tmp_path / "photo.jpg").write_bytes(picture("JPEG"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PhotoMissing, match="photo_not_readable"):
        open_photo(document_with("photo.jpg"), 0, ImageRoots((tmp_path,)))

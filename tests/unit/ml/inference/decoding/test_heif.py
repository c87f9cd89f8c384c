"""HEIC and AVIF photos of phones."""

from __future__ import annotations

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.inference.decoding.boxes import PrimaryItem, primary_item
from ml.inference.encoder import load_encoder
from ml.inference.preprocess import UnusablePhoto, decode_as, decode_photo
from tests.pictures import box, encode, ftyp, smooth

SIZE = 64


def with_orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_the_vector_equals_that_of_the_jpeg(kind: str) -> None:
    """The format of a photo does not change its neighbours."""
    artifact = load_artifact(DEFAULT_ARTIFACT)
    photos = [encode(smooth(), "JPEG", quality=90), encode(smooth(), kind, quality=80)]
    one, other = load_encoder(artifact).encode(
        np.stack([decode_as(artifact.preprocessing, data) for data in photos])
    )
    assert one @ other > 0.995


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_rotated_once(kind: str, orientation: int) -> None:
    """Although its boxes and the EXIF of the camera both give the rotation."""
    jpeg = decode_photo(encode(smooth(), "JPEG", quality=95, exif=with_orientation(orientation)), SIZE)
    exif = with_orientation(orientation)
    found = decode_photo(
        encode(smooth(), kind, quality=90, exif=exif.tobytes() if kind == "HEIC" else exif), SIZE
    )
    assert np.abs(found.astype(int) - jpeg).mean() < 3


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_orientation_in_exif_alone_is_not_applied(kind: str) -> None:
    """The standard has boxes for rotation (ISO 23008-12, 6.5.10); without them a photo is upright."""
    exif = with_orientation(6)
    data = encode(smooth(), kind, quality=90, exif=exif.tobytes() if kind == "HEIC" else exif)
    turn = data.index(b"irot") + 4
    untold = data[:turn] + b"\0" + data[turn + 1 :]
    plain = decode_photo(encode(smooth(), "JPEG", quality=95), SIZE)
    # Without its turn the file holds the stored picture.
    found = decode_photo(untold, SIZE).astype(int)
    turns = [np.abs(found - np.rot90(plain, quarter)).mean() for quarter in range(4)]
    assert int(np.argmin(turns)) == 0


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_transparency_shows_white(kind: str) -> None:
    """Transparent pixels are composed on white."""
    picture = smooth().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 320, 120))
    found = decode_photo(encode(picture, kind, quality=90), SIZE)
    assert found[:28].min() > 245
    assert found[36:].mean() < 200


@pytest.mark.parametrize("mode", ["I;16", "RGB;16"])
def test_more_than_8_bits_keep_their_steps(mode: str) -> None:
    """A ramp of 10 bits rises from black to white, step by step."""
    ramp = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (64, 1))
    pixels = ramp if mode == "I;16" else np.repeat(ramp[..., None], 3, axis=2)
    buffer = io.BytesIO()
    pillow_heif.encode(mode, (64, 64), pixels.tobytes(), buffer, quality=-1, chroma=444)
    found = decode_photo(buffer.getvalue(), SIZE)[32, :, 1].astype(int)
    assert (np.diff(found) > 0).all()
    assert found[0] <= 1
    assert found[-1] >= 254


def test_a_tiled_photo_is_assembled() -> None:
    """iPhones write tiles."""
    data = encode(smooth(640, 480), "HEIC", quality=90, tile_size=128)
    assert primary_item(data).kind == b"grid"
    plain = decode_photo(encode(smooth(640, 480), "JPEG", quality=95), SIZE)
    assert np.abs(decode_photo(data, SIZE).astype(int) - plain).mean() < 3


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_of_several_images_the_first_is_used(kind: str) -> None:
    """Bursts and sequences."""
    red, blue = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")
    if kind == "HEIC":
        buffer = io.BytesIO()
        file = pillow_heif.from_pillow(red)
        file.add_from_pillow(blue)
        file.save(buffer)
        data = buffer.getvalue()
    else:
        data = encode(red, kind, save_all=True, append_images=[blue])
    pixel = decode_photo(data, SIZE)[9, 9]
    assert pixel[0] > 240
    assert pixel[2] < 15


def test_the_brand_of_a_heic_may_be_that_of_all_heif_files() -> None:
    """Then the type of the primary item selects the decoder."""
    data = encode(smooth(), "HEIC", quality=90)
    general = data.replace(b"heic", b"mif1", 2)
    assert np.array_equal(decode_photo(general, SIZE), decode_photo(data, SIZE))


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
def test_a_truncated_photo_is_rejected(kind: str, share: float) -> None:
    """Its pixels are not stored in rows, so a part is unusable."""
    data = encode(smooth(), kind, quality=90)
    with pytest.raises(UnusablePhoto) as caught:
        decode_photo(data[: int(len(data) * share)], SIZE)
    assert caught.value.reason == "photo_truncated"


@pytest.mark.parametrize(("kind", "side"), [("HEIC", 12_000), ("AVIF", 12_000)])
def test_a_decompression_bomb_is_rejected_by_its_header(kind: str, side: int) -> None:
    """A few thousand bytes that declare 144 megapixels; nothing is decoded."""
    data = encode(smooth(64, 64), kind)
    place = data.index(b"ispe") + 8
    with pytest.raises(UnusablePhoto) as caught:
        decode_photo(data[:place] + struct.pack(">II", side, side) + data[place + 8 :], SIZE)
    assert caught.value.reason in {"photo_too_many_pixels", "photo_truncated"}


def heic_with(data: bytes, old: bytes, new: bytes) -> bytes:
    """The file with other bytes of the same length in its meta box."""
    assert old in data
    assert len(old) == len(new)
    return data.replace(old, new, 1)


def crowded(data: bytes, parent: bytes, count: int) -> bytes:
    """The HEIC with so many items before the first of its iinf box, or free boxes before its meta box."""
    meta = data.index(b"meta") - 4
    if parent == b"file":
        return data[:meta] + box(b"free") * count + data[meta:]
    iinf = data.index(b"iinf") - 4
    # Entries of version 2 of item 9: flags, number, protection, type and an empty name.
    added = box(b"infe", b"\2\0\0\0", b"\0\x63\0\0", b"hvc1", b"\0") * count
    grown = bytearray(data[: iinf + 14] + added + data[iinf + 14 :])
    for place in (meta, iinf):
        struct.pack_into(">I", grown, place, struct.unpack_from(">I", data, place)[0] + len(added))
    return bytes(grown)


OVERLAY = encode(smooth(), "HEIC").replace(b"hvc1", b"iovl", 1)


def test_a_composite_is_rejected() -> None:
    """An overlay can repeat one image hundreds of times."""
    with pytest.raises(
        UnusablePhoto, match=r"photo_unsupported: found HEIC that is a composite of other images \(iovl\)"
    ):
        decode_photo(OVERLAY, SIZE)


@pytest.mark.parametrize("kind", [b"iovl", b"grid", b"iden"])
def test_a_grid_of_composites_is_rejected(kind: bytes) -> None:
    """Tiles must be coded images."""
    data = encode(smooth(640, 480), "HEIC", tile_size=128)
    assert primary_item(data) == PrimaryItem(b"grid", primary_item(data).colours, frozenset({b"hvc1"}))
    tile = data.index(b"hvc1")
    with pytest.raises(UnusablePhoto, match=rf"composite of other images \({kind.decode()}\)"):
        decode_photo(data[:tile] + kind + data[tile + 4 :], SIZE)


@pytest.mark.parametrize("parent", [b"file", b"iinf"])
def test_an_overlay_behind_many_boxes_is_rejected(parent: bytes) -> None:
    """A file with more boxes than are read is rejected."""
    with pytest.raises(UnusablePhoto, match="composite"):
        decode_photo(crowded(OVERLAY, parent, 100), SIZE)
    with pytest.raises(UnusablePhoto, match=r"photo_too_complex: .*more than 10,000 boxes"):
        decode_photo(crowded(OVERLAY, parent, 10_001), SIZE)


@pytest.mark.parametrize(
    ("old", "new"), [(b"pitm", b"free"), (b"iinf", b"free"), (b"infe", b"free")], ids=["pitm", "iinf", "infe"]
)
def test_a_file_with_an_unreadable_primary_item_is_rejected(old: bytes, new: bytes) -> None:
    """A decoder might find another one."""
    data = encode(smooth(), "HEIC")
    for odd in (heic_with(data, old, new), heic_with(data, old, new).replace(b"heic", b"avif")):
        with pytest.raises(UnusablePhoto, match=r"photo_truncated: .*its primary item cannot be read"):
            decode_photo(odd, SIZE)


def test_a_second_meta_box_is_rejected() -> None:
    """Decoders use the last one, while the first could describe another image."""
    plain = encode(smooth(), "HEIC")
    meta = plain[plain.index(b"meta") - 4 : plain.index(b"mdat") - 4]
    start = OVERLAY.index(b"meta") - 4
    with pytest.raises(UnusablePhoto, match="photo_truncated"):
        decode_photo(OVERLAY[:start] + meta + OVERLAY[start:], SIZE)


def test_invalid_boxes_have_no_primary_item() -> None:
    """Sizes beyond the file, of zero and one, and endless lists."""
    heads = [b"", b"\0\0\0\1meta", b"\0\0\0\7meta", struct.pack(">I4sQ", 1, b"meta", 2**63)]
    for head in heads:
        assert primary_item(ftyp(b"mif1") + head) is None
    assert primary_item(ftyp(b"mif1") + b"\0\0\0\0meta") == PrimaryItem(b"")
    deep = box(b"meta", bytes(4), box(b"pitm", bytes(5)), box(b"iinf", bytes(6) + b"\0\0\0\x08infe" * 9))
    assert primary_item(ftyp(b"mif1") + deep) == PrimaryItem(b"")

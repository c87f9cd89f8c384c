"""PNGs are decoded as browsers show them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ml.inference.decoding.png import chunks
from ml.inference.preprocess import UnusablePhoto, decode_photo
from tests.pictures import encode, png_chunk, png_with, smooth

SIZE = 64
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(5_000_000))),
        png_chunk(b"iCCP", b"x\0\7" + zlib.compress(b"profile")),
        png_chunk(b"iCCP", b"x\0\0not compressed"),
        png_chunk(b"iCCP", b"without an end of the name"),
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
        png_chunk(b"tEXt", b"Comment\0" + bytes(1_500_000)),
        png_chunk(b"tEXt", b"Comment\0hello", crc=1),
        png_chunk(b"tIME", b"short"),
        png_chunk(b"pHYs", b"", crc=2),
        png_chunk(b"sRGB", b"\0", crc=3),
        png_chunk(b"tRNS", b"\0\0\0\0\0\0", crc=4),
        png_chunk(b"eXIf", b"garbage"),
        png_chunk(b"eXIf", b"MM\0*", crc=5),
        png_chunk(b"acTL", struct.pack(">II", 4_000_000_000, 0)),
        png_chunk(b"fcTL", b"", crc=6),
        png_chunk(b"quUx", bytes(100), crc=7),
    ],
    ids=lambda chunk: chunk[4:8].decode(),
)
def test_damage_in_irrelevant_chunks_is_ignored(chunk: bytes) -> None:
    """The pixels equal those without the chunk."""
    plain = decode_photo(encode(smooth()), SIZE)
    assert np.array_equal(decode_photo(png_with(encode(smooth()), chunk), SIZE), plain)


@pytest.mark.parametrize("kind", [b"tEXt", b"quUx", b"IDAT", b"fdAT"])
def test_a_png_with_too_many_chunks_is_rejected(kind: bytes) -> None:
    """Reading them would take more time and memory than a photo does."""
    plain, empty = encode(smooth()), png_chunk(kind, b"")
    pixels = plain.index(b"IDAT") - 4
    few = plain[:pixels] + empty * 1_000 + plain[pixels:]
    assert np.array_equal(decode_photo(few, SIZE), decode_photo(plain, SIZE))
    with pytest.raises(UnusablePhoto, match="photo_too_complex: found more than 100,000 PNG chunks"):
        decode_photo(plain[:pixels] + empty * 100_000 + plain[pixels:], SIZE)


def test_irrelevant_chunks_are_not_kept_in_memory() -> None:
    """None of 90,000 is held while the rest is read."""
    data = png_with(encode(smooth()), png_chunk(b"tEXt", b"") * 90_000)
    found, _ = chunks(data)
    assert {chunk.kind for chunk in found} == {b"IHDR", b"IDAT", b"IEND"}


def test_text_after_the_pixels_and_after_the_end_is_ignored() -> None:
    """Checksum errors and whole files included."""
    data = encode(smooth())
    after = data[:-12] + png_chunk(b"tEXt", b"a\0b", crc=1) + data[-12:]
    for odd in (after, data + b"more", data + data):
        assert np.array_equal(decode_photo(odd, SIZE), decode_photo(data, SIZE))


def test_a_png_without_its_end_chunk_is_complete() -> None:
    """Like a JPEG: all pixels are present."""
    data = encode(smooth())
    for cut in (12, 6, 1):
        assert np.array_equal(decode_photo(data[:-cut], SIZE), decode_photo(data, SIZE))


def test_wrong_checksums_of_pixels_are_rejected() -> None:
    """The image would be noise."""
    data = bytearray(encode(smooth()))
    data[bytes(data).index(b"IDAT") + 20] ^= 0xFF
    with pytest.raises(UnusablePhoto, match="photo_truncated"):
        decode_photo(bytes(data), SIZE)


def animation(*, hidden: bool) -> bytes:
    """Red, green and blue; a hidden red is not a frame."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, GREEN, BLUE)]
    return encode(frames[0], save_all=True, append_images=frames[1:], default_image=hidden, duration=100)


@pytest.mark.parametrize(("hidden", "colour"), [(True, GREEN), (False, RED)])
def test_an_apng_is_represented_by_the_first_frame_of_its_animation(
    hidden: bool, colour: tuple[int, int, int]
) -> None:
    """Only viewers without support for animation show the default image."""
    data = animation(hidden=hidden)
    assert decode_photo(data, SIZE)[9, 9].tolist() == list(colour)


def test_an_apng_without_frames_shows_its_default_image() -> None:
    """An acTL alone is not an animation."""
    data = png_with(encode(Image.new("RGB", (64, 64), RED)), png_chunk(b"acTL", struct.pack(">II", 2, 0)))
    assert decode_photo(data, SIZE)[9, 9].tolist() == list(RED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("transparency", [False, True])
def test_every_pixel_format_is_decoded(mode: str, transparency: bool) -> None:
    """Also with a transparent colour."""
    grey = Image.linear_gradient("L").resize((64, 64))
    if mode == "I;16":
        picture = Image.fromarray((np.asarray(grey).astype(np.uint16) + 1) * 250)
    else:
        picture = grey.convert(mode)
    options = {}
    if transparency and mode in {"L", "P", "RGB"}:
        options = {"transparency": (255, 255, 255) if mode == "RGB" else 255}
    found = decode_photo(encode(picture, **options), SIZE)
    assert found[:8].mean() < 60
    assert found[-8:].mean() > 190


def test_16_bit_grey_keeps_its_steps() -> None:
    """The 64 steps of a ramp stay distinct and ordered."""
    ramp = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (64, 1))
    found = decode_photo(encode(Image.fromarray(ramp)), SIZE)[32, :, 0].astype(int)
    assert (np.diff(found) > 0).all()
    assert (found[0], found[-1]) == (0, 255)

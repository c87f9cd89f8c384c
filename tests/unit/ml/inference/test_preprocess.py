"""Photos that sellers upload, and files that are not photos."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from ml.inference.preprocess import MAX_BYTES, UnusablePhoto, decode_photo, photo_hash
from tests.pictures import encode, noise, png_header

SIZE = 32
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
CLOSE = 12  # levels of 255 that JPEG and a naive CMYK conversion may be off


def halves(left: tuple[int, ...], right: tuple[int, ...], mode: str = "RGB", side: int = 64) -> Image.Image:
    """A square image of two colours."""
    image = Image.new(mode, (side, side), left)
    image.paste(right, (side // 2, 0, side, side))
    return image


def left_and_right(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return pixels[SIZE // 2, 4], pixels[SIZE // 2, -5]


def refusal(data: bytes) -> UnusablePhoto:
    with pytest.raises(UnusablePhoto) as caught:
        decode_photo(data, SIZE)
    return caught.value


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "HEIC", "AVIF"])
def test_allowed_formats_keep_their_colours(kind: str) -> None:
    """Each allowed format is decoded to an RGB square of the same colours."""
    pixels = decode_photo(encode(halves(RED, BLUE), kind), SIZE)
    assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)
    left, right = left_and_right(pixels)
    assert np.allclose(left, RED, atol=CLOSE)
    assert np.allclose(right, BLUE, atol=CLOSE)


def test_cmyk_jpeg_becomes_rgb() -> None:
    """A print shop's CMYK JPEG keeps its red."""
    photo = encode(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG")
    assert np.allclose(decode_photo(photo, SIZE).mean(axis=(0, 1)), RED, atol=CLOSE)


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    """16-bit mid-grey becomes 8-bit mid-grey; Pillow's own conversion would give white."""
    grey = Image.fromarray(np.full((64, 64), 32_768, dtype=np.uint16))
    assert np.allclose(decode_photo(encode(grey), SIZE), 127, atol=1)


def test_the_first_frame_of_an_animated_gif_is_used() -> None:
    """As browsers show first."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    photo = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    assert np.allclose(decode_photo(photo, SIZE).mean(axis=(0, 1)), RED, atol=CLOSE)


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a.transpose(1, 0, 2), 2)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation_is_applied(
    orientation: int, undo: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    """Photos are upright in every orientation of the phone."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = noise().resize((64, 96))
    expected = undo(decode_photo(encode(image), SIZE))
    assert np.array_equal(decode_photo(encode(image, "PNG", exif=exif), SIZE), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_ignored() -> None:
    """Damaged metadata does not make a photo unusable."""
    photo = encode(noise(), "JPEG", exif=b"Exif\x00\x00MM\x00*garbage")
    assert np.array_equal(decode_photo(photo, SIZE), decode_photo(encode(noise(), "JPEG"), SIZE))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_shows_white(mode: str) -> None:
    """Transparent pixels are composed on white."""
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    photo = encode(clear.convert(mode), "PNG") if mode != "PA" else encode(clear, "GIF", transparency=0)
    assert np.allclose(decode_photo(photo, SIZE), WHITE, atol=CLOSE)


def test_large_jpeg_is_decoded_at_reduced_scale_with_the_same_look() -> None:
    """Decoding at reduced scale differs by a few levels at most."""
    smooth = noise(8).resize((1200, 900), Image.Resampling.BICUBIC)
    jpeg, png = (decode_photo(encode(smooth, kind), SIZE).astype(int) for kind in ("JPEG", "PNG"))
    assert np.abs(jpeg - png).mean() < 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "photo_empty"),
        (b"\xff" * (MAX_BYTES + 1), "photo_too_large"),
        (b"<!DOCTYPE html><title>404</title>", "photo_not_an_image"),
        (b"II*\x00" + bytes(60), "photo_unsupported"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(60), "photo_truncated"),
        (encode(Image.new("RGB", (1, 1))), "photo_too_small"),
        (encode(Image.new("RGB", (400, 15))), "photo_too_small"),
        (png_header(11_000, 10_000), "photo_too_many_pixels"),
        (png_header(17_000, 16_000), "photo_too_many_pixels"),
        (png_header(60_000, 60_000), "photo_too_many_pixels"),
        (png_header(64, 64), "photo_truncated"),
        (b"\xff\xd8\xff\xe0", "photo_truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unusable_photo_has_a_reason(data: bytes, reason: str) -> None:
    """Each kind is rejected with its own code; the message says what was expected."""
    error = refusal(data)
    assert error.reason == reason
    assert str(error).startswith(f"{reason}: found ")
    assert ", expected " in str(error)


def test_the_message_names_found_and_expected_size() -> None:
    """Sellers read it."""
    assert str(refusal(encode(Image.new("RGB", (400, 15))))) == (
        "photo_too_small: found 400 × 15 pixels, expected both sides at least 16 pixels"
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated_photos_are_rejected(kind: str, share: float) -> None:
    """An interrupted upload does not become half an image."""
    photo = encode(noise(), kind)
    assert refusal(photo[: int(len(photo) * share)]).reason == "photo_truncated"


def test_pillow_settings_are_unchanged() -> None:
    """Process-wide settings are not ours to change."""
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    refusal(png_header(60_000, 60_000))
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_decoding_is_thread_safe() -> None:
    """Threads have the same pixels as a single one."""
    photos = [encode(Image.new("RGB", (300, 300), (shade, 0, 0)), "JPEG") for shade in range(0, 250, 10)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda photo: decode_photo(photo, SIZE), photos * 4))
    alone = [decode_photo(photo, SIZE) for photo in photos] * 4
    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))


def test_photo_hash_survives_compression_and_differs_between_photos() -> None:
    """Recompression changes few of the 64 bits; another photo differs in many."""
    smooth = noise(8).resize((256, 256), Image.Resampling.BICUBIC)
    other = smooth.transpose(Image.Transpose.ROTATE_90)
    plain, again, turned = (
        int(photo_hash(decode_photo(photo, 128)), 16)
        for photo in (encode(smooth), encode(smooth, "JPEG", quality=40), encode(other))
    )
    assert (plain ^ again).bit_count() <= 4
    assert (plain ^ turned).bit_count() >= 16
    assert len(photo_hash(decode_photo(encode(smooth), 128))) == 16


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("size", [(400, 200), (200, 400)])
def test_a_crop_keeps_the_square_in_the_centre(kind: str, orientation: int, size: tuple[int, int]) -> None:
    """Also for a JPEG decoded at reduced scale, and for a rotated photo."""
    image = Image.new("RGB", size, RED)
    across, down = size[0] // 2, size[1] // 2
    image.paste(BLUE, (across - 50, down - 50, across + 50, down + 50))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encode(image, kind, exif=exif)
    inside = decode_photo(data, SIZE, crop=0.4)
    assert inside.shape == (SIZE, SIZE, 3)
    assert np.abs(inside.astype(int) - BLUE).max() < CLOSE
    around = decode_photo(data, SIZE, crop=1.0)
    assert np.abs(around[0].astype(int) - RED).max() < CLOSE

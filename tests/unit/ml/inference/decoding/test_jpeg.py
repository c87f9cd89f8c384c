"""JPEGs of phones, editors and interrupted downloads."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.inference.decoding.jpeg import read_frame, segments
from ml.inference.preprocess import UnusablePhoto, decode_photo
from tests.pictures import PROFILES, encode, smooth, striped_jpeg

SIZE = 64
KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "444": {"subsampling": 0, "optimize": True},
    "profile": {"icc_profile": PROFILES["Display P3"]},
}


def photo(kind: str, mode: str = "RGB") -> bytes:
    grain = np.random.default_rng(0).integers(-9, 10, (480, 320, 3))
    picture = Image.fromarray((np.asarray(smooth(320, 480)) + grain).clip(0, 255).astype(np.uint8))
    return encode(picture.convert(mode), "JPEG", quality=90, **KINDS[kind])


def decoded(data: bytes) -> tuple[NDArray[np.int64], list[str]]:
    codes: list[str] = []
    return decode_photo(data, SIZE, on_defect=codes.append).astype(int), codes


@pytest.mark.parametrize(
    ("kind", "mode"), [*((kind, "RGB") for kind in KINDS), ("baseline", "L"), ("baseline", "CMYK")]
)
@pytest.mark.parametrize("ending", [b"", b"\xff", bytes(5_000)])
def test_a_jpeg_without_its_end_marker_is_complete(kind: str, mode: str, ending: bytes) -> None:
    """Also if half of the marker is present, or the file is padded with zeros."""
    whole, _ = decoded(photo(kind, mode))
    found, codes = decoded(photo(kind, mode)[:-2] + ending)
    assert (np.abs(found - whole).max(), codes) == (0, [])


@pytest.mark.parametrize("kind", KINDS)
def test_95_percent_of_a_jpeg_is_used_and_counted(kind: str) -> None:
    """The rows that are present equal those of the complete image."""
    data = photo(kind)
    whole, _ = decoded(data)
    found, codes = decoded(data[: int(len(data) * 0.95)])
    assert np.abs(found - whole)[: int(SIZE * 0.8)].mean() < 1
    assert codes == ([] if kind == "progressive" else ["photo_incomplete"])


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4, 0.7])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
def test_too_little_of_a_jpeg_is_rejected(kind: str, share: float) -> None:
    """As truncated."""
    data = photo(kind)
    with pytest.raises(UnusablePhoto, match="photo_truncated"):
        decode_photo(data[: int(len(data) * share)], SIZE)


@pytest.mark.parametrize("share", [0.4, 0.9])
@pytest.mark.parametrize("kind", ["CMYK", "YCCK"])
def test_missing_rows_are_detected_in_cmyk(kind: str, share: float) -> None:
    """Inverted, as Adobe writes it, so that missing blocks have other levels."""
    data = four_colours(kind)
    whole, codes = decoded(data[:-2])
    assert codes == []
    cut = data[: int(len(data) * share)]
    if share < 0.85:
        with pytest.raises(UnusablePhoto, match=r"photo_truncated: .*% of its rows are present"):
            decode_photo(cut, SIZE)
    else:
        found, codes = decoded(cut)
        assert np.abs(found - whole)[: int(SIZE * 0.75)].mean() < 1
        assert codes == ["photo_incomplete"]


def four_colours(kind: str) -> bytes:
    """A JPEG of four components with Adobe's marker for CMYK (0) or YCCK (2)."""
    data = photo("baseline", "CMYK")
    transform = data.index(b"Adobe") + 11
    return data[:transform] + bytes([2 if kind == "YCCK" else 0]) + data[transform + 1 :]


def half_grey(kind: str) -> bytes:
    """A photo whose lower half has the grey of missing blocks."""
    picture = smooth(320, 480)
    picture.paste((128, 128, 128), (0, 240, 320, 480))
    return encode(picture, "JPEG", quality=90, **KINDS[kind])


@pytest.mark.parametrize("ending", [b"", b"\xff", bytes(5_000)])
@pytest.mark.parametrize("kind", KINDS)
def test_grey_rows_that_are_present_do_not_count_as_missing(kind: str, ending: bytes) -> None:
    """Without an end marker they look the same; further bytes change only missing ones."""
    data = half_grey(kind)
    whole, _ = decoded(data)
    found, codes = decoded(data[:-2] + ending)
    assert (np.abs(found - whole).max(), codes) == (0, [])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
def test_missing_grey_rows_count_as_missing(kind: str) -> None:
    """Cut in the grey half, below 85 % of the rows, at any byte of a restart interval."""
    data = half_grey(kind)
    for cut in range(450, 850, 13):
        with pytest.raises(UnusablePhoto, match="photo_truncated"):
            decode_photo(data[:-cut], SIZE)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("follower", [b"\0", b"\xd0", b"\xd8", b""])
def test_fill_bytes_are_read_once(follower: bytes) -> None:
    """Scanning two megabytes from each of their bytes would take hours."""
    with suppress(UnusablePhoto):
        list(segments(b"\xff\xd8" + b"\xff" * 2_000_000 + follower))
    data = photo("baseline")
    assert decode_photo(data[:2] + b"\xff" * 50_000 + data[2:], SIZE).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("inserted", "found"),
    [
        (b"\xff\xfe\0\2" * 20_000, "more than 10,000 JPEG segments"),
        (b"\xff\xd0" * 1_000_000, "more than 1,000,000 parts"),
        (b"\xff" * 1_100_000, "more than 1,000,000 parts"),
    ],
    ids=["comments", "restarts", "fill"],
)
def test_a_header_with_too_many_parts_is_rejected(inserted: bytes, found: str) -> None:
    """Pillow reads each part in Python."""
    data = photo("baseline")
    with pytest.raises(UnusablePhoto, match=f"photo_too_complex: .*{found}"):
        decode_photo(data[:2] + inserted + data[2:], SIZE)


def repeated_scans(data: bytes, times: int) -> bytes:
    """The JPEG with its last scan repeated."""
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


@pytest.mark.parametrize("kind", ["progressive", "non-interleaved"])
def test_too_many_scans_are_rejected(kind: str) -> None:
    """Each is a pass over the entire image; encoders write 10 to 20."""
    data = non_interleaved() if kind == "non-interleaved" else photo(kind)
    assert decode_photo(repeated_scans(data, 80), SIZE).shape == (SIZE, SIZE, 3)
    with pytest.raises(UnusablePhoto, match=r"photo_too_complex: .* in [0-9,]+ scans, expected at most 100"):
        decode_photo(repeated_scans(data, 200), SIZE)


def test_more_pixels_allow_fewer_scans() -> None:
    """200 megapixels in 20 passes take as long as 40 in 100."""
    data = repeated_scans(photo("progressive"), 30)
    frame = data.index(b"\xff\xc2")
    large = data[: frame + 5] + struct.pack(">HH", 12_240, 16_320) + data[frame + 9 :]
    with pytest.raises(UnusablePhoto, match=r"photo_too_complex: .* expected at most 20 scans"):
        decode_photo(large, SIZE)


def test_a_progressive_jpeg_is_judged_by_the_area_of_its_first_scans() -> None:
    """Half of its bytes give the entire image, less sharp; a twentieth does not."""
    data = photo("progressive")
    whole, _ = decoded(data)
    assert np.abs(decoded(data[: len(data) // 2])[0] - whole).mean() < 2
    with pytest.raises(UnusablePhoto, match="photo_truncated"):
        decode_photo(data[: len(data) // 20], SIZE)


def test_a_progressive_jpeg_without_its_colours_is_rejected() -> None:
    """It would be grey, so a scan of each component is needed."""
    data = non_interleaved()
    assert decoded(data)[0].shape == (SIZE, SIZE, 3)
    second_scan = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    with pytest.raises(UnusablePhoto, match="1 of its 3 colour components"):
        decode_photo(data[:second_scan], SIZE)


def non_interleaved() -> bytes:
    """A sequential JPEG with a scan per component, made of three grey ones that share their tables."""
    planes = [encode(Image.new("L", (64, 64), level), "JPEG") for level in (100, 140, 160)]
    grey = planes[0]
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    sof = (
        b"\xff\xc0"
        + struct.pack(">HBHHB", 17, 8, 64, 64, 3)
        + b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3))
    )
    scans = [
        b"\xff\xda"
        + struct.pack(">HBBB", 8, 1, number, 0)
        + b"\0\x3f\0"
        + plane[plane.index(b"\xff\xda") + 10 : -2]
        for number, plane in enumerate(planes, start=1)
    ]
    return grey[:frame] + sof + grey[frame + 13 : scan] + b"".join(scans) + b"\xff\xd9"


def test_several_scans_count_as_memory() -> None:
    """libjpeg holds the coefficients of progressive images, and of images with a scan per component."""
    assert read_frame(photo("baseline")).coefficient_bytes == 0
    assert read_frame(photo("progressive")).coefficient_bytes == 320 * 480 * 3  # 4:2:0, two bytes each
    assert read_frame(non_interleaved()).coefficient_bytes == 64 * 64 * 3 * 2


def test_200_megapixels_are_decoded_and_a_bomb_is_not() -> None:
    """16,320 × 12,240 is the largest phone sensor; progressive at 4:4:4 it would take 1.2 GB."""
    data = striped_jpeg(16_320, 765)
    assert (read_frame(data).width, read_frame(data).height) == (16_320, 12_240)
    assert decode_photo(data, SIZE).std() > 10
    progressive = encode(smooth(64, 64), "JPEG", progressive=True, subsampling=0)
    for data, width, height in ((progressive, 16_320, 12_240), (photo("baseline"), 20_000, 20_000)):
        frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        large = data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
        with pytest.raises(UnusablePhoto, match="photo_too_many_pixels"):
            decode_photo(large, SIZE)


@pytest.mark.parametrize(
    ("marker", "precision", "name"), [(0xC3, 8, "lossless"), (0xC9, 8, "arithmetic"), (0xC1, 12, "12 bits")]
)
def test_jpegs_that_browsers_do_not_show_are_named(marker: int, precision: int, name: str) -> None:
    """Without calling a decoder."""
    data = photo("baseline")
    frame = data.index(b"\xff\xc0")
    odd = (
        data[: frame + 1]
        + bytes([marker])
        + data[frame + 2 : frame + 4]
        + bytes([precision])
        + data[frame + 5 :]
    )
    with pytest.raises(UnusablePhoto, match=f"photo_unsupported: found JPEG .*{name}"):
        decode_photo(odd, SIZE)


def test_orientation_in_xmp_alone_is_not_applied() -> None:
    """As in browsers; that of EXIF is, also if XMP differs."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    plain = decode_photo(encode(smooth(), "JPEG"), SIZE)
    assert np.array_equal(decode_photo(encode(smooth(), "JPEG", xmp=xmp), SIZE), plain)
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = decode_photo(encode(smooth(), "JPEG", xmp=xmp, exif=exif), SIZE)
    assert np.array_equal(turned, np.rot90(plain, 2))


def test_of_several_images_in_a_jpeg_the_first_is_used() -> None:
    """Phones append a gain map or a depth map to the photo."""
    data = encode(smooth(), "MPO", save_all=True, append_images=[Image.new("RGB", (320, 240), "red")])
    assert np.array_equal(decode_photo(data, SIZE), decode_photo(encode(smooth(), "JPEG"), SIZE))

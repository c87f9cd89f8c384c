"""Photos of every colour space are converted to sRGB."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.inference.decoding import colour
from ml.inference.decoding.colour import (
    PRIMARIES,
    UnusableProfile,
    coded_profile,
    matrix_profile,
    srgb_curve,
    srgb_transform,
)
from ml.inference.encoder import load_encoder
from ml.inference.preprocess import decode_as, decode_photo
from tests.pictures import PROFILES, encode, icc_profile, png_chunk, png_with, smooth

SIZE = 64

# CSS Color 4, "Sample code for Color Conversions": linear light to CIE XYZ.
SRGB = np.array(
    [
        [0.41239080, 0.35758434, 0.18048079],
        [0.21263901, 0.71516868, 0.07219232],
        [0.01933082, 0.11919478, 0.95053215],
    ]
)
P3 = np.array(
    [
        [0.48657095, 0.26566769, 0.19821729],
        [0.22897456, 0.69173852, 0.07928691],
        [0.0, 0.04511338, 1.04394437],
    ]
)
ADOBE = np.array(
    [
        [0.57666904, 0.18555824, 0.18822865],
        [0.29734498, 0.62736357, 0.07529146],
        [0.02703136, 0.07068885, 0.99133754],
    ]
)
PROPHOTO = np.array(
    [[0.79776664, 0.13518130, 0.03134773], [0.28807483, 0.71183523, 0.00008994], [0.0, 0.0, 0.82510460]]
)
TO_D50 = np.array(
    [
        [1.04792979, 0.02294687, -0.05019227],
        [0.02962781, 0.99043443, -0.01707380],
        [-0.00924304, 0.01505519, 0.75187428],
    ]
)

SPACES = {
    "Display P3": (P3, np.eye(3), None),
    "Adobe RGB": (ADOBE, np.eye(3), 563 / 256),
    "ProPhoto": (PROPHOTO, TO_D50, 1.8),
}


def in_space(image: Image.Image, space: str) -> Image.Image:
    """The same colours in another colour space."""
    to_xyz, adapt, gamma = SPACES[space]
    light = srgb_curve(np.asarray(image) / 255) @ (np.linalg.inv(to_xyz) @ adapt @ SRGB).T
    light = np.clip(light, 0, 1)
    if gamma is None:
        signal = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    else:
        signal = light ** (1 / gamma)
    return Image.fromarray(np.round(signal * 255).astype(np.uint8))


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean difference in levels of 255."""
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
        ("HEIC", {"quality": 95, "chroma": 444}),
    ],
)
def test_a_profile_is_applied_in_every_format_that_has_one(
    kind: str, options: dict[str, object], space: str
) -> None:
    """The image equals the same image in sRGB; without the profile it would not."""
    expected = decode_photo(encode(smooth()), SIZE)
    shifted = in_space(smooth(), space)
    found = decode_photo(encode(shifted, kind, icc_profile=PROFILES[space], **options), SIZE)
    assert difference(found, expected) < 2
    assert difference(decode_photo(encode(shifted), SIZE), expected) > 3


def test_the_vector_equals_that_of_the_image_in_srgb() -> None:
    """Cosine at least 0.98 with the committed encoder."""
    artifact = load_artifact(DEFAULT_ARTIFACT)
    photos = [encode(smooth(), "JPEG", quality=92)]
    photos += [
        encode(in_space(smooth(), space), "JPEG", quality=92, icc_profile=PROFILES[space]) for space in SPACES
    ]
    vectors = load_encoder(artifact).encode(
        np.stack([decode_as(artifact.preprocessing, photo) for photo in photos])
    )
    assert (vectors[1:] @ vectors[0]).min() >= 0.98


def test_an_srgb_profile_changes_nothing() -> None:
    """Photos with and without it have the same vector, for every version of sRGB."""
    tagged = encode(smooth(), "JPEG", icc_profile=matrix_profile(np.array(PRIMARIES[1]), srgb_curve))
    assert np.array_equal(decode_photo(tagged, SIZE), decode_photo(encode(smooth(), "JPEG"), SIZE))


@pytest.mark.parametrize("alpha", [False, True])
def test_palettes_and_transparency_are_converted_too(alpha: bool) -> None:
    """Transparent pixels stay white."""
    shifted = in_space(smooth(), "ProPhoto")
    picture = shifted.quantize(256)
    if alpha:
        picture = shifted.convert("RGBA")
        picture.paste((0, 0, 0, 0), (0, 0, 320, 60))
    found = decode_photo(encode(picture, icc_profile=PROFILES["ProPhoto"]), SIZE)
    assert difference(found[20:], decode_photo(encode(smooth()), SIZE)[20:]) < 5
    assert not alpha or (found[:12] == 255).all()


def curve(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile_is_applied(mode: str) -> None:
    """Linear grey is brighter than its numbers in sRGB."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63_190, 65_536, 54_061)
    profile = icc_profile(b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": curve(1.0)})
    picture = Image.new("L", (64, 64), 64).convert("LA" if mode == "LA" else "L")
    if mode == "I;16":
        picture = Image.fromarray(np.full((64, 64), 64 * 257, np.uint16))
    assert np.abs(decode_photo(encode(picture, icc_profile=profile), SIZE).astype(int) - 137).max() <= 2


def test_a_print_profile_is_applied() -> None:
    """Its table decides, here orange where plain arithmetic gives cyan."""
    nodes = np.full((16, 3), (255, 128, 128), np.uint8)  # Lab of white
    nodes[8:] = (160, 178, 188)  # whatever has cyan in it
    table = (
        b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65_536 * np.eye(3, dtype=int)).ravel())
    )
    table += bytes(range(256)) * 4 + nodes.tobytes() + bytes(range(256)) * 3
    profile = icc_profile(b"CMYK", b"Lab ", {b"A2B0": table})
    photo = encode(Image.new("CMYK", (64, 64), (255, 0, 0, 0)), "JPEG", quality=95, icc_profile=profile)
    red, green, blue = decode_photo(photo, SIZE)[32, 32].tolist()
    assert red > green > blue


P3_PROFILE = PROFILES["Display P3"]


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile at all",
        P3_PROFILE[:200],
        P3_PROFILE[:132] + b"\xff" * 400,
        P3_PROFILE[:16] + b"CMYK" + P3_PROFILE[20:],
        P3_PROFILE[:16] + b"GRAY" + P3_PROFILE[20:],
        P3_PROFILE[:12] + b"link" + P3_PROFILE[16:],
        P3_PROFILE + bytes(colour.MAX_PROFILE_BYTES),
    ],
    ids=["empty", "text", "cut", "tags", "CMYK", "grey", "link", "huge"],
)
def test_an_unusable_profile_is_ignored_and_counted(profile: bytes) -> None:
    """The photo is used as if it had no profile."""
    codes: list[str] = []
    found = decode_photo(png_with(encode(smooth()), iccp(profile)), SIZE, on_defect=codes.append)
    assert np.array_equal(found, decode_photo(encode(smooth()), SIZE))
    assert codes == ["profile_ignored"]


def iccp(profile: bytes, method: int = 0) -> bytes:
    return png_chunk(b"iCCP", b"name\0" + bytes([method]) + zlib.compress(profile))


def test_a_grey_image_with_an_rgb_profile_is_converted() -> None:
    """Editors write such files. Grey stays grey."""
    photo = encode(Image.new("L", (64, 64), 100), "JPEG", icc_profile=PROFILES["ProPhoto"])
    pixel = decode_photo(photo, SIZE)[0, 0].astype(int)
    assert np.ptp(pixel) <= 1
    assert abs(pixel[0] - 118) <= 2  # 255 * srgb((100 / 255) ** 1.8)


def points(name: int) -> bytes:
    red, green, blue, white = PRIMARIES[name]
    return struct.pack(">8I", *(round(100_000 * value) for xy in (white, red, green, blue) for value in xy))


@pytest.mark.parametrize(
    ("chunks", "p3"),
    [
        ([png_chunk(b"cICP", bytes([12, 13, 0, 1]))], True),
        ([iccp(P3_PROFILE)], True),
        ([png_chunk(b"gAMA", struct.pack(">I", 45_455)), png_chunk(b"cHRM", points(12))], True),
        ([png_chunk(b"cICP", bytes([1, 13, 0, 1])), iccp(P3_PROFILE)], False),
        ([png_chunk(b"cICP", bytes([12, 13, 0, 1])), png_chunk(b"sRGB", b"\0")], True),
        ([png_chunk(b"sRGB", b"\0"), png_chunk(b"gAMA", struct.pack(">I", 100_000))], False),
        ([png_chunk(b"gAMA", struct.pack(">I", 45_455))], False),
        ([png_chunk(b"cHRM", points(12))], False),
        ([png_chunk(b"cICP", bytes([12, 13, 0, 1]), crc=7)], False),
    ],
)
def test_the_chunk_with_the_highest_precedence_is_used(chunks: list[bytes], p3: bool) -> None:
    """cICP before iCCP before sRGB before gAMA with cHRM, as in browsers."""
    shifted = in_space(smooth(), "Display P3")
    found = decode_photo(png_with(encode(shifted), *chunks), SIZE)
    expected = decode_photo(encode(smooth() if p3 else shifted), SIZE)
    assert difference(found, expected) < 2


def test_a_linear_gamma_brightens() -> None:
    """A gAMA of 1.0 declares linear light."""
    photo = png_with(
        encode(Image.new("RGB", (64, 64), (64, 64, 64))), png_chunk(b"gAMA", struct.pack(">I", 100_000))
    )
    assert np.abs(decode_photo(photo, SIZE).astype(int) - 137).max() <= 2


@pytest.mark.parametrize("kind", [b"gAMA", b"cHRM", b"cICP", b"iCCP"])
@pytest.mark.parametrize("body", [b"", b"\0", b"\0" * 4, b"\xff" * 32])
def test_an_invalid_colour_chunk_is_ignored(kind: bytes, body: bytes) -> None:
    """Zeros, all ones, and too short."""
    gamma = [] if kind == b"gAMA" else [png_chunk(b"gAMA", struct.pack(">I", 45_455))]
    found = decode_photo(png_with(encode(smooth()), *gamma, png_chunk(kind, body)), SIZE)
    assert found.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("primaries", [9, 12])
def test_code_points_of_heic_are_applied(primaries: int) -> None:
    """An nclx box without a profile, as cameras write it."""
    options = {"quality": 95, "chroma": 444, "color_primaries": primaries, "transfer_characteristics": 13}
    shifted = encode(in_space(smooth(), "Display P3"), "HEIC", save_nclx_profile=True, **options)
    near = difference(decode_photo(shifted, SIZE), decode_photo(encode(smooth()), SIZE)) < 2
    assert near == (primaries == 12)


def test_hdr_is_clipped_at_diffuse_white() -> None:
    """PQ at 203 cd/m² and HLG at 75 % are white; mid-grey stays darker."""
    for transfer, white in ((16, 0.58), (18, 0.75)):
        profile = coded_profile(9, transfer)
        assert profile
        levels = np.full((2, 1, 3), round(255 * white), np.uint8)
        levels[1] //= 2
        shown = colour.to_srgb(Image.fromarray(levels), profile, grey=False)
        assert np.asarray(shown)[0].min() >= 252
        assert np.asarray(shown)[1].max() < 160


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (1, 1), (1, 6)])
def test_plain_code_points_are_srgb(primaries: int, transfer: int) -> None:
    """Most software writes BT.709 with a camera curve for sRGB."""
    assert coded_profile(primaries, transfer) is None


def test_unknown_code_points_are_unreadable() -> None:
    """They are ignored and counted, like a damaged profile."""
    assert coded_profile(77, 13) == coded_profile(1, 77) == colour.UNREADABLE
    with pytest.raises(UnusableProfile):
        colour.to_srgb(smooth(), colour.UNREADABLE, grey=False)


def test_transforms_are_cached_and_shared_by_threads() -> None:
    """Many threads with few profiles, then more profiles than the cache holds."""
    photos = [encode(in_space(smooth(), space), "JPEG", icc_profile=PROFILES[space]) for space in SPACES] * 20
    alone = [decode_photo(photo, SIZE) for photo in photos[:3]] * 20
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda photo: decode_photo(photo, SIZE), photos))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
    for gamma in range(60):
        srgb_transform(icc_of_gamma(1 + gamma / 60), "RGB")
    assert srgb_transform.cache_info().currsize <= 32


def icc_of_gamma(gamma: float) -> bytes:
    return matrix_profile(np.array(PRIMARIES[1]), colour.power_curve(gamma))

"""Conversion of colours to sRGB, which browsers show and encoders are trained on.

The colour information of a file (an ICC profile, code points or a gamma) is turned into an ICC profile, so
that Little CMS does all conversions.
"""

import io
import math
import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Floats = NDArray[np.float64]

MAX_PROFILE_BYTES: Final = 4_000_000
"""Largest profile. Those of print shops have up to 2.7 MB; a camera's has 500 bytes."""

UNREADABLE: Final = b""
"""Stands for the profile of a photo whose colour information cannot be read."""

TOLERANCE: Final = 2
"""Levels of 255 by which a profile may differ from sRGB and still be skipped: the rounding differences of the
many versions of sRGB."""

SPACES: Final = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
"""Colour space of a profile (ICC.1:2022, 7.2.6) to Pillow's mode."""

WHITE_D65: Final = (0.3127, 0.3290)
"""CIE x and y of the white of sRGB (IEC 61966-2-1)."""
D50: Final = np.array([0.9642, 1.0, 0.8249])
"""CIE XYZ of the white of ICC profiles (ICC.1:2022, 7.2.16)."""

PRIMARIES: Final = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), WHITE_D65),  # BT.709, sRGB
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), WHITE_D65),  # BT.601, 625 lines
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), WHITE_D65),  # BT.601, 525 lines
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), WHITE_D65),  # SMPTE 240M
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), WHITE_D65),  # BT.2020
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),  # DCI P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), WHITE_D65),  # Display P3
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), WHITE_D65),  # EBU 3213
}
"""Code points of ITU-T H.273, table 2, to red, green, blue and white as CIE x and y."""

UNSPECIFIED: Final = 2
"""Code point of unspecified primaries or transfer (ITU-T H.273)."""

BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Matrix from CIE XYZ to cone responses (ICC.1:2022, annex E)."""


class UnusableProfile(ValueError):
    """A colour profile that does not match its image, or cannot be read."""


def to_srgb(image: Image.Image, profile: bytes, *, grey: bool) -> Image.Image:
    """The image in sRGB, mode RGB.

    image: L, RGB or CMYK. grey: whether an RGB image was converted from greyscale.

    Raises:
        UnusableProfile: the profile is damaged, too large, or for another mode.
    """
    space = SPACES.get(profile[16:20])
    if space == "L" and grey:
        image = image.convert("L")
    elif space == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    elif space != image.mode:
        raise UnusableProfile(
            f"a profile for {profile[16:20].decode('latin-1')!r} in an image in {image.mode}"
        )
    transform = srgb_transform(profile, image.mode)
    return image.convert("RGB") if transform is None else transform.apply(image)


@lru_cache(maxsize=32)
def srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a mode and profile to sRGB; None if the profile is sRGB. Thread-safe.

    Raises:
        UnusableProfile: the profile is damaged or too large.
    """
    if len(profile) > MAX_PROFILE_BYTES:
        raise UnusableProfile(f"{len(profile):,} bytes; expected at most {MAX_PROFILE_BYTES:,}")
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            # The default of photo editors: in-gamut colours are kept, and print black becomes black.
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # Without its cache of the last pixel, a transform can be used by several threads.
            ImageCms.Flags.NOCACHE | ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise UnusableProfile(str(error)) from error
    return None if mode == "RGB" and is_identity(transform) else transform


def is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform from RGB changes all colours by at most TOLERANCE."""
    steps = [*range(0, 256, 17)]
    grid = np.array([[*product(steps, repeat=3)]], dtype=np.uint8)
    converted = np.asarray(transform.apply(Image.fromarray(grid)))
    return bool(np.abs(converted.astype(int) - grid).max() <= TOLERANCE)


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The ICC profile of code points (ITU-T H.273); None for sRGB, UNREADABLE for unknown ones."""
    if primaries in {1, UNSPECIFIED} and transfer not in CURVES:
        # Files often declare a camera curve such as BT.709 and mean sRGB; browsers show them as sRGB.
        return None if transfer in SHOWN_AS_SRGB else UNREADABLE
    if primaries not in {*PRIMARIES, UNSPECIFIED} or transfer not in {*CURVES, *SHOWN_AS_SRGB}:
        return UNREADABLE
    points = PRIMARIES[1 if primaries == UNSPECIFIED else primaries]
    return matrix_profile(np.array(points), CURVES.get(transfer, srgb_curve))


def gamma_profile(exponent: float, points: Floats | None) -> bytes | None:
    """The ICC profile of a gamma; None for sRGB, UNREADABLE for an implausible one.

    points: (4, 2) float64 red, green, blue and white as CIE x and y; those of sRGB by default.
    """
    # libpng ignores gammas that differ from the screen's by less than 5 % (PNG_GAMMA_THRESHOLD).
    like_srgb = abs(exponent / 2.2 - 1) < 0.05
    if like_srgb and points is None:
        return None
    if not 0.2 <= exponent <= 5:
        return UNREADABLE
    curve = srgb_curve if like_srgb else power_curve(exponent)
    return matrix_profile(np.array(PRIMARIES[1]) if points is None else points, curve)


def srgb_curve(signal: Floats) -> Floats:
    """Light (n,) from a signal (n,), both 0 to 1 (IEC 61966-2-1)."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def power_curve(exponent: float) -> Callable[[Floats], Floats]:
    """The curve signal ** exponent."""
    return lambda signal: signal**exponent


def pq_curve(signal: Floats) -> Floats:
    """Light (n,) from a PQ signal (n,), both 0 to 1 (SMPTE ST 2084), clipped at diffuse white.

    Diffuse white is 203 cd/m² (ITU-R BT.2408).
    """
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return np.minimum(light * 10_000 / 203, 1)


def hlg_curve(signal: Floats) -> Floats:
    """Light (n,) from an HLG signal (n,), both 0 to 1 (ARIB STD-B67), clipped at diffuse white.

    Diffuse white is at 75 % of the signal (ITU-R BT.2408).
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    white = (math.exp((0.75 - c) / a) + b) / 12
    return np.minimum(light / white, 1)


CURVES: Final[dict[int, Callable[[Floats], Floats]]] = {
    4: power_curve(2.2),
    5: power_curve(2.8),
    8: power_curve(1.0),
    16: pq_curve,
    17: power_curve(2.6),
    18: hlg_curve,
}
"""Code points of ITU-T H.273, table 3, to curves from signal to light, both 0 to 1."""

SHOWN_AS_SRGB: Final = frozenset({1, UNSPECIFIED, 6, 7, 13, 14, 15})
"""Transfer code points that browsers show as sRGB."""


def matrix_profile(points: Floats, curve: Callable[[Floats], Floats]) -> bytes:
    """A three-component matrix-based ICC profile (ICC.1:2022, 8.3.3); UNREADABLE for degenerate primaries.

    points: (4, 2) float64 red, green, blue and white as CIE x and y. curve: from signal to light.
    """
    if not (np.isfinite(points).all() and (points[:, 1] > 1e-6).all()):
        return UNREADABLE
    x, y = points.T
    red_green_blue_white = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    basis, white = red_green_blue_white[:, :3], red_green_blue_white[:, 3]
    if abs(np.linalg.det(basis)) < 1e-6:
        return UNREADABLE
    columns = basis * np.linalg.solve(basis, white)
    scale = (BRADFORD @ D50) / (BRADFORD @ white)
    columns = np.linalg.inv(BRADFORD) @ (scale[:, None] * (BRADFORD @ columns))
    if np.abs(columns).max() > 100:
        return UNREADABLE
    table = np.round(curve(np.linspace(0, 1, 4096)) * 65_535).astype(">u2").tobytes()
    return _profile({b"rXYZ": columns[:, 0], b"gXYZ": columns[:, 1], b"bXYZ": columns[:, 2]}, table)


def _profile(colorants: dict[bytes, Floats], table: bytes) -> bytes:
    bodies = {tag: b"XYZ \0\0\0\0" + _fixed(xyz) for tag, xyz in {**colorants, b"wtpt": D50}.items()}
    curve = b"curv\0\0\0\0" + struct.pack(">I", len(table) // 2) + table
    offset = 128 + 4 + 12 * (len(bodies) + 3)
    entries, content = b"", b""
    for tag, body in bodies.items():
        entries += tag + struct.pack(">II", offset + len(content), len(body))
        content += body
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        entries += tag + struct.pack(">II", offset + len(content), len(curve))
    content += curve
    head = struct.pack(">I4sI4s4s4s", offset + len(content), b"", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _fixed(D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(bodies) + 3) + entries + content


def _fixed(numbers: Floats) -> bytes:
    return np.round(numbers * 65_536).astype(">i4").tobytes()

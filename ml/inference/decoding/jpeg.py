"""JPEG: reading the header before decoding, and using truncated files."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from ml.inference.decoding.errors import too_complex, truncated, unsupported
from ml.inference.decoding.reads import CountedReads

PROGRESSIVE: Final = 0xC2
FRAMES: Final = frozenset({0xC0, 0xC1, PROGRESSIVE})
"""Baseline, extended sequential and progressive: the kinds that browsers decode."""

OTHER_FRAMES: Final = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
"""Lossless, hierarchical and arithmetic: not supported."""

SCAN: Final = 0xDA
END: Final = 0xD9
MARKER: Final = re.compile(rb"\xff([^\x00\xff\x01\xd0-\xd8])", re.DOTALL)
"""A marker other than a restart or start of image; 0xFF 0x00 is image data. Only the last of the fill bytes
(0xFF) before it is matched: a quantifier would try each run of them from each of its bytes."""

MAX_SEGMENTS: Final = 10_000
"""64 MB in segments of maximum length are 1,000 segments."""

MAX_SCANS: Final = 100
"""libjpeg writes 10 scans by default, mozjpeg up to about 20. Each is a pass over the entire image, even if
it has few bytes."""

MAX_SCAN_PIXELS: Final = 4_000_000_000
"""Maximum of pixels times scans: 20 scans of 200 megapixels. That many take at least 1.4 s on one core."""

MISSING: Final = {"L": (128,), "RGB": (128,), "CMYK": (127, 128)}
"""Levels of blocks without data, by Pillow's mode: libjpeg decodes them from zero coefficients. In inverted
CMYK, as Adobe writes it, they are 127; in YCCK three components are inverted twice."""

KEPT_ZEROS: Final = 8
"""Zero bytes that are kept at the end of a file: see with_end_marker."""

FILLER: Final = b"".join(
    noise.tobytes() + bytes([0xFF, 0xD0 + number])
    for number, noise in enumerate(np.random.default_rng(0).integers(0, 0xFF, (8, 64), np.uint8))
)
"""Bytes that decode to noise if blocks are missing, and are skipped if none are. They contain every restart
marker, so one of them is the next in an image that uses them."""

MIN_SHARE: Final = 0.85
"""Minimum share of rows of a truncated JPEG. 18 phone photos cut to 85 % of their bytes had a cosine to the
complete photo of 0.99 on average and at least 0.96; cut to half, 0.71 and 0.26 (decision 103)."""


@dataclass(frozen=True)
class Frame:
    """The header of a JPEG, up to its first scan."""

    marker: int
    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]
    """Horizontal and vertical sampling factors of each component."""
    first_scan: int
    """Number of components in the first scan."""

    @property
    def several_scans(self) -> bool:
        """Whether the image consists of several scans; otherwise the first contains all data."""
        return self.marker == PROGRESSIVE or self.first_scan != len(self.sampling)

    @property
    def coefficient_bytes(self) -> int:
        """Bytes of coefficients that libjpeg holds while decoding: 0 for a single scan."""
        if not self.several_scans:
            return 0
        horizontal, vertical = max(h for h, _ in self.sampling), max(v for _, v in self.sampling)
        samples = sum(h * v for h, v in self.sampling)
        return 2 * self.width * self.height * samples // (horizontal * vertical)


@dataclass(frozen=True)
class Segment:
    """A marker segment, cut at the end of the file."""

    marker: int
    start: int
    """Offset of the marker."""
    content: bytes
    complete: bool


def segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the end of the image, including those between scans.

    Raises:
        UnusablePhoto: more than MAX_SEGMENTS.
    """
    offset, number = 2, 0
    while found := MARKER.search(data, offset):
        number += 1
        if number > MAX_SEGMENTS:
            raise too_complex(f"more than {MAX_SEGMENTS:,} JPEG segments", f"at most {MAX_SEGMENTS:,}")
        marker = found[1][0]
        length = int.from_bytes(data[found.end() : found.end() + 2])
        offset = found.end() if marker == END else found.end() + length
        complete = marker == END or (length >= 2 and offset <= len(data))
        yield Segment(marker, found.start(), data[found.end() + 2 : offset], complete)
        if marker == END or not complete:
            return


def read_frame(data: bytes) -> Frame:
    """The header.

    Raises:
        UnusablePhoto: an unsupported kind of JPEG, or a truncated header.
    """
    frame: Segment | None = None
    for segment in segments(data):
        if segment.marker in OTHER_FRAMES:
            raise unsupported("JPEG in lossless or arithmetic coding")
        if segment.marker in FRAMES:
            frame = segment
        if segment.marker == SCAN and frame:
            return parse_frame(frame, segment)
    raise truncated(data, "its header is incomplete")


def parse_frame(frame: Segment, scan: Segment) -> Frame:
    """The header from its frame segment and the first scan.

    Raises:
        UnusablePhoto: a segment is invalid, or the JPEG does not have 8 bits per sample.
    """
    try:
        precision, height, width, components = struct.unpack_from(">BHHB", frame.content)
        factors = [frame.content[7 + 3 * number] for number in range(components)]
        first_scan = scan.content[0]
    except (struct.error, IndexError) as error:
        raise truncated(frame.content, error) from error
    if precision != 8:
        raise unsupported(f"JPEG of {precision} bits")
    sampling = tuple((factor >> 4, factor & 15) for factor in factors)
    if not sampling or not all(h and v for h, v in sampling):
        raise truncated(frame.content, "no components")
    return Frame(frame.marker, width, height, sampling, first_scan)


def check_scans(frame: Frame, data: bytes) -> None:
    """Check the number of scans.

    Raises:
        UnusablePhoto: so many that decoding would take many seconds.
    """
    if not frame.several_scans:
        return
    scans = sum(segment.marker == SCAN for segment in segments(data))
    most = min(MAX_SCANS, MAX_SCAN_PIXELS // max(1, frame.width * frame.height))
    if scans > most:
        found = f"a JPEG of {frame.width} × {frame.height} pixels in {scans:,} scans"
        raise too_complex(found, f"at most {most} scans")


def open_jpeg(data: bytes, min_size: int) -> JpegImageFile:
    """The JPEG, not decoded yet, at the smallest scale of 1, 1/2, 1/4 or 1/8 with min_size pixels per side.

    The scaling averages like a resize. Of several images in the file the first is used.
    """
    image = JpegImageFile(CountedReads(data))
    image.draft("RGB", (min_size, min_size))
    return image


def open_incomplete(data: bytes, min_size: int) -> tuple[Image.Image, float]:
    """A truncated JPEG, decoded, and the share of rows that it has; 1.0 if only the end marker is missing.

    Raises:
        UnusablePhoto: less than MIN_SHARE of the rows, or a colour component without data.
    """
    kept = with_end_marker(data)
    scans = [segment.content for segment in segments(kept) if segment.marker == SCAN]
    seen = {component for scan in scans for component in scan[1 : 1 + 2 * scan[0] : 2]}
    image = open_jpeg(kept, min_size)
    if len(seen) < len(image.layer):
        raise truncated(data, f"{len(seen)} of its {len(image.layer)} colour components are present")
    image.load()
    share = share_of_rows(image)
    if share < 1 and only_end_missing(kept, image, min_size):
        return image, 1.0
    if share < MIN_SHARE:
        raise truncated(data, f"{share:.0%} of its rows are present, {MIN_SHARE:.0%} are needed")
    return image, share


def share_of_rows(image: Image.Image) -> float:
    """Share of the rows up to the last one that is not all MISSING, from 0 to 1."""
    missing = MISSING[image.mode]
    mask = [255 * (level not in missing) for level in range(256)] * len(image.getbands())
    present = image.point(mask).getbbox()
    return present[3] / image.height if present else 0.0


def only_end_missing(kept: bytes, image: Image.Image, min_size: int) -> bool:
    """Whether only the end marker was missing, so that further bytes change nothing.

    Distinguishes missing rows from rows of the same grey.
    """
    longer = open_jpeg(kept[:-2].rstrip(b"\xff") + FILLER + kept[-2:], min_size)
    longer.load()
    return longer.tobytes() == image.tobytes()


def with_end_marker(data: bytes) -> bytes:
    """The JPEG with an end marker, without padding zeros and an incomplete last segment.

    An interrupted download is often stored in a file of full length, padded with zeros. KEPT_ZEROS of them
    are kept, since image data may end in zeros; excess zeros add a few blocks at most.
    """
    kept = data[: len(data.rstrip(b"\0")) + KEPT_ZEROS]
    *_, last = segments(kept)
    if not last.complete:
        kept = kept[: last.start]
    return kept + bytes([0xFF, END])

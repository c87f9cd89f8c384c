"""JPEG: what its header says before it is decoded, and what can be used of one that breaks off."""

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from ml.decoding.errors import truncated, unsupported

PROGRESSIVE: Final = 0xC2
FRAMES: Final = frozenset({0xC0, 0xC1, PROGRESSIVE})
"""Baseline, extended sequential and progressive: what browsers decode."""

OTHER_FRAMES: Final = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
"""Lossless, hierarchical and arithmetic."""

SCAN: Final = 0xDA
END: Final = 0xD9
MARKER: Final = re.compile(rb"\xff+([^\x00\xff\x01\xd0-\xd8])", re.DOTALL)
"""A marker that is neither a restart nor a start of image; 0xFF 0x00 is a byte of the picture."""

MISSING: Final = 128
"""libjpeg leaves blocks without data at zero coefficients, which are this grey in every component."""

MIN_SHARE: Final = 0.85
"""Of the rows of a JPEG that breaks off. 18 phone photos cut to 85 % of their bytes had a cosine of 0.99 to
the whole on average and 0.96 at least; cut to half of them 0.71 and 0.26 (decision 103)."""


@dataclass(frozen=True)
class Frame:
    """What a JPEG says before its first scan."""

    marker: int
    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]
    """Of each component, across and down."""
    first_scan: int
    """Components in the first scan."""

    @property
    def coefficient_bytes(self) -> int:
        """What libjpeg holds of the whole picture while decoding: nothing where one scan has it all."""
        if self.marker != PROGRESSIVE and self.first_scan == len(self.sampling):
            return 0
        across, down = max(h for h, _ in self.sampling), max(v for _, v in self.sampling)
        samples = sum(h * v for h, v in self.sampling)
        return 2 * self.width * self.height * samples // (across * down)


@dataclass(frozen=True)
class Segment:
    """A marker and the bytes that belong to it, cut where the file ends."""

    marker: int
    start: int
    content: bytes
    whole: bool


def segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the end of the image, those between scans included."""
    place = 2
    while found := MARKER.search(data, place):
        marker = found[1][0]
        length = int.from_bytes(data[found.end() : found.end() + 2])
        place = found.end() if marker == END else found.end() + length
        whole = marker == END or (length >= 2 and place <= len(data))
        yield Segment(marker, found.start(), data[found.end() + 2 : place], whole)
        if marker == END or not whole:
            return


def read_frame(data: bytes) -> Frame:
    """What the header says.

    Raises:
        UnusablePhoto: a kind of JPEG that is not decoded, or a header that breaks off.
    """
    frame: Segment | None = None
    for segment in segments(data):
        if segment.marker in OTHER_FRAMES:
            raise unsupported("JPEG in lossless or arithmetic coding")
        if segment.marker in FRAMES:
            frame = segment
        if segment.marker == SCAN and frame:
            return parse_frame(frame, segment)
    raise truncated(data, "its header has no end")


def parse_frame(frame: Segment, scan: Segment) -> Frame:
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


def open_jpeg(data: bytes, least: int) -> JpegImageFile:
    """The JPEG, not decoded yet, at the scale of 1, 1/2, 1/4 or 1/8 that leaves `least` pixels a side.

    Which averages as a resize would. Of several pictures in the file the first counts.
    """
    image = JpegImageFile(io.BytesIO(data))
    image.draft("RGB", (least, least))
    return image


def open_incomplete(data: bytes, least: int) -> tuple[Image.Image, float]:
    """What is there of a JPEG that breaks off, decoded, and the share of its rows: 1.0 without an end marker.

    Raises:
        UnusablePhoto: fewer than MIN_SHARE of its rows, or a colour component without any data.
    """
    kept = completed(data)
    scans = [segment.content for segment in segments(kept) if segment.marker == SCAN]
    seen = {component for scan in scans for component in scan[1 : 1 + 2 * scan[0] : 2]}
    image = open_jpeg(kept, least)
    if len(seen) < len(image.layer):
        raise truncated(data, f"{len(seen)} of its {len(image.layer)} colour components are there")
    image.load()
    grey = Image.new(image.mode, image.size, (MISSING,) * len(image.getbands()))
    there = ImageChops.difference(image.convert(grey.mode), grey).getbbox()
    share = there[3] / image.height if there else 0.0
    if share < MIN_SHARE:
        raise truncated(data, f"{share:.0%} of its rows are there, {MIN_SHARE:.0%} are needed")
    return image, share


def completed(data: bytes) -> bytes:
    """The JPEG with an end marker, without zeros and half a segment at its end.

    A download that was cut is often stored in a file of full length, filled with zeros.
    """
    kept = data.rstrip(b"\0")
    *_, last = segments(kept)
    if not last.whole:
        kept = kept[: last.start]
    return kept + bytes([0xFF, END])

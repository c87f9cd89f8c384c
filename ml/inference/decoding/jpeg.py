"""JPEG: what its header says before it is decoded, and what can be used of one that breaks off."""

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
"""Baseline, extended sequential and progressive: what browsers decode."""

OTHER_FRAMES: Final = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
"""Lossless, hierarchical and arithmetic."""

SCAN: Final = 0xDA
END: Final = 0xD9
MARKER: Final = re.compile(rb"\xff([^\x00\xff\x01\xd0-\xd8])", re.DOTALL)
"""A marker that is neither a restart nor a start of image; 0xFF 0x00 is a byte of the picture. Of fill bytes
(0xFF) before it only the last counts: a quantifier would try every run of them from each of its bytes."""

MAX_SEGMENTS: Final = 10_000
"""64 MB in segments of full length are 1,000."""

MAX_SCANS: Final = 100
"""libjpeg writes 10 scans by default, mozjpeg up to about 20. Each is a pass over the whole picture, however
few bytes it has."""

MAX_SCAN_PIXELS: Final = 4_000_000_000
"""Pixels times scans: 20 scans of 200 megapixels. The emptiest scans take 1.4 s of a core for as many."""

MISSING: Final = {"L": (128,), "RGB": (128,), "CMYK": (127, 128)}
"""libjpeg leaves blocks without data at zero coefficients, which are these levels, by Pillow's mode. Inverted
CMYK, as Adobe writes it, has them at 127; of YCCK three components are inverted twice."""

KEPT_ZEROS: Final = 8

FILLER: Final = b"".join(
    noise.tobytes() + bytes([0xFF, 0xD0 + number])
    for number, noise in enumerate(np.random.default_rng(0).integers(0, 0xFF, (8, 64), np.uint8))
)
"""Bytes that are decoded, to some noise, where blocks are missing, and skipped where none are. A restart
marker of each number is among them, so that one is the next in a picture that has them."""

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
    def several_scans(self) -> bool:
        """Whether libjpeg reads every scan of the file; otherwise one has it all."""
        return self.marker == PROGRESSIVE or self.first_scan != len(self.sampling)

    @property
    def coefficient_bytes(self) -> int:
        """What libjpeg holds of the whole picture while decoding: nothing where one scan has it all."""
        if not self.several_scans:
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
    """The segments up to the end of the image, those between scans included.

    Raises:
        UnusablePhoto: more than MAX_SEGMENTS.
    """
    place, number = 2, 0
    while found := MARKER.search(data, place):
        number += 1
        if number > MAX_SEGMENTS:
            raise too_complex(f"more than {MAX_SEGMENTS:,} JPEG segments", f"at most {MAX_SEGMENTS:,}")
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


def check_scans(frame: Frame, data: bytes) -> None:
    """
    Raises:
        UnusablePhoto: so many scans that decoding them would take many seconds.
    """
    if not frame.several_scans:
        return
    scans = sum(segment.marker == SCAN for segment in segments(data))
    most = min(MAX_SCANS, MAX_SCAN_PIXELS // max(1, frame.width * frame.height))
    if scans > most:
        found = f"a JPEG of {frame.width} × {frame.height} pixels in {scans:,} scans"
        raise too_complex(found, f"at most {most} scans")


def open_jpeg(data: bytes, least: int) -> JpegImageFile:
    """The JPEG, not decoded yet, at the scale of 1, 1/2, 1/4 or 1/8 that leaves `least` pixels a side.

    Which averages as a resize would. Of several pictures in the file the first counts.
    """
    image = JpegImageFile(CountedReads(data))
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
    share = share_of_rows(image)
    if share < 1 and is_whole(kept, image, least):
        return image, 1.0
    if share < MIN_SHARE:
        raise truncated(data, f"{share:.0%} of its rows are there, {MIN_SHARE:.0%} are needed")
    return image, share


def share_of_rows(image: Image.Image) -> float:
    """The share of rows down to the last one that is not all MISSING, from 0 to 1."""
    missing = MISSING[image.mode]
    marked = [255 * (level not in missing) for level in range(256)] * len(image.getbands())
    there = image.point(marked).getbbox()
    return there[3] / image.height if there else 0.0


def is_whole(kept: bytes, image: Image.Image, least: int) -> bool:
    """Whether only the end marker was missing: then further bytes change nothing.

    It tells missing rows from rows that are as grey.
    """
    longer = open_jpeg(kept[:-2].rstrip(b"\xff") + FILLER + kept[-2:], least)
    longer.load()
    return longer.tobytes() == image.tobytes()


def completed(data: bytes) -> bytes:
    """The JPEG with an end marker, without zeros and half a segment at its end.

    A download that was cut is often stored in a file of full length, filled with zeros. A few of them stay,
    since the last bytes of a picture may be zeros; as many too many add a few blocks at most.
    """
    kept = data[: len(data.rstrip(b"\0")) + KEPT_ZEROS]
    *_, last = segments(kept)
    if not last.whole:
        kept = kept[: last.start]
    return kept + bytes([0xFF, END])

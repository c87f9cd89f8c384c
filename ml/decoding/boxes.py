"""The boxes of an ISO base media file (ISO 14496-12): HEIC, AVIF, and the films that begin alike."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_BOXES: Final = 10_000
"""A photo of 200 megapixels in tiles of 512 has about 800 items; more boxes are an attack."""


@dataclass(frozen=True)
class Box:
    """A box's kind and where its content lies in the file."""

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True)
class PrimaryItem:
    """What a HEIC or AVIF file says about the picture that it shows first."""

    kind: bytes
    """`hvc1`, `av01`, `grid`, …; empty where it cannot be read."""
    colours: tuple[int, int] | None
    """Colour primaries and transfer characteristics of its nclx box (ITU-T H.273)."""


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places, as far as they can be read."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind, head = *struct.unpack_from(">I4s", data, start), 8
        if size == 1 and start + 16 <= end:
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        stop = end if size == 0 else start + size
        if size == 1 or stop < start + head or stop > end:
            return
        yield Box(kind, start + head, stop)
        start = stop


def brands(data: bytes) -> list[bytes]:
    """The major brand and the compatible ones of a file that begins with an ftyp box."""
    first = next(boxes(data, 0, len(data)), None)
    if first is None or first.kind != b"ftyp":
        return [data[8:12]]
    listed = data[first.start : min(first.end, first.start + 256)]
    return [listed[:4], *(listed[place : place + 4] for place in range(8, len(listed) - 3, 4))]


def primary_item(data: bytes) -> PrimaryItem:
    """The primary item's type and colours, read before anything is decoded."""
    try:
        return _primary_item(data)
    except (struct.error, IndexError):
        return PrimaryItem(b"", None)


def _primary_item(data: bytes) -> PrimaryItem:
    meta = _child(data, Box(b"", 0, len(data)), b"meta")
    if meta is None:
        return PrimaryItem(b"", None)
    inside = Box(b"meta", meta.start + 4, meta.end)
    pitm = _child(data, inside, b"pitm")
    if pitm is None:
        return PrimaryItem(b"", None)
    item = struct.unpack_from(">I" if data[pitm.start] else ">H", data, pitm.start + 4)[0]
    return PrimaryItem(_item_type(data, inside, item), _colours(data, inside, item))


def _child(data: bytes, parent: Box, kind: bytes) -> Box | None:
    return next((box for box in boxes(data, parent.start, parent.end) if box.kind == kind), None)


def _item_type(data: bytes, meta: Box, item: int) -> bytes:
    iinf = _child(data, meta, b"iinf")
    if iinf is None:
        return b""
    first = iinf.start + (8 if data[iinf.start] else 6)
    for entry in boxes(data, first, iinf.end):
        wide = data[entry.start] >= 3
        found = struct.unpack_from(">I" if wide else ">H", data, entry.start + 4)[0]
        if found == item:
            place = entry.start + (10 if wide else 8)
            return data[place : place + 4]
    return b""


def _colours(data: bytes, meta: Box, item: int) -> tuple[int, int] | None:
    iprp = _child(data, meta, b"iprp")
    ipco = iprp and _child(data, iprp, b"ipco")
    ipma = iprp and _child(data, iprp, b"ipma")
    if not ipco or not ipma:
        return None
    properties = list(boxes(data, ipco.start, ipco.end))
    for number in _associations(data, ipma, item):
        box = properties[number - 1] if 0 < number <= len(properties) else None
        if box and box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx":
            primaries, transfer = struct.unpack_from(">HH", data, box.start + 4)
            return primaries, transfer
    return None


def _associations(data: bytes, ipma: Box, item: int) -> list[int]:
    """The numbers, from 1, of an item's properties."""
    version, wide = data[ipma.start], data[ipma.start + 3] & 1
    (count,) = struct.unpack_from(">I", data, ipma.start + 4)
    place = ipma.start + 8
    for _ in range(min(count, MAX_BOXES)):
        (found,) = struct.unpack_from(">I" if version else ">H", data, place)
        place += 4 if version else 2
        number, place = data[place], place + 1
        listed = struct.unpack_from(f">{number}{'H' if wide else 'B'}", data, place)
        if found == item:
            return [entry & (0x7FFF if wide else 0x7F) for entry in listed]
        place += number * (2 if wide else 1)
    return []

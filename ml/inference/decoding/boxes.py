"""The boxes of an ISO base media file (ISO 14496-12): HEIC, AVIF, and videos."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ml.inference.decoding.errors import too_complex

MAX_BOXES: Final = 10_000
"""Maximum number of boxes inside one box. A photo of 200 megapixels in tiles of 512 pixels has about 800
items."""


@dataclass(frozen=True)
class Box:
    """A box: its kind, and the range of its content in the file."""

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True)
class PrimaryItem:
    """The image that a HEIC or AVIF file shows first."""

    kind: bytes
    """`hvc1`, `av01`, `grid`, …; empty if it cannot be read from the meta box."""
    colours: tuple[int, int] | None = None
    """Colour primaries and transfer characteristics of its nclx box (ITU-T H.273)."""
    parts: frozenset[bytes] = frozenset()
    """Types of the items that it consists of, such as the tiles of a grid."""


UNREADABLE: Final = PrimaryItem(b"")


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes between two offsets, up to the first invalid one.

    Raises:
        UnusablePhoto: more than MAX_BOXES.
    """
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
    if start + 8 <= end:
        raise too_complex(f"more than {MAX_BOXES:,} boxes inside one box", f"at most {MAX_BOXES:,}")


def brands(data: bytes) -> list[bytes]:
    """The major brand and the compatible brands in the ftyp box at the start of a file."""
    first = next(boxes(data, 0, len(data)), None)
    if first is None or first.kind != b"ftyp":
        return [data[8:12]]
    listed = data[first.start : min(first.end, first.start + 256)]
    return [listed[:4], *(listed[offset : offset + 4] for offset in range(8, len(listed) - 3, 4))]


def primary_item(data: bytes) -> PrimaryItem | None:
    """The type and colours of the primary item, read before decoding; None without a meta box.

    Raises:
        UnusablePhoto: more than MAX_BOXES inside one box.
    """
    metas = [box for box in boxes(data, 0, len(data)) if box.kind == b"meta"]
    if not metas:
        return None
    try:
        # The standard allows one; of several, decoders may use another than the first.
        return _primary_item(data, metas[0]) if len(metas) == 1 else UNREADABLE
    except (struct.error, IndexError):
        return UNREADABLE


def _primary_item(data: bytes, meta: Box) -> PrimaryItem:
    inside = Box(b"meta", meta.start + 4, meta.end)
    pitm = _child(data, inside, b"pitm")
    if pitm is None:
        return UNREADABLE
    item = struct.unpack_from(">I" if data[pitm.start] else ">H", data, pitm.start + 4)[0]
    types = _item_types(data, inside)
    parts = frozenset(types.get(part, b"") for part in _parts(data, inside, item))
    return PrimaryItem(types.get(item, b""), _colours(data, inside, item), parts)


def _child(data: bytes, parent: Box, kind: bytes) -> Box | None:
    return next((box for box in boxes(data, parent.start, parent.end) if box.kind == kind), None)


def _item_types(data: bytes, meta: Box) -> dict[int, bytes]:
    """Item to type. The first entry of an item counts, as in libheif."""
    iinf = _child(data, meta, b"iinf")
    if iinf is None:
        return {}
    types: dict[int, bytes] = {}
    for entry in boxes(data, iinf.start + (8 if data[iinf.start] else 6), iinf.end):
        if entry.kind != b"infe":
            continue
        wide = data[entry.start] >= 3
        item = struct.unpack_from(">I" if wide else ">H", data, entry.start + 4)[0]
        offset = entry.start + (10 if wide else 8)
        types.setdefault(item, data[offset : offset + 4])
    return types


def _parts(data: bytes, meta: Box, item: int) -> Iterator[int]:
    """The items that an item consists of."""
    iref = _child(data, meta, b"iref")
    if iref is None:
        return
    number = "I" if data[iref.start] else "H"
    for reference in boxes(data, iref.start + 4, iref.end):
        made, count = struct.unpack_from(f">{number}H", data, reference.start)
        if reference.kind == b"dimg" and made == item:
            yield from struct.unpack_from(
                f">{count}{number}", data, reference.start + struct.calcsize(f">{number}H")
            )


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
    offset = ipma.start + 8
    for _ in range(min(count, MAX_BOXES)):
        (found,) = struct.unpack_from(">I" if version else ">H", data, offset)
        offset += 4 if version else 2
        number, offset = data[offset], offset + 1
        listed = struct.unpack_from(f">{number}{'H' if wide else 'B'}", data, offset)
        if found == item:
            return [entry & (0x7FFF if wide else 0x7F) for entry in listed]
        offset += number * (2 if wide else 1)
    return []

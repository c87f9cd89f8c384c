"""The size of Arrow's messages when they are unpacked, which their compressed buffers say before that.

Arrow allocates what a buffer claims (https://arrow.apache.org/docs/format/Columnar.html#compression). The
fields of messages are those of format/Message.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
from flatbuffers import encode
from flatbuffers import number_types as numbers
from flatbuffers.table import Table

_HEADER_TYPE, _HEADER = 6, 8
_DATA: Final = 6
_BUFFERS, _COMPRESSION = 8, 10
"""Places of fields in the tables Message, DictionaryBatch and RecordBatch."""
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_NOT_COMPRESSED: Final = -1
"""What a buffer says that is not smaller when it is compressed."""


def unpacked_sizes(file: Any) -> Iterator[int]:
    """Yield the bytes of each message of a stream of Arrow messages when it is unpacked."""
    reader = pa.ipc.MessageReader.open_stream(file)
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        yield unpacked_size(message)


def unpacked_size(message: pa.Message) -> int:
    """Return the bytes of the buffers of a message when they are unpacked."""
    metadata = message.metadata.to_pybytes()
    batch = _batch(Table(metadata, encode.Get(numbers.UOffsetTFlags.packer_type, metadata, 0)))
    if batch is None or not batch.Offset(_COMPRESSION):
        return message.body.size if message.body is not None else 0
    return sum(_claimed(message.body, offset, length) for offset, length in _buffers(batch))


def _batch(message: Table) -> Table | None:
    """Return the record batch in a message; None if it has none."""
    place = message.Offset(_HEADER_TYPE)
    kind = message.Get(numbers.Uint8Flags, place + message.Pos) if place else 0
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return None
    header = Table(message.Bytes, 0)
    message.Union(header, message.Offset(_HEADER))
    if kind == _RECORD_BATCH:
        return header
    place = header.Offset(_DATA)
    return Table(message.Bytes, header.Indirect(place + header.Pos)) if place else None


def _buffers(batch: Table) -> Iterator[tuple[int, int]]:
    """Yield offset and length of each buffer of a record batch."""
    place = batch.Offset(_BUFFERS)
    if not place:
        return
    start = batch.Vector(place)
    for number in range(batch.VectorLen(place)):
        yield struct.unpack_from("<qq", batch.Bytes, start + 16 * number)


def _claimed(body: pa.Buffer, offset: int, length: int) -> int:
    """Return the size of a buffer when it is unpacked; Arrow refuses one that is outside of the body."""
    if length < 8 or not 0 <= offset <= body.size - 8:
        return max(length, 0)
    (size,) = struct.unpack("<q", body.slice(offset, 8).to_pybytes())
    return length if size == _NOT_COMPRESSED else max(int(size), 0)

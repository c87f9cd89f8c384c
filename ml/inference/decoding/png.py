"""The chunks of a PNG that determine the image; damage in all others is ignored, as in browsers."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.inference.decoding.colour import MAX_PROFILE_BYTES, UNREADABLE, coded_profile, gamma_profile
from ml.inference.decoding.errors import too_complex

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
STILL: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"})
ANIMATION: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
COLOURS: Final = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
READ: Final = STILL | ANIMATION | COLOURS
END: Final = b"\0\0\0\0IEND\xaeB`\x82"
ANCILLARY_BIT: Final = 0x20

MAX_CHUNKS: Final = 100_000
"""libpng writes chunks of 8 kB: 64 MB of pixels are 8,000 chunks."""


@dataclass(frozen=True)
class Png:
    """A PNG reduced to the chunks that determine the image."""

    data: bytes
    profile: bytes | None
    """The ICC profile of its colours; None for sRGB."""
    default_hidden: bool
    """Whether it is an animation whose first frame is not the default image, which only old viewers show."""


@dataclass(frozen=True)
class Chunk:
    """A chunk: its kind, its content, and all its bytes with length and checksum."""

    kind: bytes
    content: memoryview
    whole: memoryview

    @property
    def usable(self) -> bool:
        """Whether to pass it to the decoder: not an optional chunk with a wrong checksum."""
        return not self.kind[0] & ANCILLARY_BIT or zlib.crc32(self.whole[4:-4]).to_bytes(4) == self.whole[-4:]


def read_png(data: bytes) -> Png:
    """The PNG without text, optional chunks with a wrong checksum, and frames after the first.

    Raises:
        UnusablePhoto: more than MAX_CHUNKS.
    """
    found, end = chunks(data)
    kinds = [chunk.kind for chunk in found]
    first_frame = kinds.index(b"fcTL") if b"fcTL" in kinds else len(kinds)
    hidden = b"acTL" in kinds and b"IDAT" in kinds[:first_frame] and first_frame < len(kinds)
    kept = [chunk.whole for chunk in first_frames(found, STILL | ANIMATION if hidden else STILL)]
    # A truncated file keeps its last bytes, so that the decoder detects it.
    rest = data[end:] if b"IEND" not in kinds else b""
    colours = {chunk.kind: chunk.content for chunk in reversed(found) if chunk.kind in COLOURS}
    return Png(b"".join([data[:8], *kept, rest or END]), colour_profile(colours), hidden)


def chunks(data: bytes) -> tuple[list[Chunk], int]:
    """The usable chunks of READ kinds up to IEND, and the offset behind the last complete chunk of any kind.

    Raises:
        UnusablePhoto: more than MAX_CHUNKS of all kinds.
    """
    found: list[Chunk] = []
    view, offset = memoryview(data), len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if offset + 12 > len(data):
            return found, offset
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        if end > len(data):
            return found, offset
        if kind in READ and (chunk := Chunk(kind, view[offset + 8 : end - 4], view[offset:end])).usable:
            found.append(chunk)
        offset = end
        if kind == b"IEND":
            return found, offset
    raise too_complex(f"more than {MAX_CHUNKS:,} PNG chunks", f"at most {MAX_CHUNKS:,}")


def first_frames(found: list[Chunk], kinds: frozenset[bytes]) -> Iterator[Chunk]:
    """The chunks of these kinds, without animation frames after the first."""
    frames = 0
    for chunk in found:
        frames += chunk.kind == b"fcTL"
        if chunk.kind in kinds and not (frames > 1 and chunk.kind in ANIMATION):
            yield chunk


def colour_profile(content: Mapping[bytes, memoryview]) -> bytes | None:
    """The ICC profile from the chunk with the highest precedence (PNG, third edition, 12.1); None for
    sRGB."""
    try:
        if cicp := content.get(b"cICP"):
            return coded_profile(cicp[0], cicp[1])
        if iccp := content.get(b"iCCP"):
            return decompressed_profile(bytes(iccp))
        if b"sRGB" in content or b"gAMA" not in content:
            return None
        (gamma,) = struct.unpack(">I", content[b"gAMA"])
        points = None
        if chrm := content.get(b"cHRM"):
            white, *primaries = np.array(struct.unpack(">8I", chrm)).reshape(4, 2) / 100_000
            points = np.array([*primaries, white])
        return gamma_profile(100_000 / gamma if gamma else 0, points)
    except (struct.error, IndexError):
        return UNREADABLE


def decompressed_profile(iccp: bytes) -> bytes:
    """The profile of an iCCP chunk; UNREADABLE if it is damaged or too large."""
    _, _, compressed = iccp.partition(b"\0")
    if compressed[:1] != b"\0":
        return UNREADABLE
    try:
        profile = zlib.decompressobj().decompress(compressed[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return UNREADABLE
    return profile if len(profile) <= MAX_PROFILE_BYTES else UNREADABLE

"""A limit on the number of reads of a decoder."""

import io
from typing import Final

from ml.inference.decoding.errors import too_complex

MAX_READS: Final = 1_000_000
"""Pillow reads the parts of a header one by one, in Python: each fill byte of a JPEG, each block of a GIF
before its first frame, each run of a compressed BMP. A million reads take about a second; a photo of 64 MB in
PNG chunks of the usual 8 kB needs 32,000."""


class CountedReads(io.BytesIO):
    """The bytes of a photo as a file that limits the number of reads."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like io.BytesIO.

        Raises:
            UnusablePhoto: more than MAX_READS reads.
        """
        self._reads += 1
        if self._reads > MAX_READS:
            raise too_complex(f"more than {MAX_READS:,} parts", f"at most {MAX_READS:,}")
        return super().read(size)

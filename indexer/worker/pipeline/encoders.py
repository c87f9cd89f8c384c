"""The encoders of a worker: each photo is fetched once, and encoded for every index that needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.worker.pipeline.documents import EncodedPhoto
from ml.inference.encoder import ImageEncoder
from ml.inference.full_width import FullWidthEncoder
from ml.inference.gradient_hash import gradient_hash
from ml.inference.graph import Vectors
from ml.inference.preprocess import OnDefect

Pixels = NDArray[np.uint8]
"""(size, size, 3) uint8, RGB, as `ml.inference.preprocess` returns it."""

Decoded = Mapping[str, Pixels]
"""The pixels of a photo for each encoder, by encoder_id."""


class PhotoOf(NamedTuple):
    """A photo for an encoder."""

    reference: str
    encoder_id: str


@dataclass(frozen=True)
class PhotoEncoder:
    """An encoder, and how photos are decoded for it."""

    encoder: ImageEncoder
    decode: Callable[[bytes, OnDefect], Pixels]
    """Raises UnusablePhoto; calls OnDefect with the code of a defect in a photo that is used all the same."""


def decode_for(
    encoders: Mapping[str, PhotoEncoder], wanted: Collection[PhotoOf]
) -> Callable[[str, bytes, OnDefect], Decoded]:
    """Return a function that decodes a photo for each encoder that wants it."""
    wanted_by: defaultdict[str, list[str]] = defaultdict(list)
    for reference, encoder_id in sorted(wanted):
        wanted_by[reference].append(encoder_id)

    def decode(reference: str, data: bytes, on_defect: OnDefect) -> Decoded:
        return {each: encoders[each].decode(data, on_defect) for each in wanted_by[reference]}

    return decode


def hashes_of(photos: Mapping[str, Decoded]) -> dict[PhotoOf, str]:
    """Return the perceptual hash of each decoded photo."""
    return {
        PhotoOf(reference, encoder_id): gradient_hash(pixels)
        for reference, found in photos.items()
        for encoder_id, pixels in found.items()
    }


def encode(
    encoders: Mapping[str, PhotoEncoder], photos: Mapping[str, Decoded], hashes: Mapping[PhotoOf, str]
) -> dict[PhotoOf, EncodedPhoto]:
    """Return the encoded photos, in one batch for each encoder: (n, dims) float32 unit vectors, and
    (n, width) float32 of an encoder that returns those.

    hashes: of the photos to encode.
    """
    encoded: dict[PhotoOf, EncodedPhoto] = {}
    for encoder_id, each in encoders.items():
        chosen = [photo for photo in hashes if photo.encoder_id == encoder_id]
        if not chosen:
            continue
        pixels = np.stack([photos[photo.reference][encoder_id] for photo in chosen])
        vectors, embeddings = encode_both(each.encoder, pixels)
        for photo, vector, embedding in zip(chosen, vectors.tolist(), embeddings, strict=True):
            encoded[photo] = EncodedPhoto(tuple(vector), hashes[photo], embedding=embedding)
    return encoded


def encode_both(encoder: ImageEncoder, pixels: Pixels) -> tuple[Vectors, Sequence[Vectors | None]]:
    """Return (n, dims) float32 unit vectors of pixels (n, s, s, 3), and n full-width vectors or None."""
    if isinstance(encoder, FullWidthEncoder):
        vectors, embeddings = encoder.encode_full_width(pixels)
        return vectors, list(embeddings)
    return encoder.encode(pixels), [None] * len(pixels)

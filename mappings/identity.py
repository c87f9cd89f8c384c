"""Which encoder's vectors an index holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mappings.errors import failure_of
from settings.errors import InvalidSetting


@dataclass(frozen=True)
class IndexVectors:
    """What the vectors of an index are of."""

    encoder_id: str
    photos: int = 1
    """The number of first photos of a listing that have a vector each."""

    @classmethod
    def from_meta(cls, fields: Mapping[str, Any]) -> IndexVectors:
        """Read it from an index's `_meta`; an index from before it was there has one photo a listing.

        Raises:
            KeyError: no encoder is named.
        """
        return cls(str(fields["encoder_id"]), int(fields.get("photos", 1)))


@dataclass(frozen=True)
class EncoderIdentity:
    """What an index stores about the encoder whose vectors it holds.

    `similarity_mean` and `similarity_spread` are the mean and standard deviation of the cosine between
    an item and its nearest hundred: the scale on which the ranking weighs category and price.
    """

    encoder_id: str
    dims: int
    similarity_mean: float
    similarity_spread: float

    @classmethod
    def from_artifact(cls, folder: Path) -> EncoderIdentity:
        """Read the identity from an encoder artifact's `manifest.json`, without loading the encoder.

        Raises:
            InvalidSetting: no readable manifest there.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            similarity = manifest["similarity"]
            return cls(
                encoder_id=str(manifest["encoder_id"]),
                dims=int(manifest["dims"]),
                similarity_mean=float(similarity["mean"]),
                similarity_spread=float(similarity["spread"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidSetting(
                f"no encoder artifact in {folder}: {failure_of(error)}; "
                "--encoder or NITAMONO_ENCODER_DIR must name a folder with a manifest.json"
            ) from error

    @classmethod
    def from_meta(cls, fields: Mapping[str, Any]) -> EncoderIdentity:
        """Read the identity from an index's `_meta`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or is not a number.
        """
        return cls(
            encoder_id=str(fields["encoder_id"]),
            dims=int(fields["dims"]),
            similarity_mean=float(fields["similarity_mean"]),
            similarity_spread=float(fields["similarity_spread"]),
        )

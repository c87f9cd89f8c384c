"""The encoder artifact that several processes read the identity of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

from settings.environment import Variable
from settings.services_file import REPOSITORY

DEFAULT_ENCODER: Final = REPOSITORY / "ml" / "artifacts" / "siglip-lite"
"""The encoder that comes with the code."""

EncoderFolder = Annotated[
    Path,
    Variable(
        "NITAMONO_ENCODER_DIR",
        "The folder of the [encoder artifact](training.md).",
        default="`ml/artifacts/siglip-lite`",
        used_by="worker of listings, `nitamono index`, `nitamono mappings`",
    ),
]


def _folders(text: object) -> object:
    return [part for part in text.split(os.pathsep) if part] if isinstance(text, str) else text


FurtherEncoders = Annotated[
    tuple[Path, ...],
    BeforeValidator(_folders),
    Variable(
        "NITAMONO_FURTHER_ENCODER_DIRS",
        "Folders of further encoders, separated by colons, whose indices are written as well: one that the "
        "live index is changed to or from, or that of an experiment's arm.",
        used_by="worker of listings",
    ),
]

EmbeddingsFolder = Annotated[
    Path | None,
    Variable(
        "NITAMONO_EMBEDDINGS_DIR",
        "A folder to which workers write the full-width vector of each photo that they encode, so that "
        "[another projection](changing-the-encoder.md#another-projection-without-photos) needs no photos. "
        "None are written without it.",
        used_by="worker of listings, `nitamono indexer forget`",
    ),
]

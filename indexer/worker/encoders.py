"""Loading of a worker's encoders."""

from __future__ import annotations

from pathlib import Path

from indexer.settings import IndexerSettings
from ml.artifact import load_artifact
from ml.inference.encoder import ImageEncoder, load_encoder
from ml.inference.full_width import load_full_width_encoder


def load_encoders(settings: IndexerSettings) -> dict[Path, ImageEncoder]:
    """Return the loaded encoders by folder, with full-width vectors if those are kept.

    Raises:
        ArtifactError: a folder is damaged or has none.
        BackendMissing, WrongVectors: it cannot be loaded on this machine.
        NoProjection: full-width vectors are to be kept, and an encoder has none.
    """
    load = load_full_width_encoder if settings.embeddings else load_encoder
    return {
        folder: load(
            load_artifact(folder), backend=settings.encoder_backend, threads=settings.encoder_threads
        )
        for folder in settings.encoders
    }

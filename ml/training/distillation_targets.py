"""Distillation targets: a teacher's features and vectors for a corpus's photos."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.data.unit_vectors import Vectors, normalize
from ml.errors import MlError
from ml.models.checkpoint import run_file
from ml.training.run_folder import make_folder


class UnreadableTargets(MlError):
    """A damaged file of distillation targets."""


@dataclass(frozen=True)
class DistillationTargets:
    """A row per photo of a corpus."""

    features: Vectors
    """(n, f) float32, unit norm: a teacher's features, less the mean of the training photos."""
    vectors: Vectors | None = None
    """(n, width) float32, unit norm. None: the student imitates features only."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any number."""
        digest = hashlib.sha256(np.ascontiguousarray(self.features).data)
        if self.vectors is not None:
            digest.update(np.ascontiguousarray(self.vectors).data)
        return digest.hexdigest()[:16]


def center_features(features: Vectors, train: NDArray[np.int64]) -> Vectors:
    """(n, f) float32, unit norm: features (n, f) float32 less the mean direction of rows train (t,) int64."""
    directions = normalize(features)
    return normalize(directions - directions[train].mean(axis=0))


def save_targets(targets: DistillationTargets, computed_for: str, path: Path) -> None:
    """Cache targets, which take minutes to compute, for a resumed run.

    computed_for: identifies their inputs, the fingerprint of the corpus and the teacher.

    Raises:
        NotWritten: the disk is full.
    """
    vectors = np.empty((0, 0), np.float32) if targets.vectors is None else targets.vectors
    make_folder(path.parent)
    with run_file(path) as file:
        np.savez(file, features=targets.features, vectors=vectors, computed_for=np.str_(computed_for))


def has_targets(path: Path, computed_for: str) -> bool:
    """Whether `path` caches targets computed for the same corpus and teacher.

    Raises:
        UnreadableTargets: the file is damaged.
    """
    return path.exists() and str(read_arrays(path)["computed_for"]) == computed_for


def load_targets(path: Path) -> DistillationTargets:
    """Load the targets that save_targets wrote.

    Raises:
        UnreadableTargets: the file is damaged.
    """
    arrays = read_arrays(path)
    return DistillationTargets(arrays["features"], arrays["vectors"] if arrays["vectors"].size else None)


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read features (n, f), vectors (n, width) or (0, 0), both float32, and computed_for () of a cache file.

    Raises:
        UnreadableTargets: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ("computed_for", "features", "vectors")}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UnreadableTargets(f"{path}: {error}; remove it and run the same command again") from error

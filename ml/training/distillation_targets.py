"""What a student imitates: a teacher's vectors of the training photos."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError
from ml.models.checkpoint import run_file
from ml.models.reference_encoders import Vectors, unit
from ml.training.run_folder import make_folder


class UnreadableLesson(MlError):
    """A damaged file of a lesson."""


@dataclass(frozen=True)
class Lesson:
    """A row per photo of a corpus."""

    features: Vectors
    """(n, f) unit norm, around the training photos' mean: what networks see that never saw our labels."""
    vectors: Vectors | None = None
    """(n, width) unit norm: where photos of like labels lie close."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any number."""
        digest = hashlib.sha256(np.ascontiguousarray(self.features).data)
        if self.vectors is not None:
            digest.update(np.ascontiguousarray(self.vectors).data)
        return digest.hexdigest()[:16]


def around_mean(features: Vectors, train: NDArray[np.int64]) -> Vectors:
    """(n, f) unit norm, around the training photos' mean: what all photos share teaches nothing."""
    directions = unit(features)
    return unit(directions - directions[train].mean(axis=0))


def save_lesson(lesson: Lesson, given_for: str, path: Path) -> None:
    """Keep a lesson, which takes minutes to make, for a run to resume with.

    given_for: what it depends on: the corpus's fingerprint and the teacher.

    Raises:
        NotWritten: there is no room.
    """
    vectors = np.empty((0, 0), np.float32) if lesson.vectors is None else lesson.vectors
    make_folder(path.parent)
    with run_file(path) as file:
        np.savez(file, features=lesson.features, vectors=vectors, given_for=np.str_(given_for))


def has_lesson(path: Path, given_for: str) -> bool:
    """Whether save_lesson kept one there that was given for the same.

    Raises:
        UnreadableLesson: the file is damaged.
    """
    return path.exists() and str(read_arrays(path)["given_for"]) == given_for


def load_lesson(path: Path) -> Lesson:
    """What save_lesson kept.

    Raises:
        UnreadableLesson: the file is damaged.
    """
    kept = read_arrays(path)
    return Lesson(kept["features"], kept["vectors"] if kept["vectors"].size else None)


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        with np.load(path, allow_pickle=False) as kept:
            return {name: kept[name] for name in ("given_for", "features", "vectors")}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UnreadableLesson(f"{path}: {error}; remove it and run the same command again") from error

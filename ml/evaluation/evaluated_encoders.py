"""The encoders of an evaluation: the given artifacts and MobileNetV2s, their variants, and random vectors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.artifact import CHECKPOINT, MANIFEST, EncoderArtifact, Preprocessing, load_artifact
from ml.data.corpus import Corpus, evenly
from ml.errors import MlError
from ml.evaluation.int8_index import int8_nearest
from ml.inference.preprocess import decode_as
from ml.metrics.retrieval import RANKS, Ranking, Vectors, nearest, random_vectors
from ml.models.checkpoint import tower_config
from ml.models.tower_specs import HuggingFaceTower, TowerConfig
from ml.pca.projection import Projection, fit_projection

MOBILENET: Final = "MobileNetV2"
MOBILENET_TYPE: Final = "mobilenet_v2"
PCA_DIMS: Final = 128
PCA_PHOTOS: Final = 3000
"""Maximum number of photos of the train split, evenly spaced, that the PCA of a MobileNetV2 is fitted to."""


class UnknownEncoder(MlError):
    """A folder that is neither an artifact nor a MobileNetV2, or a baseline that is not the name of a row."""


@dataclass(frozen=True)
class EvaluatedEncoders:
    """The encoders to compare."""

    artifacts: tuple[EncoderArtifact, ...]
    mobilenets: Mapping[str, Path]
    """Folder in Hugging Face layout by row name."""
    threads: int = 1

    @property
    def preprocessing(self) -> Preprocessing:
        """The conversion with which photos are read."""
        return self.artifacts[0].preprocessing if self.artifacts else Preprocessing(image_size=128)


def load_encoders(folders: Sequence[Path], mobilenet: Path | None, threads: int = 1) -> EvaluatedEncoders:
    """Load the artifact, or note the MobileNetV2 in Hugging Face layout, of each folder.

    Raises:
        UnknownEncoder: a folder has neither.
        ArtifactError: an artifact is damaged.
    """
    if mobilenet is not None:
        require_mobilenet(mobilenet)
    artifacts, hf_folders = [], []
    for folder in (*folders, *([] if mobilenet is None else [mobilenet])):
        if (folder / MANIFEST).exists():
            artifacts.append(load_artifact(folder))
        elif model_type(folder / "config.json") == MOBILENET_TYPE:
            hf_folders.append(folder)
        else:
            raise UnknownEncoder(
                f"{folder}: neither an artifact ({MANIFEST}) nor a MobileNetV2 (config.json with model_type "
                f"{MOBILENET_TYPE}); import other models with `nitamono ml import`"
            )
    if len(hf_folders) == 1:
        names = {MOBILENET: hf_folders[0]}
    else:
        names = {f"{MOBILENET} {path.name}": path for path in hf_folders}
    return EvaluatedEncoders(tuple(artifacts), names, threads)


def require_mobilenet(folder: Path) -> None:
    """Check that a folder has a MobileNetV2 in Hugging Face's layout.

    Raises:
        UnknownEncoder: it has not.
    """
    if model_type(folder / "config.json") != MOBILENET_TYPE:
        raise UnknownEncoder(f"{folder}: no MobileNetV2 (config.json with model_type {MOBILENET_TYPE})")


def model_type(config: Path) -> str | None:
    """The model_type of a Hugging Face folder's config.json; None if it cannot be read."""
    try:
        content = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get("model_type") if isinstance(content, dict) else None


def baseline_of(names: Sequence[str], encoders: EvaluatedEncoders, requested: str | None) -> str | None:
    """Name of the baseline row: the requested one, else a MobileNetV2, else the first of several artifacts.

    Raises:
        UnknownEncoder: no row has the requested name.
    """
    if requested is not None:
        if requested not in names:
            raise UnknownEncoder(f"no row is named {requested!r}; expected one of: {', '.join(names)}")
        return requested
    if encoders.mobilenets:
        return next(iter(encoders.mobilenets))
    return encoders.artifacts[0].encoder_id if len(encoders.artifacts) > 1 else None


def fit_mobilenets(encoders: EvaluatedEncoders, corpus: Corpus) -> dict[str, Projection]:
    """Fit PCA for each MobileNetV2 to photos of the train split; empty with fewer than PCA_DIMS photos."""
    train = corpus.rows("train")
    if len(train) < PCA_DIMS:
        return {}
    photos = [corpus.pairs[row].photo.read_bytes() for row in evenly(train, PCA_PHOTOS)]
    return {
        name: fit_projection(mobilenet_vectors(folder, photos, encoders.threads), PCA_DIMS)
        for name, folder in encoders.mobilenets.items()
    }


def rankings(
    encoders: EvaluatedEncoders, searched: Corpus, projections: Mapping[str, Projection], ranks: int = RANKS
) -> dict[str, Ranking]:
    """The ranking (n, ≤ ranks) int64 of each photo searched, by row name, by exact search."""
    dims = encoders.artifacts[0].dims if encoders.artifacts else PCA_DIMS
    vectors = {"random": random_vectors(len(searched.pairs), dims)}
    vectors |= mobilenet_rows(encoders, searched, projections)
    rankings_by_row = {name: nearest(of, ranks) for name, of in vectors.items()}
    for artifact in encoders.artifacts:
        pixels = pixels_for(searched, artifact.preprocessing)
        for name, of in artifact_rows(artifact, pixels, encoders.threads):
            rankings_by_row[name] = nearest(of, ranks)
            if name == artifact.encoder_id:
                rankings_by_row[f"{name}, int8 index"] = int8_nearest(of, ranks)
    return rankings_by_row


def mobilenet_rows(
    encoders: EvaluatedEncoders, searched: Corpus, projections: Mapping[str, Projection]
) -> dict[str, Vectors]:
    """Vectors (n, d) float32, unit norm, by row name: each MobileNetV2, after PCA, and with colours."""
    from ml.models.reference_encoders import with_colours  # noqa: PLC0415  heavy, and for some rows alone

    rows = {}
    photos = [pair.photo.read_bytes() for pair in searched.pairs] if encoders.mobilenets else []
    for name, folder in encoders.mobilenets.items():
        rows[name] = mobilenet_vectors(folder, photos, encoders.threads)
        if name in projections:
            rows[f"{name} + PCA-{PCA_DIMS}"] = projections[name].apply(rows[name])
        rows[f"{name} + colours"] = with_colours(rows[name], searched.pixels)
    return rows


def mobilenet_vectors(folder: Path, photos: Sequence[bytes], threads: int) -> Vectors:
    """(n, 1280) float32, unit norm, of n photo files."""
    from ml.models import reference_encoders  # noqa: PLC0415  heavy, and for some rows alone

    return reference_encoders.mobilenet_features(folder, photos, threads=threads)


def artifact_rows(
    artifact: EncoderArtifact, pixels: NDArray[np.uint8], threads: int
) -> Iterator[tuple[str, Vectors]]:
    """Row name and vectors (n, d) float32, unit norm, of pixels (n, s, s, 3).

    As served; and where the artifact has its checkpoint, at full width before PCA, and as its network was
    before training, if its weights are installed.
    """
    from ml.inference.encoder import load_encoder  # noqa: PLC0415

    name = artifact.encoder_id
    tower = tower_config(artifact)
    if tower is not None:
        yield from torch_rows(artifact, tower, pixels, threads)
    yield name, load_encoder(artifact, threads=threads).encode(pixels)


def torch_rows(
    artifact: EncoderArtifact,
    tower: HuggingFaceTower | TowerConfig,
    pixels: NDArray[np.uint8],
    threads: int,
) -> Iterator[tuple[str, Vectors]]:
    """Row name and vectors (n, width) float32, unit norm, before PCA, of pixels (n, s, s, 3) uint8."""
    import torch  # noqa: PLC0415

    from ml.models.checkpoint import load_checkpoint, load_frozen_start  # noqa: PLC0415
    from ml.models.efficientnet_lite import WeightsMissing  # noqa: PLC0415
    from ml.models.features import embed  # noqa: PLC0415

    torch.set_num_threads(threads)
    path, name = artifact.folder / CHECKPOINT, artifact.encoder_id
    if isinstance(tower, TowerConfig) and tower.pretrained:
        with suppress(WeightsMissing):
            yield (
                f"{name}, frozen start",
                embed(load_frozen_start(path, tower).image, pixels, tower.image_size),
            )
    yield f"{name}, full width", embed(load_checkpoint(path, tower).image, pixels, tower.image_size)


def pixels_for(corpus: Corpus, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """(n, s, s, 3) uint8: the corpus's own pixels, or its photos decoded again for another preprocessing."""
    if preprocessing == corpus.preprocessing:
        return corpus.pixels
    return np.stack([decode_as(preprocessing, pair.photo.read_bytes()) for pair in corpus.pairs])

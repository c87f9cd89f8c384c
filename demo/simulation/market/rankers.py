"""How each arm ranks: its vectors, and the weights of the ranking terms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from demo.marketplace.listings import photos_at
from demo.marketplace.photos import encode_photo
from demo.simulation.columns import Floats
from demo.simulation.market.catalogue import Catalogue, normalize
from mappings.identity import EncoderIdentity
from ml.artifact import load_artifact
from ml.inference.encoder import load_encoder
from ml.inference.preprocess import decode_as
from query.search.ranking import DEFAULT_WEIGHTS, Calibration, Weights

NEIGHBOURS = 100
PHOTO_SIDE = 256


@dataclass(frozen=True)
class Ranker:
    """One encoder with its calibration."""

    encoder_id: str
    vectors: Floats
    """(N, dims) unit vectors of the catalogue's photos, a row a listing."""
    calibration: Calibration


def calibrated_ranker(encoder_id: str, vectors: Floats, weights: Weights = DEFAULT_WEIGHTS) -> Ranker:
    """Return a ranker with the weights of production with an encoder of this spread."""
    mean, spread = similarity(vectors)
    identity = EncoderIdentity(encoder_id, vectors.shape[1], mean, spread)
    return Ranker(encoder_id, vectors, Calibration.of(identity, weights))


def similarity(vectors: Floats, sample: int = 256) -> tuple[float, float]:
    """Return mean and mean standard deviation of cosines to the nearest hundred of vectors (N, d)."""
    asked = vectors[:: max(1, len(vectors) // sample)]
    nearest = -np.sort(-(asked @ vectors.T), axis=1)[:, 1 : NEIGHBOURS + 1]
    return float(nearest.mean()), float(nearest.std(axis=1).mean())


def noisy_vectors(catalogue: Catalogue, noise: float, seed: int) -> Floats:
    """Return the true vectors with noise of `noise` times their length, 0 for none: (N, d) float32.

    A copied photo has the noise of its original: to an encoder they are the same photo.
    """
    width = catalogue.truth.shape[1]
    drawn = np.random.default_rng([seed, 2]).standard_normal(catalogue.truth.shape, dtype=np.float32)
    drawn *= np.float32(noise / width**0.5)
    return np.asarray(normalize(catalogue.truth + drawn[catalogue.photo]), dtype=np.float32)


def artifact_vectors(catalogue: Catalogue, folder: Path, seed: int) -> tuple[str, Floats]:
    """Return an artifact's encoder_id and its vectors (N, dims) of the photos of a drawn catalogue.

    Raises:
        ArtifactError, BackendMissing: see ml.
    """
    artifact = load_artifact(folder)
    encoder = load_encoder(artifact)
    shown, place = np.unique(catalogue.photo, return_inverse=True)
    vectors = np.empty((len(shown), encoder.dims), dtype=np.float32)
    for start in tqdm(range(0, len(shown), 64), desc="photos", delay=2, disable=None):
        part = shown[start : start + 64]
        pixels = np.stack([decode_as(artifact.preprocessing, _photo(int(row) + 1, seed)) for row in part])
        vectors[start : start + 64] = encoder.encode(pixels)
    return artifact.encoder_id, vectors[place]


def _photo(number: int, seed: int) -> bytes:
    return encode_photo(photos_at(number, seed)[0], PHOTO_SIDE)

"""Import of SigLIP and MobileNetV2 models from Hugging Face. Imports torch and transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from tokenizers import Tokenizer

from ml.artifact import (
    CARD,
    FILES,
    IMAGE_GRAPH,
    MANIFEST,
    TEXT_GRAPH,
    TOKENIZER,
    EncoderArtifact,
    Preprocessing,
    Similarity,
    write_manifest,
)
from ml.atomic_files import check_different_folders, replaced_folder
from ml.data.corpus import evenly
from ml.data.synthetic_photos import synthetic_photos
from ml.data.tokenizer import load_tokenizer, tokenize
from ml.export.export_run import write_graph
from ml.export.golden import write_golden
from ml.inference.embed import TooFewPhotos, embed_photos, photo_sources
from ml.inference.encoder import ImageEncoder
from ml.inference.graph import open_graph
from ml.models.huggingface.families import read_towers
from ml.models.huggingface.folder import fetch
from ml.models.huggingface.towers import PooledTextTower, Towers
from ml.models.serving_graph import ImageGraph, TextGraph
from ml.pca.projection import NEIGHBOURS, BadProjection, Projection, fit_projection, neighbour_similarity

PARITY_SAMPLES: Final = 8
"""Photos, or captions, on which torch and the graph are compared: a ViT-B/16 takes a second each."""
"""Nearest neighbours that the scale of similarities is measured on."""
COMPARED: Final = 5000
"""Maximum number of photos for the scale of similarities: the cosines of all pairs take 100 MB."""
SYNTHETIC_PHOTOS: Final = 128
"""Number of synthetic photos if no photos are given."""
CAPTIONS: Final = ("red skirt", "a pair of white running shoes", "赤いスカート", "腕時計 メンズ", "ring")


def import_artifact(
    source: str,
    out: Path,
    *,
    photos: Sequence[Path] = (),
    dims: int | None = 128,
    projection: Projection | None = None,
    name: str | None = None,
    text: bool = True,
    threads: int = 1,
) -> EncoderArtifact:
    """Import a model from a Hugging Face id, or from a local folder in Hugging Face's layout.

    PCA is the given projection, or else is fitted to the photos. Without both, or if dims is None, vectors
    keep the network's width. photos: photos, folders or listing files, as for `nitamono ml embed`.

    `out` is unchanged if there is an error.

    Raises:
        SameFolder: `out` is the source.
        HuggingFaceUnreachable, UnsupportedModel: the source cannot be downloaded, or not be converted.
        TooFewPhotos, TooFewVectors: fewer than two photos, or fewer than PCA needs, can be decoded.
        BadProjection: the projection has another width than the network.
        ExportMismatch: a graph's vectors differ from torch's.
        NotWritten: the disk is full.
    """
    folder = fetch(source)
    check_different_folders(folder, out)
    torch.set_num_threads(threads)
    towers = read_towers(folder, text=text)
    if projection is not None:
        check_width(projection, towers)
    with replaced_folder(out, last=MANIFEST, earlier=(*FILES, CARD)) as unfinished:
        made = write_artifact(
            towers,
            unfinished,
            photos=photos,
            dims=dims,
            projection=projection,
            name=name or artifact_name(source),
            source=source,
            threads=threads,
        )
    return EncoderArtifact(out, made.manifest)


def write_artifact(
    towers: Towers,
    out: Path,
    *,
    photos: Sequence[Path],
    dims: int | None,
    projection: Projection | None,
    name: str,
    source: str,
    threads: int,
) -> EncoderArtifact:
    """Write the artifact to an empty folder, see import_artifact."""
    write_image_graph(towers, projection, out)
    preprocessing = towers.processing.preprocessing
    vectors = embed_paths(open_encoder(towers, projection, out, threads), preprocessing, photos, threads)
    if projection is None and photos and dims is not None:
        projection = fit_projection(vectors, dims)
        write_image_graph(towers, projection, out)
        vectors = projection.apply(vectors)
    if towers.text is not None and towers.tokenizer is not None:
        write_text_graph(towers.text, towers.tokenizer, projection, out)
    write_golden(out, preprocessing.image_size)
    measured_on = f"{len(vectors)} {'photos' if photos else 'synthetic photos'}"
    return write_manifest(
        out,
        name=name,
        base_model=source,
        width=towers.width,
        dims=vectors.shape[1],
        preprocessing=preprocessing,
        similarity=similarity_scale(vectors),
        data_fingerprint="none: imported, not trained",
        training=import_details(towers, projection, measured_on),
        metrics={},
    )


def artifact_name(source: str) -> str:
    """The last part of a Hugging Face id or path, with characters that index names allow."""
    last = Path(source).resolve().name if Path(source).is_dir() else source.rpartition("/")[2]
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in last.lower())


def import_details(towers: Towers, projection: Projection | None, measured_on: str) -> dict[str, JsonValue]:
    """The entries of the manifest about the import."""
    return {
        "imported": towers.family,
        "similarity_measured_on": measured_on,
        "pca_explained_variance": None if projection is None else round(projection.explained, 4),
    }


def write_image_graph(towers: Towers, projection: Projection | None, out: Path) -> None:
    """Export the image graph and compare it with torch."""
    samples = synthetic_photos(PARITY_SAMPLES, towers.processing.preprocessing.image_size)
    write_graph(ImageGraph(towers.image, projection).eval(), samples, out / IMAGE_GRAPH)


def write_text_graph(
    network: PooledTextTower, tokenizer: Tokenizer, projection: Projection | None, out: Path
) -> None:
    """Export the text graph with its tokenizer and compare it with torch."""
    tokenizer.save(str(out / TOKENIZER))
    ids = tokenize(load_tokenizer(out / TOKENIZER), CAPTIONS)
    write_graph(TextGraph(network, projection).eval(), ids, out / TEXT_GRAPH)


def open_encoder(towers: Towers, projection: Projection | None, out: Path, threads: int) -> ImageEncoder:
    """Open the image graph before there is a manifest to load it by."""
    graph = open_graph(out / IMAGE_GRAPH, threads=threads)
    dims = towers.width if projection is None else len(projection.components)
    return ImageEncoder(out.name, graph, dims=dims, image_size=towers.processing.preprocessing.image_size)


def embed_paths(
    encoder: ImageEncoder, preprocessing: Preprocessing, photos: Sequence[Path], threads: int
) -> NDArray[np.float32]:
    """(n, dims) float32, unit norm, of the photos, or of synthetic photos if none are given."""
    if not photos:
        return encoder.encode(synthetic_photos(SYNTHETIC_PHOTOS, encoder.image_size))
    found = embed_photos(list(photo_sources(photos)), encoder, preprocessing, threads=threads).vectors
    if len(found) < 2:
        raise TooFewPhotos(
            f"{photos[0]}: {len(found)} usable photos, expected 2 or more; `nitamono ml embed` "
            "prints the reason for each"
        )
    return found


def check_width(projection: Projection, towers: Towers) -> None:
    """Check that the projection fits the network.

    Raises:
        BadProjection: it was fitted on vectors of another width.
    """
    found = len(projection.mean)
    if found != towers.width:
        raise BadProjection(
            f"the projection has width {found}, the network {towers.width}; "
            "fit PCA to embeddings of this network, or leave --projection out"
        )


def similarity_scale(vectors: NDArray[np.float32]) -> Similarity:
    """Measure the scale of similarities among at most COMPARED of vectors (n, dims) float32, unit norm."""
    chosen = vectors[evenly(np.arange(len(vectors)), COMPARED)]
    found = neighbour_similarity(chosen, NEIGHBOURS)
    return Similarity(mean=found.mean, spread=found.spread, neighbours=min(NEIGHBOURS, len(chosen) - 1))

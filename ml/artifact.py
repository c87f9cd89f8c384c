"""The encoder artifact: a folder whose manifest lists every file with its SHA-256."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ml.atomic_files import replaced
from ml.errors import MlError
from settings.encoder import DEFAULT_ENCODER

MANIFEST: Final = "manifest.json"
IMAGE_GRAPH: Final = "image.onnx"
TEXT_GRAPH: Final = "text.onnx"
TOKENIZER: Final = "tokenizer.json"
CHECKPOINT: Final = "checkpoint.safetensors"
GOLDEN: Final = "golden.npz"
CARD: Final = "MODEL_CARD.md"

DEFAULT_ARTIFACT: Final = DEFAULT_ENCODER
"""The committed encoder."""

NETWORK_FILES: Final = ("config.json", "preprocessor_config.json")
"""Files that describe a network in Hugging Face's layout; only artifacts fine-tuned from one have them."""

VECTOR_FILES: Final = (IMAGE_GRAPH, TEXT_GRAPH, TOKENIZER)
"""Files that determine the vectors, and so the encoder_id. The checkpoint is for further training only, and
the golden vectors follow from these files."""

FILES: Final = (*VECTOR_FILES, CHECKPOINT, GOLDEN, *NETWORK_FILES)
"""All files that a manifest may list."""


Resample = Literal["bicubic", "lanczos"]


class ArtifactError(MlError):
    """An invalid artifact folder; the message names the file and the remedy."""


class Preprocessing(BaseModel):
    """The conversion of a photo to the graph's input: see ml.inference.preprocess.decode_as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(ge=16)
    resize: Literal["squash"] = "squash"
    layout: Literal["uint8 NHWC RGB"] = "uint8 NHWC RGB"
    crop: float | None = Field(default=None, gt=0, le=1)
    """Share of the shorter side to crop to before the resize: see decode_photo. None: no crop."""

    resample: Resample | None = None
    """The filter of the resize. None: bilinear."""


class Similarity(BaseModel):
    """Cosines of queries to their nearest neighbours on validation photos: the scale of ranking weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    spread: float = Field(gt=0)
    neighbours: int


class Manifest(BaseModel):
    """Contents of manifest.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest_version: Literal[1] = 1
    encoder_id: str = Field(pattern=r"^[a-z0-9-]+$")
    name: str = Field(pattern=r"^[a-z0-9-]+$")
    base_model: str
    width: int
    """Dimensions of the vectors before PCA."""
    dims: int
    preprocessing: Preprocessing
    similarity: Similarity
    data_fingerprint: str
    training: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    files: dict[str, str]
    """File name to SHA-256, in hex."""


@dataclass(frozen=True)
class GoldenSample:
    """Inputs of a graph, and its vectors for them in float32."""

    inputs: NDArray[np.uint8] | NDArray[np.int64]
    """Pixels (n, s, s, 3) uint8 of photos, or token ids (n, tokens) int64 of captions."""
    vectors: NDArray[np.float32]
    """(n, dims) float32, unit norm."""


@dataclass(frozen=True)
class EncoderArtifact:
    """An artifact folder whose files match its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def encoder_id(self) -> str:
        """Name and content hash of the encoder; indices and caches are keyed by it."""
        return self.manifest.encoder_id

    @property
    def dims(self) -> int:
        """Dimensions of the served vectors."""
        return self.manifest.dims

    @property
    def image_size(self) -> int:
        """Pixels per side of the graph's input."""
        return self.preprocessing.image_size

    @property
    def preprocessing(self) -> Preprocessing:
        """The conversion of a photo to the graph's input."""
        return self.manifest.preprocessing

    @property
    def similarity_spread(self) -> float:
        """Standard deviation of cosines to the nearest neighbours; the unit of ranking weights."""
        return self.manifest.similarity.spread

    @property
    def image_graph(self) -> Path:
        """Path of the image graph."""
        return self.folder / IMAGE_GRAPH

    @property
    def has_text(self) -> bool:
        """Whether the artifact also encodes captions."""
        return TEXT_GRAPH in self.manifest.files

    @property
    def quantised(self) -> bool:
        """Whether the image graph computes in int8."""
        return "int8" in self.manifest.training

    @property
    def text_graph(self) -> Path:
        """Path of the text graph."""
        return self.folder / TEXT_GRAPH

    @property
    def tokenizer(self) -> Path:
        """Path of the tokenizer."""
        return self.folder / TOKENIZER

    def golden(self, graph: str) -> GoldenSample | None:
        """The golden sample of IMAGE_GRAPH or TEXT_GRAPH; None if the artifact has no golden vectors.

        Raises:
            ArtifactError: the file is damaged or lacks the graph.
        """
        if GOLDEN not in self.manifest.files:
            return None
        path = self.folder / GOLDEN
        try:
            # np.load would give the array of a .npy file, which has no names.
            with path.open("rb") as file, NpzFile(file) as arrays:
                return GoldenSample(arrays[f"{graph}.inputs"], arrays[f"{graph}.vectors"])
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise ArtifactError(
                f"{path}: has no golden vectors of {graph} ({error}); "
                f"write them again with `nitamono ml artifact golden {self.folder}`"
            ) from error


def load_artifact(folder: Path, *, unchecked: tuple[str, ...] = ()) -> EncoderArtifact:
    """Load the artifact in a folder and verify its files, except those named `unchecked`.

    Raises:
        ArtifactError: no manifest, one of another version, or a file that is missing or changed.
    """
    manifest = read_manifest(folder / MANIFEST)
    for name, expected in manifest.files.items():
        if name not in unchecked:
            check_file(folder / name, expected)
    found = encoder_id(manifest.name, manifest.files, manifest.preprocessing)
    if found != manifest.encoder_id:
        raise ArtifactError(
            f"{folder / MANIFEST}: encoder_id is {manifest.encoder_id}, but the content is {found}; "
            "restore the folder from its source, or export it again"
        )
    return EncoderArtifact(folder, manifest)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ArtifactError: not found, not a manifest, or of another version.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path}: not found; name a folder made by `nitamono ml finetune` or `nitamono ml export`"
        ) from error
    except ValueError as error:
        raise ArtifactError(f"{path}: not JSON ({error}); restore the folder, or export it again") from error
    version = content.get("manifest_version") if isinstance(content, dict) else None
    if version != 1:
        raise ArtifactError(
            f"{path}: manifest_version {json.dumps(version)}, expected 1; use the nitamono release that "
            "wrote it, or export it again with this one"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise ArtifactError(f"{path}: {error}; restore the folder, or export it again") from error


def check_file(path: Path, expected: str) -> None:
    """Check a file's SHA-256.

    Raises:
        ArtifactError: the file is missing or has another hash.
    """
    try:
        found = sha256(path)
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error.strerror}); restore the file, or export the artifact again"
        ) from error
    if found != expected:
        raise ArtifactError(
            f"{path}: SHA-256 is {found}, the manifest expects {expected}; restore the file, "
            "or export the artifact again so that it gets an encoder_id of its own"
        )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encoder_id(name: str, files: dict[str, str], preprocessing: Preprocessing) -> str:
    """The id NAME-xxxxxxxx; its hex digits change with the graphs, the tokenizer or the preprocessing."""
    # Without settings that are None, so that ids from before crop and resample existed stay the same.
    settings = preprocessing.model_dump(exclude_none=True)
    content = {file: files.get(file) for file in VECTOR_FILES} | {"preprocessing": settings}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:8]}"


def write_manifest(
    folder: Path,
    *,
    name: str,
    base_model: str,
    width: int,
    dims: int,
    preprocessing: Preprocessing,
    similarity: Similarity,
    data_fingerprint: str,
    training: dict[str, JsonValue],
    metrics: dict[str, JsonValue],
) -> EncoderArtifact:
    """Write the manifest for the files in a folder, which makes it an artifact."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name in FILES}
    manifest = Manifest(
        encoder_id=encoder_id(name, files, preprocessing),
        name=name,
        base_model=base_model,
        width=width,
        dims=dims,
        preprocessing=preprocessing,
        similarity=similarity,
        data_fingerprint=data_fingerprint,
        training=training,
        metrics=metrics,
        files=files,
    )
    return save_manifest(folder, manifest)


def save_manifest(folder: Path, manifest: Manifest) -> EncoderArtifact:
    """Write manifest.json atomically."""
    with replaced(folder / MANIFEST) as file:
        file.write(manifest.model_dump_json(indent=2).encode() + b"\n")
    return EncoderArtifact(folder, manifest)

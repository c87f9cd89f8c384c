"""An artifact is served whole and unchanged, or not at all."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.artifact import (
    CHECKPOINT,
    DEFAULT_ARTIFACT,
    GOLDEN,
    IMAGE_GRAPH,
    MANIFEST,
    TOKENIZER,
    ArtifactError,
    EncoderArtifact,
    Preprocessing,
    encoder_id,
    load_artifact,
)


@pytest.fixture
def folder(artifact: EncoderArtifact, tmp_path: Path) -> Path:
    """A copy of the smoke artifact, to be damaged."""
    return Path(shutil.copytree(artifact.folder, tmp_path / "copy"))


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_loads_what_was_written(artifact: EncoderArtifact) -> None:
    """A fresh artifact comes back equal, its id made of name and content."""
    loaded = load_artifact(artifact.folder)
    assert loaded == artifact
    assert re.fullmatch(r"siglip-smoke-[0-9a-f]{8}", loaded.encoder_id)
    assert (loaded.dims, loaded.image_size) == (8, 32)
    assert loaded.similarity_spread > 0


def test_the_committed_artifact_is_whole() -> None:
    """The encoder that comes with the code passes its own check and fits the index's contract."""
    committed = load_artifact(DEFAULT_ARTIFACT)
    assert committed.dims == 128
    assert re.fullmatch(r"siglip-small-[0-9a-f]{8}", committed.encoder_id)
    assert sum(path.stat().st_size for path in committed.folder.iterdir()) <= 9_000_000


def append_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize("name", [IMAGE_GRAPH, TOKENIZER, CHECKPOINT, GOLDEN])
@pytest.mark.parametrize("damage", [append_a_byte, Path.unlink])
def test_refuses_changed_or_missing_files(folder: Path, name: str, damage: Callable[[Path], None]) -> None:
    """The refusal names the file and what to do."""
    damage(folder / name)
    with pytest.raises(ArtifactError, match=rf"{name}: .*restore the file"):
        load_artifact(folder)


def test_refuses_a_manifest_of_another_version(folder: Path) -> None:
    """A later release's artifact is not guessed at."""
    edit_manifest(folder, manifest_version=2)
    with pytest.raises(ArtifactError, match=r"manifest_version 2, expected 1; use the nitamono release"):
        load_artifact(folder)


def test_refuses_an_id_that_is_not_its_content(folder: Path) -> None:
    """An id copied from elsewhere would let vectors of two encoders meet in one index."""
    edit_manifest(folder, encoder_id="siglip-smoke-00000000")
    with pytest.raises(ArtifactError, match=r"siglip-smoke-00000000, but the content is siglip"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "manifest_version None"), ('{"manifest_version": 1}', "Field required")],
)
def test_refuses_a_broken_manifest(folder: Path, content: str, message: str) -> None:
    """Half a manifest, another file's, or one with fields missing each get a sentence."""
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ArtifactError, match=message):
        load_artifact(folder)


def test_refuses_a_folder_without_manifest(tmp_path: Path) -> None:
    """A wrong path says what kind of folder is wanted."""
    with pytest.raises(ArtifactError, match=r"manifest\.json: not found; name a folder made by"):
        load_artifact(tmp_path)


def test_the_id_follows_what_decides_vectors() -> None:
    """Graph and preprocessing change the id; checkpoint and golden vectors, which decide none, do not."""
    files = {IMAGE_GRAPH: "a", CHECKPOINT: "b"}
    size = Preprocessing(image_size=128)
    plain = encoder_id("e", files, size)
    assert encoder_id("e", files | {CHECKPOINT: "c", GOLDEN: "d"}, size) == plain
    assert encoder_id("e", files | {IMAGE_GRAPH: "c"}, size) != plain
    assert encoder_id("e", files, Preprocessing(image_size=96)) != plain
    assert encoder_id("e", files, Preprocessing(image_size=128, crop=0.875)) != plain

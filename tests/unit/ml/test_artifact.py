"""Artifacts are complete and unchanged, or rejected."""

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
    """A new artifact is read back equal; its id has the name and a hash of the content."""
    loaded = load_artifact(artifact.folder)
    assert loaded == artifact
    assert re.fullmatch(r"siglip-smoke-[0-9a-f]{8}", loaded.encoder_id)
    assert (loaded.dims, loaded.image_size) == (8, 32)
    assert loaded.similarity_spread > 0


def test_the_committed_artifact_is_valid() -> None:
    """The committed encoder passes its check and fits the mapping of the index."""
    committed = load_artifact(DEFAULT_ARTIFACT)
    assert committed.dims == 128
    assert re.fullmatch(r"siglip-lite-[0-9a-f]{8}", committed.encoder_id)


def test_all_committed_weights_are_small() -> None:
    """Together at most 20 MB, so that a clone stays quick."""
    files = [path for path in DEFAULT_ARTIFACT.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20_000_000


def append_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize("name", [IMAGE_GRAPH, TOKENIZER, CHECKPOINT, GOLDEN])
@pytest.mark.parametrize("damage", [append_a_byte, Path.unlink])
def test_rejects_changed_or_missing_files(folder: Path, name: str, damage: Callable[[Path], None]) -> None:
    """The message has the file and the remedy."""
    damage(folder / name)
    with pytest.raises(ArtifactError, match=rf"{name}: .*restore the file"):
        load_artifact(folder)


def test_rejects_a_manifest_of_another_version(folder: Path) -> None:
    """An artifact of a later release is not interpreted."""
    edit_manifest(folder, manifest_version=2)
    with pytest.raises(ArtifactError, match=r"manifest_version 2, expected 1; use the nitamono release"):
        load_artifact(folder)


def test_rejects_an_id_that_does_not_match_the_content(folder: Path) -> None:
    """With a copied id, one index could have vectors of two encoders."""
    edit_manifest(folder, encoder_id="siglip-smoke-00000000")
    with pytest.raises(ArtifactError, match=r"siglip-smoke-00000000, but the content is siglip"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("[]", "manifest_version null"), ('{"manifest_version": 1}', "Field required")],
)
def test_rejects_an_invalid_manifest(folder: Path, content: str, message: str) -> None:
    """Truncated JSON, other JSON, and missing fields each have a message."""
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ArtifactError, match=message):
        load_artifact(folder)


def test_rejects_a_folder_without_manifest(tmp_path: Path) -> None:
    """The message has the kind of folder that is expected."""
    with pytest.raises(ArtifactError, match=r"manifest\.json: not found; name a folder made by"):
        load_artifact(tmp_path)


def test_the_id_depends_on_what_determines_vectors() -> None:
    """Graph and preprocessing change the id; checkpoint and golden vectors do not."""
    files = {IMAGE_GRAPH: "a", CHECKPOINT: "b"}
    size = Preprocessing(image_size=128)
    plain = encoder_id("e", files, size)
    assert encoder_id("e", files | {CHECKPOINT: "c", GOLDEN: "d"}, size) == plain
    assert encoder_id("e", files | {IMAGE_GRAPH: "c"}, size) != plain
    assert encoder_id("e", files, Preprocessing(image_size=96)) != plain
    assert encoder_id("e", files, Preprocessing(image_size=128, crop=0.875)) != plain

"""Export of a run: complete, on the run's own data, or an error."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.artifact import CARD, NETWORK_FILES, EncoderArtifact, load_artifact
from ml.atomic_files import NotWritten
from ml.configs.siglip_b16_256_multilingual import SMOKE as HUB_SMOKE
from ml.configs.siglip_lite import SMOKE as LITE_SMOKE
from ml.data.corpus import Corpus
from ml.evaluation.evaluated_encoders import EvaluatedEncoders, rankings
from ml.export.export_run import OtherData, export_artifact
from ml.models.huggingface.folder import NETWORK_FOLDER
from ml.training.finetune import RunOptions, finetune
from ml.training.run_folder import UnreadableRun
from tests.unit.ml.test_cli import call


@pytest.fixture(scope="module")
def tuned(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a tiny SigLIP in Hugging Face's layout."""
    out = tmp_path_factory.mktemp("tuned")
    finetune(replace(HUB_SMOKE, epochs=1), corpus, out)
    return out


@pytest.fixture(scope="module")
def exported(tuned: Path, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> EncoderArtifact:
    """That run's artifact, by the command."""
    out = tmp_path_factory.mktemp("exported")
    result = call("export", tuned, "--data", shop, "--out", out)
    assert result.exit_code == 0, result.output
    return load_artifact(out)


def without(artifact: EncoderArtifact, name: str) -> EncoderArtifact:
    """A copy of the artifact without one of its files."""
    files = {file: digest for file, digest in artifact.manifest.files.items() if file != name}
    return replace(artifact, manifest=artifact.manifest.model_copy(update={"files": files}))


def test_the_card_of_a_hugging_face_model_has_every_row(exported: EncoderArtifact) -> None:
    """Its network is rebuilt from the artifact."""
    assert set(NETWORK_FILES) <= exported.manifest.files.keys()
    text = (exported.folder / CARD).read_text(encoding="utf-8")
    for row in ("full width", "int8 index"):
        assert f"| {exported.encoder_id}, {row} |" in text


@pytest.mark.parametrize("missing", NETWORK_FILES)
def test_an_artifact_without_its_network_is_compared_as_served(
    exported: EncoderArtifact, corpus: Corpus, missing: str
) -> None:
    """Such as older artifacts."""
    found = rankings(EvaluatedEncoders((without(exported, missing),), {}), corpus, {})
    assert list(found) == ["random", exported.encoder_id, f"{exported.encoder_id}, int8 index"]


def test_another_run_starts_from_an_artifact(
    exported: EncoderArtifact, corpus: Corpus, tmp_path: Path
) -> None:
    """It has weights, tokenizer and network."""
    config = replace(HUB_SMOKE, epochs=1)
    finetune(config, corpus, tmp_path, RunOptions(start=exported.folder))
    for name in NETWORK_FILES:
        assert (tmp_path / NETWORK_FOLDER / name).read_bytes() == (exported.folder / name).read_bytes()


def test_a_run_without_captions_encodes_photos_only(corpus: Corpus, tmp_path: Path) -> None:
    """Its text tower was not trained, so it is not exported."""
    config = replace(LITE_SMOKE, epochs=1, sigmoid_weight=0.0)
    finetune(config, corpus, tmp_path / "run")
    made = export_artifact(tmp_path / "run", corpus, tmp_path / "artifact")
    assert not load_artifact(made.folder).has_text


def test_an_artifact_never_overwrites_a_run(run: Path, shop: Path) -> None:
    """Neither its own nor another."""
    before = sorted(path.name for path in run.iterdir())
    result = call("export", run, "--data", shop, "--out", run)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "has a run (data.json)" in result.output
    assert str(run / "artifact") in result.output
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_run_is_exported_with_the_data_of_its_training(run: Path, corpus: Corpus, tmp_path: Path) -> None:
    """The test split of other data could have its training photos; the message has both fingerprints."""
    other = corpus.part(np.arange(len(corpus.pairs) - 1))
    with pytest.raises(
        OtherData, match=rf"fingerprint {corpus.fingerprint}, this has {other.fingerprint}; give"
    ):
        export_artifact(run, other, tmp_path / "artifact")
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_a_run_without_a_fingerprint_is_rejected(
    run: Path, corpus: Corpus, tmp_path: Path, content: str | None
) -> None:
    """Its data are unknown."""
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (copy / "data.json").unlink()
    if content is not None:
        (copy / "data.json").write_text(content)
    with pytest.raises(UnreadableRun, match=r"data\.json: .*expected the folder of a run"):
        export_artifact(copy, corpus, tmp_path / "artifact")


def test_a_full_disk_keeps_the_earlier_artifact(
    artifact: EncoderArtifact, run: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No partial graph is left, and the message has the remedy."""
    out = Path(shutil.copytree(artifact.folder, tmp_path / "artifact"))

    def full(_model: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ml.export.export_run.onnx.save", full)
    with pytest.raises(NotWritten, match=r"image\.onnx: cannot be written .*No space left.*free disk space"):
        export_artifact(run, corpus, out)
    assert load_artifact(out) == replace(artifact, folder=out)
    assert {path.name for path in out.iterdir()} == {path.name for path in artifact.folder.iterdir()}
